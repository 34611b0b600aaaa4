// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_AUTOMATON_H_
#define FOREFLOW_MODELS_PREDICT_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/predict/sequence_model.h"

namespace foreflow::predict {

// A recurrent network turned into tables: next_state[state][symbol], and outputs that were calibrated ahead
// for each state. A sequence's state is a std::uint16_t, 0 at its beginning; inputs are not looked at. One
// dependent look-up a step; the states of steps to come are fetched ahead.
//
// Work: a table_step each step, a cache_line for the state, the transition and, where it is wanted, the
// output.
class Automaton : public SequenceModel {
 public:
  explicit Automaton(const Model& model);

  void Step(const ModelStep* steps, std::size_t count, Work& work) const override;

  std::uint16_t Next(std::uint16_t state, std::uint8_t symbol) const {
    return next_[state * symbols() + symbol];
  }
  // What is expected in a state: outputs() floats.
  const float* Output(std::uint16_t state) const { return &output_[state * outputs()]; }
  std::size_t states() const { return next_.size() / symbols(); }
  // Of the tables.
  std::size_t bytes() const { return next_.size() * sizeof(next_[0]) + output_.size() * sizeof(output_[0]); }

 private:
  std::vector<std::uint16_t> next_;
  std::vector<float> output_;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_AUTOMATON_H_
