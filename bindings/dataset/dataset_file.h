// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DATASET_DATASET_FILE_H_
#define FOREFLOW_BINDINGS_DATASET_DATASET_FILE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/units.h"

namespace foreflow::dataset {

constexpr std::uint32_t kFormat = 1;

// Which part of its source a row belongs to, by time.
enum Split : std::uint8_t { kTrain = 0, kValidation = 1, kTest = 2, kDropped = 255 };

// What is to be predicted: one of `classes`, or a real number where there are none.
struct Target {
  std::string name;
  std::vector<std::string> classes;
  std::string unit;  // of a real number
};

// What the rows of a task hold, the same for all sources.
struct Description {
  std::string task;
  std::uint32_t feature_set = 0;
  std::uint32_t symbols = 0;  // a row's symbol is below, <= 256
  std::vector<std::string> input_names;
  std::vector<Target> targets;
};

// Rows of one source, by column; all columns are as long as `time_ns`, inputs and targets by their widths.
struct Rows {
  std::vector<std::int64_t> time_ns;    // since the source's first packet; ascending
  std::vector<std::uint32_t> sequence;  // from 0 in each source
  std::vector<std::uint16_t> vm;        // whose prediction it is; 0: nobody's, the row only steps the state
  std::vector<std::uint8_t> split;      // Split
  std::vector<std::uint8_t> symbol;
  std::vector<float> inputs;                // row after row
  std::vector<std::int64_t> next_time_ns;   // when what is predicted happens: the deadline; -1 unknown
  std::vector<std::int64_t> resolved_ns;    // when the first target is known to one who watches; -1 never
  std::vector<std::uint8_t> known_packets;  // of the flow, when the prediction is made; saturated
  std::vector<std::array<std::uint8_t, 4>>
      context;                                    // predict::Context: symbols, newest first, and their number
  std::vector<std::vector<std::int8_t>> classes;  // by target: class, -1 unknown; empty for a real target
  std::vector<std::vector<float>> values;         // by target: NaN unknown; empty for a class target

  std::size_t size() const { return time_ns.size(); }
};

// A capture, or what stands for one.
struct Source {
  std::string name;
  std::string sha256;     // of its file, in hexadecimal
  bool held_out = false;  // all of it tests
};

// Splits the rows of one source by time: the first 60 % of its rows (in order of time) train, the next 20 %
// validate, the rest tests. A row stays in its slice only where everything that it or its label was made from
// up to `horizon` ahead lies before the slice's end; others are dropped, so that no row of one slice lies
// within a horizon of the next. `known_ns[target][row]` is when that target's value is settled: a target that
// is settled only after the slice's end becomes unknown.
void SplitByTime(Nanos horizon, bool held_out, const std::vector<std::vector<std::int64_t>>& known_ns,
                 Rows& rows);

// Writes `path`: see README.md for its layout. The same arguments give the same bytes. Throws Refusal where
// the file cannot be created, std::runtime_error where the disk does not take it.
void WriteDataset(const std::string& path, const Description& description, Nanos horizon,
                  const std::vector<Source>& sources, const std::vector<Rows>& rows);

}  // namespace foreflow::dataset

#endif  // FOREFLOW_BINDINGS_DATASET_DATASET_FILE_H_
