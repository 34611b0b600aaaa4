// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_READING_H_
#define FOREFLOW_MODELS_PREDICT_READING_H_

#include <cstddef>
#include <cstdint>

#include "models/predict/calibrator.h"

namespace foreflow::predict {

// Where a type prediction comes from: the predictor that learns on, a table, or a network.
enum class Tier : std::uint8_t { kLearned, kTable, kNetwork };
constexpr std::size_t kTiers = 3;
// learned, table, network; nullptr out of range.
constexpr const char* Name(Tier tier) {
  switch (tier) {
    case Tier::kLearned:
      return "learned";
    case Tier::kTable:
      return "table";
    case Tier::kNetwork:
      return "network";
  }
  return nullptr;
}

// What trained models say of one packet.
struct Reading {
  Distribution probability{};  // 65536 = 1, as trained
  Tier tier = Tier::kLearned;  // kLearned: the models were not asked
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_READING_H_
