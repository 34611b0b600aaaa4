// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_DOCS_EXAMPLES_PREDICTOR_LAST_OF_SYMBOL_H_
#define FOREFLOW_DOCS_EXAMPLES_PREDICTOR_LAST_OF_SYMBOL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/work.h"
#include "models/predict/type_predictor.h"

namespace foreflow::examples {

// Predicts the type that a packet of the same symbol last turned out to be, with the share of times that this
// was right. Probabilities are 65535 = 1; 256 B a VM; no allocation.
class LastOfSymbol : public predict::TypePredictor {
 public:
  predict::Prediction Predict(const predict::Context& context, Work& work) const override {
    work.Add(WorkItem::kTableStep);
    const Entry& entry = entry_[context.symbol[0]];
    // Laplace's rule: one observation a type before any was made.
    const std::uint32_t share = (entry.hits + 1u) * 65535u / (entry.seen + kTypes);
    const std::uint32_t rest = (65535u - share) / (kTypes - 1);
    predict::Prediction prediction;
    prediction.type = entry.type;
    prediction.probability.fill(static_cast<std::uint16_t>(rest));
    prediction.confidence = static_cast<std::uint16_t>(65535u - rest * (kTypes - 1));
    prediction.probability[static_cast<std::size_t>(entry.type)] = prediction.confidence;
    return prediction;
  }

  void Learn(const predict::Context& context, predict::PacketType truth, Work& work) override {
    work.Add(WorkItem::kUpdate);
    Entry& entry = entry_[context.symbol[0]];
    if (entry.seen == 255) {  // old habits fade
      entry.seen /= 2;
      entry.hits /= 2;
    }
    ++entry.seen;
    if (entry.type == truth) ++entry.hits;
    entry.type = truth;
  }

  std::size_t bytes() const override { return sizeof(*this); }

 private:
  static constexpr std::uint32_t kTypes = predict::kPacketTypes;
  struct Entry {
    predict::PacketType type = predict::PacketType::kControl;
    std::uint8_t hits = 0;
    std::uint8_t seen = 0;
  };
  std::array<Entry, predict::kSymbols> entry_{};
};

}  // namespace foreflow::examples

#endif  // FOREFLOW_DOCS_EXAMPLES_PREDICTOR_LAST_OF_SYMBOL_H_
