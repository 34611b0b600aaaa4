// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_predictor.h"

#include <algorithm>
#include <vector>

#include "models/predict/calibrator.h"
#include "models/predict/features.h"
#include "models/predict/type_counts.h"

namespace foreflow::predict {
namespace {

constexpr unsigned kSymbolBits = 6;
static_assert(kSymbols == 1u << kSymbolBits);

// Sets (2 ways each) of the tables of order 1, 2 and 3: 1, 5 and 10 KiB.
constexpr std::array<unsigned, 3> kSetBits = {5, 8, 9};

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

// Interpolated Markov model of the given order over symbols; order 0 is the majority.
class Markov : public TypePredictor {
 public:
  explicit Markov(std::size_t order) {
    table_.reserve(order);
    for (std::size_t k = 1; k <= order; ++k) {
      table_.emplace_back(static_cast<unsigned>(k) * kSymbolBits, kSetBits[k - 1]);
    }
    if (order == 0) return;
    // One observation of what a packet's headers suggest, so that a new VM's first packets are not guessed
    // blindly.
    for (std::uint32_t symbol = 0; symbol < kSymbols; ++symbol) {
      table_[0].FindOrTake(symbol)->Add(UsualType(static_cast<Symbol>(symbol)));
    }
  }

  Prediction Predict(const Context& context, Work& work) const override {
    Places places;
    const Distribution raw = Mix(context, places, work);
    Prediction prediction;
    prediction.type = Likeliest(raw);
    calibrator_.Apply(raw, prediction.type, prediction.probability);
    work.Add(WorkItem::kMultiplyAdd, 2 * kPacketTypes);
    prediction.confidence = prediction.probability[static_cast<std::size_t>(prediction.type)];
    return prediction;
  }

  void Learn(const Context& context, PacketType truth, Work& work) override {
    Places places;
    calibrator_.Learn(Mix(context, places, work), truth);
    work.Add(WorkItem::kMultiplyAdd, 4 * kPacketTypes);  // a logarithm and three powers a type
    overall_.Add(truth);
    work.Add(WorkItem::kUpdate, 2);
    for (std::size_t k = 0; k < Depth(context); ++k) {
      ContextCounts* const counts = table_[k].FindOrTake(places[k]);
      if (counts != nullptr) counts->Add(truth);
      work.Add(WorkItem::kUpdate);
      work.Add(WorkItem::kCacheLine);
    }
  }

  void Prefetch(const Context& context) const override {
    std::uint32_t key = 0;
    for (std::size_t k = 0; k < Depth(context); ++k) {
      key = key << kSymbolBits | context.symbol[k];
      table_[k].Prefetch(table_[k].PlaceOf(key));
    }
  }

  std::size_t bytes() const override {
    std::size_t sum = sizeof(*this) + table_.capacity() * sizeof(ContextTable);
    for (const ContextTable& table : table_) sum += table.bytes();
    return sum;
  }

 private:
  using Places = std::array<ContextTable::Place, kSetBits.size()>;

  // Among equals the first. Without branches, which nobody could foresee.
  static PacketType Likeliest(const Distribution& distribution) {
    std::uint32_t best = 0;
    for (std::uint32_t i = 0; i < kPacketTypes; ++i) best = std::max(best, distribution[i] << 3 | (7 - i));
    return static_cast<PacketType>(7 - (best & 7));
  }

  std::size_t Depth(const Context& context) const {
    return std::min<std::size_t>(table_.size(), context.length);
  }

  // Writes where each context of the mixture is looked for.
  Distribution Mix(const Context& context, Places& places, Work& work) const {
    std::array<ContextCounts, kSetBits.size()> counts;
    std::uint32_t key = 0;
    std::uint32_t found = 0;
    const std::size_t depth = Depth(context);
    for (std::size_t k = 0; k < depth; ++k) {
      key = key << kSymbolBits | context.symbol[k];
      places[k] = table_[k].PlaceOf(key);
      counts[k] = table_[k].CountsAt(places[k]);
      found += counts[k].total != 0 ? 1 : 0;
    }
    work.Add(WorkItem::kTableStep, static_cast<std::uint32_t>(depth));
    work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(depth));
    work.Add(WorkItem::kMultiplyAdd, kPacketTypes * (1 + found));
    Distribution mixed;
    mixed.fill(65536 / kPacketTypes);
    overall_.MixInto(mixed);
    for (std::size_t k = 0; k < depth; ++k) counts[k].MixInto(mixed);
    return mixed;
  }

  OverallCounts overall_;
  std::vector<ContextTable> table_;  // by order, from 1
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
