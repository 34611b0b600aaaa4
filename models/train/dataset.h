// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_DATASET_H_
#define FOREFLOW_MODELS_TRAIN_DATASET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace foreflow::train {

// Slices of a dataset, by time within each source.
constexpr std::uint8_t kTrainSplit = 0;
constexpr std::uint8_t kValidationSplit = 1;
constexpr std::uint8_t kTestSplit = 2;
constexpr std::uint8_t kDroppedSplit = 255;  // between two of them: such rows only step the state

// What is to be predicted of every row: a class, or a real value.
struct Target {
  std::string name;
  std::vector<std::string> classes;  // 2 to 127; empty: a real value
  std::vector<std::int8_t> label;    // by row, a class; -1: unknown
  std::vector<float> value;          // by row; NaN: unknown

  bool is_class() const { return !classes.empty(); }
  bool is_known(std::size_t row) const;
};

// The rows of a dataset file (written by foreflow-dataset) in order of arrival: 1 to 2^28, and at least one
// target.
struct Dataset {
  std::string task;
  std::uint32_t feature_set = 0;         // version of what symbols and inputs mean
  std::uint32_t symbols = 0;             // 1 to 256
  std::vector<std::string> input_names;  // F of them
  std::vector<std::uint32_t> sequence;   // by row, as all below: which one of the file, < rows
  std::vector<std::uint32_t> source;     // the capture
  std::vector<std::uint8_t> split;       // one of those above
  std::vector<std::uint8_t> symbol;      // < symbols
  std::vector<float> inputs;             // rows x F, finite
  std::vector<Target> targets;
  // SHA-256 of all of the above: it does not depend on how the file is compressed.
  std::array<std::uint8_t, 32> digest{};

  std::size_t rows() const { return sequence.size(); }
};

// Throws Refusal where the file is none, or breaks a bound stated above. Turns HDF5's own messages off.
Dataset ReadDataset(const std::string& path);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_DATASET_H_
