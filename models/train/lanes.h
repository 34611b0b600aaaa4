// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_LANES_H_
#define FOREFLOW_MODELS_TRAIN_LANES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/train/dataset.h"

namespace foreflow::train {

// Some steps of some lanes, time-major: the value of a step and lane lies at step * lanes + lane.
struct Chunk {
  static constexpr std::int64_t kNoLabel = -1;

  std::uint32_t steps = 0;
  std::uint32_t lanes = 0;
  std::vector<std::int64_t> symbol;
  std::vector<float> inputs;  // x F
  std::vector<float> keep;    // 0 where a sequence begins: the state is cleared before the step
  std::vector<std::vector<std::int64_t>>
      labels;                              // a target; kNoLabel: not to be learnt from; empty for real values
  std::vector<std::vector<float>> values;  // a target; NaN: not to be learnt from; empty for classes
  std::vector<std::uint32_t> row;          // of the dataset; UINT32_MAX: padding

  std::size_t size() const { return std::size_t{steps} * lanes; }
};

// Lays the sequences of a dataset end to end in lanes of nearly equal length, so that a step of all lanes is
// one matrix product and nothing is padded but the ends.
//
// Rows of `split` are learnt from or scored; earlier rows of their sequences only step the state, later ones
// are left out. With `most_rows` > 0 long sequences are cut in parts of that many rows, each after kWarmRows
// rows that only step the state.
class Lanes {
 public:
  static constexpr std::uint32_t kWarmRows = 32;

  // `dataset` must outlive this.
  Lanes(const Dataset& dataset, std::uint8_t split, std::uint32_t lanes, std::uint32_t most_rows);

  // Lays the sequences out in another order, which (seed, epoch) name.
  void Shuffle(std::uint64_t seed, std::uint32_t epoch);

  // Known labels of `split`, a target.
  const std::vector<std::uint64_t>& known() const { return known_; }
  // Of the longest lane.
  std::size_t steps() const { return steps_; }
  // The steps [first, first + steps) of all lanes; past the end there is padding.
  Chunk At(std::size_t first, std::uint32_t steps) const;

 private:
  struct Part {
    std::uint32_t first;   // in rows_
    std::uint32_t warm;    // rows of it that only step the state
    std::uint32_t length;  // warm rows and all
  };
  struct Placed {
    std::uint32_t part;
    std::size_t begin;  // in steps of the lane
  };
  void Lay();

  const Dataset& dataset_;
  std::uint8_t split_;
  std::vector<std::uint32_t> rows_;  // of the dataset, sequence by sequence
  std::vector<Part> parts_;
  std::vector<std::vector<Placed>> lane_;
  std::vector<std::uint64_t> known_;
  std::size_t steps_ = 0;
};

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_LANES_H_
