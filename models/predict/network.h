// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_NETWORK_H_
#define FOREFLOW_MODELS_PREDICT_NETWORK_H_

#include <cstddef>
#include <vector>

#include "models/predict/network_weights.h"
#include "models/predict/sequence_model.h"

namespace foreflow::predict {

// A gru, lstm or mlp, all in float32, with PyTorch's equations (torch.nn.GRU, LSTM, Linear with ReLU):
//
//   gru   r = logistic(e_r + W_r h), z = logistic(e_z + W_z h), n = tanh(e_n + r (W_n h + b_hn)),
//         h' = n + z (h - n), where e is the symbol's row of the embedding plus weight_ih * inputs
//   lstm  i, f, o = logistic(e + W h), g = tanh(e_g + W_g h), c' = f c + i g, h' = o tanh(c')
//
// A state is h, float[H], or h and c, float[2 H]: one cache line for a gru of 16. Steps are made in
// micro-batches of 4 that share each load of weights, where instruction set and count allow. The instruction
// sets give the same bits, and differ from libtorch by less than 1e-5.
//
// Work: a multiply_add each product of a matrix, a cache_line each 64 B of state.
class Network : public SequenceModel {
 public:
  // A model of kind gru, lstm or mlp. Throws std::invalid_argument where the set is not usable.
  Network(const Model& model, InstructionSet set);

  void Step(const ModelStep* steps, std::size_t count, Work& work) const override;

 private:
  struct alignas(64) Line {
    float value[16];
  };

  // Room for this many floats, zero.
  float* Reserve(std::size_t floats);
  void PackLayers(const Model& model);
  void PackHeads(const Model& model);

  std::vector<std::vector<Line>> memory_;
  NetworkWeights weights_;
  NetworkStep step_ = nullptr;
  std::uint32_t products_ = 0;       // a step, heads not included
  std::uint32_t head_products_ = 0;  // a step whose output is wanted
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_NETWORK_H_
