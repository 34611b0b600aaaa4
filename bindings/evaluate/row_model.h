// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_ROW_MODEL_H_
#define FOREFLOW_BINDINGS_EVALUATE_ROW_MODEL_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "bindings/evaluate/dataset.h"
#include "models/base/work.h"

namespace foreflow::evaluate {

// Levels of the quantiles that a forecast states where no model file says others.
inline constexpr float kQuantileLevels[] = {0.05f, 0.1f, 0.25f, 0.5f, 0.75f, 0.9f, 0.95f};

// What a model says of one row: for each target the probabilities of its classes, or quantiles at its levels.
// NaN where it says nothing.
using Output = std::vector<std::vector<float>>;

// One predictor as it walks over the rows of a dataset in order of time.
class RowModel {
 public:
  virtual ~RowModel() = default;
  // Row `row` arrives. `output` has the right sizes and is NaN throughout. Called for every row: each moves
  // states.
  virtual void Step(std::size_t row, Output& output, Work& work) = 0;
  // The label of an earlier row is known now.
  virtual void Learn(std::size_t /*row*/, std::size_t /*target*/, Work& /*work*/) {}
  // Of a real-valued target.
  virtual std::vector<float> Levels(std::size_t /*target*/) const {
    return {std::begin(kQuantileLevels), std::end(kQuantileLevels)};
  }
};

// One of the right sizes.
Output MakeOutput(const Dataset& data, const RowModel& model);

// Shows `model` every row of `data`, in order. A row's label is shown when a row of the same source arrives
// later than its `resolved_ns`, in order of that time: nothing is learnt before it can be known.
// `take(row, output, work)` follows each Step; `work` holds what was done since the row before.
using Take = std::function<void(std::size_t row, const Output& output, const Work& work)>;
void Walk(const Dataset& data, RowModel& model, const Take& take);

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_ROW_MODEL_H_
