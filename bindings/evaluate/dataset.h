// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_DATASET_H_
#define FOREFLOW_BINDINGS_EVALUATE_DATASET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace foreflow::evaluate {

// Rows of these are learnt from; rows of kTest are scored.
enum Split : std::uint8_t { kTraining = 0, kValidation = 1, kTest = 2 };

// What is to be predicted: a class, or a real value.
struct Target {
  std::string name;
  std::vector<std::string> classes;  // empty: real-valued
  std::vector<std::int8_t> label;    // a row of classes; -1 unknown
  std::vector<float> value;          // a row of real values; NaN unknown
  // When the row's label became known to an online learner; negative: never.
  std::vector<std::int64_t> resolved_ns;

  bool IsKnown(std::size_t row) const { return classes.empty() ? value[row] == value[row] : label[row] >= 0; }
  // Whether its classes are those of models/predict/packet_type.h.
  bool ArePacketTypes() const;
};

// The last symbols of a VM or a conversation, newest first.
struct History {
  static constexpr std::size_t kLength = 7;
  std::array<std::uint8_t, kLength> symbol{};
  std::uint8_t length = 0;

  void Push(std::uint8_t newest) {
    for (std::size_t i = kLength - 1; i > 0; --i) symbol[i] = symbol[i - 1];
    symbol[0] = newest;
    if (length < kLength) ++length;
  }
};

// dataset.h5 as foreflow-dataset writes it, a column each. Rows are in order of arrival within a source.
struct Dataset {
  std::string path;
  std::string task;
  std::uint32_t feature_set = 0;
  std::uint32_t symbols = 0;
  std::size_t inputs_per_row = 0;
  std::vector<std::string> input_names;
  std::vector<std::string> sources;

  std::vector<std::int64_t> time_ns;  // since the source's first packet
  std::vector<std::uint32_t> sequence;
  std::vector<std::uint16_t> source;
  std::vector<std::uint16_t> vm;
  std::vector<std::uint8_t> split;  // Split
  std::vector<std::uint8_t> symbol;
  std::vector<std::uint8_t>
      known_packets;                  // of the row's flow, when it is predicted; 0 where that is not told
  std::vector<float> inputs;          // rows of inputs_per_row
  std::vector<History> vm_history;    // of the row's VM, the row's own symbol first; at most 3 long
  std::vector<History> flow_history;  // of the row's sequence, in the symbols that models get
  std::vector<Target> targets;
  std::uint32_t sequences = 0;

  std::size_t rows() const { return time_ns.size(); }
  // Of any target.
  bool HasLabel(std::size_t row) const;
};

// Throws Refusal naming file and dataset when something is missing, of another type or length, out of its
// range, or out of order. `targets`: the names to keep, all when empty.
Dataset LoadDataset(const std::string& path, const std::vector<std::string>& targets);

// Throws Refusal unless what `training` teaches can be asked of `data`: the same task, features and targets.
void RequireAlike(const Dataset& data, const Dataset& training);

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_DATASET_H_
