// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_TEST_DATASETS_H_
#define FOREFLOW_MODELS_TRAIN_TEST_DATASETS_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "models/base/rng.h"
#include "models/train/dataset.h"

namespace foreflow::train {

// Rows of sequences that take turns at random, split 60/20/20 in order. Symbols are uniform. The class is
// that of the law below with probability kSure, otherwise one of the two others; the real value is the first
// input plus a uniform number in [0, 1).
//   law: 0 where the last two symbols of the sequence have the same lowest bit, else 1 + (the symbol's bit 1)
struct KnownLaw {
  static constexpr double kSure = 0.9;
  static double EntropyNats() { return -kSure * std::log(kSure) - (1 - kSure) * std::log((1 - kSure) / 2); }
};

inline Dataset DatasetOfKnownLaw(std::uint64_t seed, std::uint32_t rows, std::uint32_t sequences,
                                 bool has_input) {
  Rng rng(seed, "train.test");
  Dataset dataset;
  dataset.task = "next-type";
  dataset.feature_set = 1;
  dataset.symbols = 4;
  if (has_input) dataset.input_names = {"x"};
  Target type{"type", {"a", "b", "c"}, {}, {}};
  Target value{"value", {}, {}, {}};
  std::vector<std::uint8_t> last(sequences, 0);
  for (std::uint32_t row = 0; row < rows; ++row) {
    const std::uint32_t sequence = rng.Below(sequences);
    const auto symbol = static_cast<std::uint8_t>(rng.Below(4));
    const int law = (symbol & 1) == (last[sequence] & 1) ? 0 : 1 + (symbol >> 1);
    last[sequence] = symbol;
    int label = law;
    if (rng.Real() >= KnownLaw::kSure) label = (law + 1 + static_cast<int>(rng.Below(2))) % 3;
    const auto x = static_cast<float>(rng.Real() * 4);
    dataset.sequence.push_back(sequence);
    dataset.source.push_back(sequence % 2);
    dataset.split.push_back(row < rows * 6 / 10   ? kTrainSplit
                            : row < rows * 8 / 10 ? kValidationSplit
                                                  : kTestSplit);
    dataset.symbol.push_back(symbol);
    if (has_input) dataset.inputs.push_back(x);
    const bool is_known = rng.Below(8) != 0;
    type.label.push_back(static_cast<std::int8_t>(is_known ? label : -1));
    value.value.push_back(is_known ? (has_input ? x : 0) + static_cast<float>(rng.Real())
                                   : std::numeric_limits<float>::quiet_NaN());
  }
  dataset.targets = {type, value};
  return dataset;
}

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_TEST_DATASETS_H_
