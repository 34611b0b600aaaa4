// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_REFERENCE_H_
#define FOREFLOW_MODELS_TRAIN_REFERENCE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/predict/model_file.h"

namespace foreflow::train {

// One sequence of steps, as a model reads it.
struct Steps {
  std::vector<std::uint8_t> symbol;
  std::vector<float> input;  // steps x inputs, not scaled yet
};

// A model file's gru, lstm or mlp run by libtorch's own modules (torch::nn::GRU, LSTM, Linear): what our
// kernels are compared with, and the baseline "libtorch model".
class Reference {
 public:
  // Throws Refusal where the model is of another kind. One thread.
  explicit Reference(const predict::Model& model);
  ~Reference();

  // Probabilities and quantiles after every step: steps x outputs, a vector a sequence. Sequences that follow
  // each other run together, padded to the longest: sort them by length where there are many.
  std::vector<std::vector<float>> Run(const std::vector<Steps>& sequences);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_REFERENCE_H_
