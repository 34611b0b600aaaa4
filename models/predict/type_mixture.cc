// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_mixture.h"

#include <algorithm>

#include "models/base/hash.h"
#include "models/predict/conformal.h"

namespace foreflow::predict {
namespace {

constexpr std::uint32_t kCertain = 65535;
constexpr std::uint16_t kHalf = 32768;
constexpr double kScoresABit = 4096;  // of ClassScore

TypeGuess::Shares Kept(const Distribution& distribution) {
  TypeGuess::Shares kept{};
  for (std::size_t i = 0; i < kept.size(); ++i) {
    kept[i] = static_cast<std::uint16_t>(std::min(distribution[i], kCertain));
  }
  return kept;
}

Distribution AsDistribution(const TypeGuess::Shares& kept) {
  Distribution distribution;
  std::copy(kept.begin(), kept.end(), distribution.begin());
  return distribution;
}

}  // namespace

Distribution TypeGuess::Mixed() const {
  const Distribution models = AsDistribution(reading);
  return asked ? FixedShare::Mix(models, AsDistribution(fallback), weight) : models;
}

bool TypeMixture::IsSure(const Reading& reading) {
  return *std::max_element(reading.probability.begin(), reading.probability.end()) >= kSure;
}

bool TypeMixture::Compares(std::uint64_t packet) { return Mix64(packet) % kSample == 0; }

Prediction TypeMixture::Predict(const Reading& reading, const Context& context, const Calibrator& calibrator,
                                TypeGuess& guess, Work& work) const {
  guess.tier = reading.tier;
  guess.reading = Kept(reading.probability);
  guess.is_sure = IsSure(reading);
  guess.weight = static_cast<std::uint16_t>(weight(guess.is_sure));
  guess.asked = Asks(guess.is_sure);
  Prediction prediction;
  if (guess.asked) {
    MarkovTypes::Places places;
    const Distribution learnt = fallback_.Predict(context, places, work);
    guess.fallback = Kept(learnt);
    work.Add(WorkItem::kMultiplyAdd, 2 * kPacketTypes);
    const FixedShare& share = share_[guess.is_sure ? 1 : 0];
    prediction = Calibrated(calibrator, share.Mix(reading.probability, learnt), work);
  } else {
    prediction = Calibrated(calibrator, reading.probability, work);
  }
  guess.said = prediction.probability;
  work.Add(WorkItem::kCacheLine);  // the guess
  return prediction;
}

bool TypeMixture::Learn(const Context& context, std::uint64_t packet, PacketType truth, TypeGuess& guess,
                        Work& work) {
  const auto type = static_cast<std::size_t>(truth);
  work.Add(WorkItem::kCacheLine);  // the guess
  if (guess.asked || guess.reading[type] < kHalf || Compares(packet)) {
    MarkovTypes::Places places = fallback_.PlacesOf(context);
    if (!guess.asked) guess.fallback = Kept(fallback_.Predict(context, places, work));
    share_[guess.is_sure ? 1 : 0].Learn(guess.reading[type], guess.fallback[type]);
    fallback_.Learn(context, places, truth, work);
    work.Add(WorkItem::kUpdate);
  }
  work.Add(WorkItem::kUpdate);
  if (!test_.Update(ClassScore(guess.said[type]) / kScoresABit)) return false;
  fallback_.Forget(work);
  return true;
}

}  // namespace foreflow::predict
