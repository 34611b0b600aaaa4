// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_NETWORK_WEIGHTS_H_
#define FOREFLOW_MODELS_PREDICT_NETWORK_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "models/predict/sequence_model.h"

namespace foreflow::predict {

// Hidden units that lie side by side: a vector of 512 bits.
constexpr std::size_t kBlock = 16;
// Outputs that are computed side by side; each head begins a new group.
constexpr std::size_t kGroup = 8;
// The logit of what fills up a class head's last group: its share underflows against the greatest.
constexpr float kNoLogit = -1e30f;

// The weights of a gru, lstm or mlp as its kernels read them: pointers to 64 B aligned memory, and plain
// numbers, so that the files of each instruction set need nothing else.
//
// The units of a layer come in blocks of 16, the gates of a block side by side:
//   embedding  [symbol][block][gate][16]     input      [block][input][gate][16]
//   recurrent  [block][k][gate][16]          bias_hn    [block][16], gru only
// Everything that a logistic function follows is scaled by -log2(e), what tanh follows by 2 log2(e), so that
// the kernels need powers of 2 only.
//   dense      [block][k][16], bias_2 [block][16]: an mlp's second layer, where it has one
//   head       [k][head_width], head_bias [head_width]: divided by the head's temperature
struct NetworkWeights {
  const float* embedding = nullptr;
  const float* input = nullptr;
  const float* recurrent = nullptr;
  const float* bias_hn = nullptr;
  const float* dense = nullptr;
  const float* bias_2 = nullptr;
  const float* head = nullptr;
  const float* head_bias = nullptr;
  const float* input_mean = nullptr;
  const float* input_scale = nullptr;

  std::size_t inputs = 0;
  std::size_t hidden = 0;
  std::size_t hidden_2 = 0;    // an mlp's second layer; 0: none
  std::size_t head_width = 0;  // outputs with each head filled up to whole groups

  // Where a head's outputs lie among the padded ones.
  struct HeadShape {
    std::uint16_t first = 0;    // of head_width
    std::uint16_t outputs = 0;  // of these
    bool is_class = true;
  };
  HeadShape heads[kMaxHeads];
  std::size_t head_count = 0;
};

// Units of the widest layer that is served, and outputs of the widest heads with what fills up their groups.
constexpr std::size_t kMaxNetworkWidth = 256;
constexpr std::size_t kMaxHeadWidth = kMaxOutputs + kMaxHeads * kGroup;

// Makes `count` steps, in batches as wide as the instruction set likes.
using NetworkStep = void (*)(const NetworkWeights& weights, const ModelStep* steps, std::size_t count);

// The kernels of one instruction set; null where this build has none.
struct NetworkKernels {
  NetworkStep gru[3] = {};   // hidden 16, 32, 64
  NetworkStep lstm[3] = {};  // hidden 16, 32, 64
  NetworkStep mlp = nullptr;
  // vector_math::Softmax.
  void (*softmax)(float* logit, std::size_t outputs, float* output) = nullptr;
};

// Of a set that is usable.
NetworkKernels NetworkKernelsOf(InstructionSet set);

// By name of the set, each from a file of its own; the kernels may be called only where the set IsUsable.
NetworkKernels ScalarNetworkKernels();
NetworkKernels Avx2NetworkKernels();
NetworkKernels Avx512NetworkKernels();

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_NETWORK_WEIGHTS_H_
