// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_STEP_CODES_H_
#define FOREFLOW_MODELS_TRAIN_STEP_CODES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/train/dataset.h"
#include "models/train/symbol_parts.h"

namespace foreflow::train {

// One code for a step's symbol and inputs together: a finer alphabet, for an automaton, which reads nothing
// else. Each input lies in one of its bins, the bins of all inputs make a cell, and a table says the code of
// a symbol and a cell.
struct StepCodes {
  static constexpr std::uint32_t kMost = 256;  // a dataset's symbols are bytes
  static constexpr std::size_t kMostCells = 512;

  std::uint32_t symbols = 0;              // that the table reads
  std::uint32_t count = 0;                // of codes
  std::vector<std::vector<float>> edges;  // by input, increasing: bin = how many are <= the input
  std::vector<std::uint16_t> code;  // symbols x cells; of the cell's digits the last input's is the lowest

  // The bins of all inputs, multiplied: at most kMostCells.
  std::size_t cells() const;
  // Of the inputs of one step, not scaled: as many as there are edges.
  std::size_t CellOf(const float* inputs) const;
  // The code, below `count`.
  std::uint16_t Of(std::uint8_t symbol, const float* inputs) const {
    return code[symbol * cells() + CellOf(inputs)];
  }
};

// Codes that are the symbols: no input is looked at.
StepCodes SymbolsAsCodes(std::uint32_t symbols);

// Chooses codes. Input i gets at most bins[i] bins (1: it is not looked at), of equally many training rows
// above its least value, which has one of its own. Every symbol begins with one code; then the code is split
// in two, at an edge of an input, whose split gains most, until there are kMost or none gains. The gain is
// that in log loss, summed over the class targets by `weight`, where each code counts its rows' labels, and
// each capture is predicted by the counts of the others (with one capture alone: each eighth of its
// sequences). Throws Refusal where there are more than kMostCells cells.
StepCodes ChooseCodes(const Dataset& dataset, const std::vector<std::uint32_t>& bins,
                      const std::vector<double>& weight);

// The dataset with codes for symbols, and without inputs.
Dataset Coded(const Dataset& dataset, const StepCodes& codes);

// What codes have in common: the parts of their symbols, and their mean inputs in standard deviations.
SymbolParts PartsOf(const Dataset& dataset, const StepCodes& codes);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_STEP_CODES_H_
