// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_AUTOMATON_H_
#define FOREFLOW_MODELS_PREDICT_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/predict/sequence_model.h"

namespace foreflow::predict {

// A recurrent network turned into tables: next_state[state][code], and outputs that were calibrated ahead for
// each state. A step's code is its symbol, or, where the model has inputs, what a table says of the symbol
// and of the bins that the inputs lie in. A sequence's state is a std::uint16_t, 0 at its beginning. One
// dependent look-up a step; the states of steps to come are fetched ahead.
//
// Work: a table_step each step, a cache_line for the state, the transition and, where it is wanted, the
// output; with inputs also a table_step and a cache_line for the code, and a multiply_add for each edge that
// an input is compared with.
class Automaton : public SequenceModel {
 public:
  // A model of kind automaton, as ParseModel or SerialiseModel has checked it. Copies the tables.
  explicit Automaton(const Model& model);

  void Step(const ModelStep* steps, std::size_t count, Work& work) const override;

  // The state after a step. `state` is below states(), `symbol` below symbols(); `inputs`: inputs() floats,
  // not looked at where there are none.
  std::uint16_t Next(std::uint16_t state, std::uint8_t symbol, const float* inputs) const {
    return next_[state * codes_ + (step_code_.empty() ? symbol : CodeOf(symbol, inputs))];
  }
  // What is expected in a state: outputs() floats.
  const float* Output(std::uint16_t state) const { return &output_[state * outputs()]; }
  std::size_t states() const { return next_.size() / codes_; }
  // Of the tables.
  std::size_t bytes() const {
    return (next_.size() + step_code_.size()) * sizeof(next_[0]) +
           (output_.size() + edge_.size()) * sizeof(float);
  }

 private:
  // The edges of an input that is looked at.
  struct Bins {
    std::size_t input;
    std::size_t first;  // of edge_
    std::size_t edges;
  };

  std::size_t CodeOf(std::uint8_t symbol, const float* inputs) const {
    std::size_t cell = 0;
    for (const Bins& bins : bins_) {
      const float x = inputs[bins.input];
      std::size_t bin = 0;
      for (std::size_t i = 0; i < bins.edges; ++i) bin += edge_[bins.first + i] <= x ? 1 : 0;
      cell = cell * (bins.edges + 1) + bin;
    }
    return step_code_[symbol * cells_ + cell];
  }

  std::size_t codes_;  // symbols(), where there is no step_code_
  std::size_t cells_ = 1;
  std::vector<Bins> bins_;
  std::vector<float> edge_;
  std::vector<std::uint16_t> step_code_;
  std::vector<std::uint16_t> next_;
  std::vector<float> output_;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_AUTOMATON_H_
