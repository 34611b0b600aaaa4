// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_SYMBOL_PARTS_H_
#define FOREFLOW_MODELS_TRAIN_SYMBOL_PARTS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace foreflow::train {

// What the symbols of a feature set have in common, so that a symbol that training hardly shows is not a
// stranger: its coordinates begin as the sum of those of its parts. Row-major, symbols x count; 1 where a
// symbol has the part.
struct SymbolParts {
  std::uint32_t count = 0;
  std::vector<float> has;
};

// The parts of sequence_features.h's symbols: role, size, run, kind, idleness, silence. None (count 0) for
// tasks whose symbols are only numbers.
SymbolParts PartsOf(const std::string& task, std::uint32_t feature_set, std::uint32_t symbols);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_SYMBOL_PARTS_H_
