// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_predictor.h"

#include <algorithm>

#include "models/predict/markov_types.h"

namespace foreflow::predict {

// Without branches, which nobody could foresee.
PacketType Likeliest(const Distribution& distribution) {
  std::uint32_t best = 0;
  for (std::uint32_t i = 0; i < kPacketTypes; ++i) best = std::max(best, distribution[i] << 3 | (7 - i));
  return static_cast<PacketType>(7 - (best & 7));
}

Prediction Calibrated(const Calibrator& calibrator, const Distribution& raw, Work& work) {
  Prediction prediction;
  prediction.type = Likeliest(raw);
  calibrator.Apply(raw, prediction.type, prediction.probability);
  work.Add(WorkItem::kMultiplyAdd, 2 * kPacketTypes);
  prediction.confidence = prediction.probability[static_cast<std::size_t>(prediction.type)];
  return prediction;
}

namespace {

// The type seen last, with the share of times that this was right.
class Persistence : public TypePredictor {
 public:
  Prediction Predict(const Context& context, Work& work) const override {
    work.Add(WorkItem::kTableStep);
    Prediction prediction;
    prediction.type = context.last_label;
    // Laplace's rule, so that the first prediction is not certain of anything.
    prediction.confidence = static_cast<std::uint16_t>((hits_ + 1) * 65535 / (seen_ + kPacketTypes));
    const auto rest = static_cast<std::uint16_t>((65535 - prediction.confidence) / (kPacketTypes - 1));
    prediction.probability.fill(rest);
    prediction.confidence = static_cast<std::uint16_t>(65535 - rest * (kPacketTypes - 1));
    prediction.probability[static_cast<std::size_t>(prediction.type)] = prediction.confidence;
    return prediction;
  }

  void Learn(const Context& context, PacketType truth, Work& work) override {
    work.Add(WorkItem::kUpdate);
    if (seen_ == 1023) {
      seen_ /= 2;
      hits_ /= 2;
    }
    ++seen_;
    if (context.last_label == truth) ++hits_;
  }

  std::size_t bytes() const override { return sizeof(*this); }

 private:
  std::uint32_t seen_ = 0;
  std::uint32_t hits_ = 0;
};

// Interpolated Markov model of the given order over symbols, calibrated; order 0 is the majority.
class Markov : public TypePredictor {
 public:
  explicit Markov(std::size_t order) : counts_(order) {}

  Prediction Predict(const Context& context, Work& work) const override {
    MarkovTypes::Places places;
    return Calibrated(calibrator_, counts_.Predict(context, places, work), work);
  }

  void Learn(const Context& context, PacketType truth, Work& work) override {
    MarkovTypes::Places places;
    calibrator_.Learn(counts_.Predict(context, places, work), truth);
    work.Add(WorkItem::kMultiplyAdd, 4 * kPacketTypes);  // a logarithm and three powers a type
    work.Add(WorkItem::kUpdate);
    counts_.Learn(context, places, truth, work);
  }

  void Prefetch(const Context& context) const override { counts_.Prefetch(context); }

  std::size_t bytes() const override { return sizeof(*this) + counts_.bytes(); }

 private:
  MarkovTypes counts_;
  Calibrator calibrator_;
};

}  // namespace

std::unique_ptr<TypePredictor> MakeTypePredictor(PredictorKind kind) {
  switch (kind) {
    case PredictorKind::kPersistence:
      return std::make_unique<Persistence>();
    case PredictorKind::kMajority:
      return std::make_unique<Markov>(0);
    case PredictorKind::kMarkov1:
      return std::make_unique<Markov>(1);
    case PredictorKind::kMarkov2:
      return std::make_unique<Markov>(2);
    case PredictorKind::kMarkov3:
      return std::make_unique<Markov>(3);
  }
  return nullptr;
}

}  // namespace foreflow::predict
