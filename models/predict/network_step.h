// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_NETWORK_STEP_H_
#define FOREFLOW_MODELS_PREDICT_NETWORK_STEP_H_

#include <cstddef>
#include <cstdint>

#include "models/predict/lane_pack.h"
#include "models/predict/network_weights.h"
#include "models/predict/vector_math.h"

// The steps of gru, lstm and mlp, once, for any instruction set `Set`:
//   Set::Wide, Set::Eight     vectors, see scalar_lanes.h
//   Set::Rows<B>              B rows of eight floats, see vector_math::Softmax
//   Set::kBatch<G>            sequences that share a load of weights
//   Set::kColumns<B, G>       vectors of units times B sequences times G gates that fit in registers
// Included by the file of each instruction set, whose compiler options decide what the code becomes. What a
// lane computes, and in which order, does not depend on any of the three: sums begin with embedding or bias,
// add inputs, then hidden units in ascending order, each by one fused multiply-add.
namespace foreflow::predict::network_step {

// Vectors that go through the gates' functions side by side.
constexpr std::size_t kPack = 4;

// What one batch of steps works on.
template <std::size_t B>
struct Batch {
  const ModelStep* steps;
  const float* row[B];                            // of the embedding
  float input[B][kMaxInputs];                     // scaled
  alignas(64) float hidden[B][kMaxNetworkWidth];  // what the heads read
  bool has_output = false;
};

template <std::size_t B>
[[gnu::always_inline]] inline void Begin(const NetworkWeights& weights, const ModelStep* steps,
                                         std::size_t row_width, Batch<B>& batch) {
  batch.steps = steps;
  for (std::size_t b = 0; b < B; ++b) {
    batch.row[b] = weights.embedding + steps[b].symbol * row_width;
    for (std::size_t f = 0; f < weights.inputs; ++f)
      batch.input[b][f] = (steps[b].inputs[f] - weights.input_mean[f]) * weights.input_scale[f];
    batch.has_output |= steps[b].output != nullptr;
  }
}

// acc[b] += row k of `matrix` * x[b][k] for k in 0..depth-1; rows are `stride` floats apart.
template <class V, std::size_t B>
[[gnu::always_inline]] inline void MultiplyAdd(const float* matrix, std::size_t stride, const float* x,
                                               std::size_t x_stride, std::size_t depth, V (&acc)[B]) {
  for (std::size_t k = 0; k < depth; ++k) {
    const V weight = V::Load(matrix + k * stride);
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) acc[b] = Fma(weight, V::Broadcast(x[b * x_stride + k]), acc[b]);
  }
}

// head_bias + hidden * head for one vector of outputs, in four sums of every fourth unit: the first with the
// bias, then (first + second) + (third + fourth).
template <class V, std::size_t B>
[[gnu::always_inline]] inline void HeadColumn(const NetworkWeights& weights, std::size_t depth,
                                              const Batch<B>& batch, std::size_t at,
                                              float (&value)[B][kMaxHeadWidth]) {
  V sum[4][B];
#pragma GCC unroll 4
  for (std::size_t b = 0; b < B; ++b) {
    sum[0][b] = V::Load(weights.head_bias + at);
    sum[1][b] = sum[2][b] = sum[3][b] = V::Broadcast(0);
  }
  const float* row = weights.head + at;
  for (std::size_t k = 0; k < depth; k += 4) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i, row += weights.head_width) {
      const V weight = V::Load(row);
#pragma GCC unroll 4
      for (std::size_t b = 0; b < B; ++b)
        sum[i][b] = Fma(weight, V::Broadcast(batch.hidden[b][k + i]), sum[i][b]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t b = 0; b < B; ++b)
    ((sum[0][b] + sum[1][b]) + (sum[2][b] + sum[3][b])).Store(&value[b][at]);
}

template <class Set, std::size_t B>
[[gnu::always_inline]] inline void Heads(const NetworkWeights& weights, std::size_t depth,
                                         const Batch<B>& batch) {
  using Wide = typename Set::Wide;
  using Eight = typename Set::Eight;
  if (!batch.has_output) return;
  alignas(64) float value[B][kMaxHeadWidth];
  std::size_t at = 0;
  for (; at + Wide::kLanes <= weights.head_width; at += Wide::kLanes)
    HeadColumn<Wide>(weights, depth, batch, at, value);
  for (; at < weights.head_width; at += kGroup) HeadColumn<Eight>(weights, depth, batch, at, value);

  std::size_t written = 0;
  for (std::size_t i = 0; i < weights.head_count; ++i) {
    const NetworkWeights::HeadShape& head = weights.heads[i];
    float* output[B];
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b)
      output[b] = batch.steps[b].output == nullptr ? nullptr : batch.steps[b].output + written;
    if (head.is_class) {
      vector_math::Softmax<typename Set::template Rows<B>>(&value[0][head.first], kMaxHeadWidth, head.outputs,
                                                           output);
    } else {
      for (std::size_t b = 0; b < B; ++b) {
        if (output[b] != nullptr) vector_math::RunningMaximum(&value[b][head.first], head.outputs, output[b]);
      }
    }
    written += head.outputs;
  }
}

// What embedding and inputs give gates first..first + K - 1 of U vectors of units, from vector `column` on,
// for each of B sequences: sum[gate][u * B + b].
template <class V, std::size_t G, std::size_t K, std::size_t B, std::size_t N>
[[gnu::always_inline]] inline void FromInput(const NetworkWeights& weights, const Batch<B>& batch,
                                             std::size_t column, std::size_t first, V (&sum)[K][N]) {
  constexpr std::size_t kPerBlock = kBlock / V::kLanes, U = N / B;
#pragma GCC unroll 4
  for (std::size_t u = 0; u < U; ++u) {
    const std::size_t block = (column + u) / kPerBlock, lane = (column + u) % kPerBlock * V::kLanes;
#pragma GCC unroll 4
    for (std::size_t g = 0; g < K; ++g) {
      const std::size_t at = (block * G + first + g) * kBlock + lane;
#pragma GCC unroll 4
      for (std::size_t b = 0; b < B; ++b) sum[g][u * B + b] = V::Load(batch.row[b] + at);
    }
  }
  for (std::size_t f = 0; f < weights.inputs; ++f) {
#pragma GCC unroll 4
    for (std::size_t u = 0; u < U; ++u) {
      const std::size_t block = (column + u) / kPerBlock, lane = (column + u) % kPerBlock * V::kLanes;
#pragma GCC unroll 4
      for (std::size_t g = 0; g < K; ++g) {
        const std::size_t at = ((block * weights.inputs + f) * G + first + g) * kBlock + lane;
        const V weight = V::Load(weights.input + at);
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b)
          sum[g][u * B + b] = Fma(weight, V::Broadcast(batch.input[b][f]), sum[g][u * B + b]);
      }
    }
  }
}

// Adds the product of the recurrent matrix and the hidden states, of H units each, to the sums of all G
// gates.
template <class V, std::size_t G, std::size_t H, std::size_t B, std::size_t N>
[[gnu::always_inline]] inline void AddRecurrent(const NetworkWeights& weights,
                                                const float* const (&hidden)[B], std::size_t column,
                                                V (&sum)[G][N]) {
  constexpr std::size_t kPerBlock = kBlock / V::kLanes, U = N / B;
  const float* matrix[U];
  for (std::size_t u = 0; u < U; ++u) {
    const std::size_t block = (column + u) / kPerBlock;
    matrix[u] = weights.recurrent + block * H * G * kBlock + (column + u) % kPerBlock * V::kLanes;
  }
  for (std::size_t k = 0; k < H; ++k) {
    V state[B];
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) state[b] = V::Broadcast(hidden[b][k]);
#pragma GCC unroll 4
    for (std::size_t u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (std::size_t g = 0; g < G; ++g) {
        const V weight = V::Load(matrix[u] + (k * G + g) * kBlock);
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b) sum[g][u * B + b] = Fma(weight, state[b], sum[g][u * B + b]);
      }
    }
  }
}

// Vectors first..first + P - 1 of an array.
template <std::size_t P, class V, std::size_t N>
[[gnu::always_inline]] inline Pack<V, P> PackOf(const V (&vectors)[N], std::size_t first) {
  Pack<V, P> pack;
#pragma GCC unroll 4
  for (std::size_t i = 0; i < P; ++i) pack.v[i] = vectors[first + i];
  return pack;
}

// r = 1 / (1 + R), z = 1 / (1 + Z), n = (N - 1) / (N + 1) with powers of two R, Z, N; the new state is
// n + z (h - n) = ((N - 1) Z + h (N + 1)) / ((Z + 1) (N + 1)): one division instead of two.
template <class V>
[[gnu::always_inline]] inline V GruUpdate(V r, V z, V n_input, V n_hidden, V h) {
  const V one = V::Broadcast(1);
  const V reset = one / (one + vector_math::Exp2(r));
  const V n = vector_math::Exp2(Fma(reset, n_hidden, n_input));
  const V keep = vector_math::Exp2(z);
  const V n_plus = n + one;
  return Fma(h, n_plus, (n - one) * keep) / ((keep + one) * n_plus);
}

// With powers of two I, F, N, O of the gates: c' = c / (1 + F) + (N - 1) / ((N + 1) (1 + I)), and
// h' = (C - 1) / ((C + 1) (1 + O)), C of c'.
template <class V>
[[gnu::always_inline]] inline V LstmUpdate(V i, V f, V n, V o, V& c) {
  const V one = V::Broadcast(1);
  const V input = one + vector_math::Exp2(i);
  const V forget = one + vector_math::Exp2(f);
  const V power = vector_math::Exp2(n);
  const V gain = input * (power + one);
  c = Fma(c, gain, (power - one) * forget) / (gain * forget);
  const V squashed = vector_math::Exp2(c * V::Broadcast(2 * vector_math::kLog2E));
  return (squashed - one) / ((squashed + one) * (one + vector_math::Exp2(o)));
}

// Writes what was computed for the heads back to the states.
template <class V, std::size_t H, std::size_t B>
[[gnu::always_inline]] inline void StoreHidden(const Batch<B>& batch) {
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t unit = 0; unit < H; unit += V::kLanes)
      V::Load(&batch.hidden[b][unit]).Store(static_cast<float*>(batch.steps[b].state) + unit);
  }
}

template <class Set, std::size_t H, std::size_t B>
void Gru(const NetworkWeights& weights, const ModelStep* steps) {
  using V = typename Set::Wide;
  constexpr std::size_t kGates = 3, kVectors = H / V::kLanes, kFit = Set::template kColumns<B, kGates>;
  constexpr std::size_t U = kFit < kVectors ? kFit : kVectors, N = U * B, P = N < kPack ? N : kPack;
  Batch<B> batch;
  Begin(weights, steps, kGates * H, batch);
  const float* hidden[B];
  for (std::size_t b = 0; b < B; ++b) hidden[b] = static_cast<const float*>(steps[b].state);
  for (std::size_t column = 0; column < kVectors; column += U) {
    V sum[kGates][N], n_input[1][N], old[N];
    {
      V start[2][N];
      FromInput<V, kGates>(weights, batch, column, 0, start);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < N; ++i) {
        sum[0][i] = start[0][i];
        sum[1][i] = start[1][i];
        sum[2][i] = V::Load(weights.bias_hn + (column + i / B) * V::kLanes);
      }
    }
    AddRecurrent<V, kGates, H>(weights, hidden, column, sum);
    FromInput<V, kGates>(weights, batch, column, 2, n_input);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < N; ++i) old[i] = V::Load(hidden[i % B] + (column + i / B) * V::kLanes);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N; i += P) {
      const Pack<V, P> next = GruUpdate(PackOf<P>(sum[0], i), PackOf<P>(sum[1], i), PackOf<P>(n_input[0], i),
                                        PackOf<P>(sum[2], i), PackOf<P>(old, i));
#pragma GCC unroll 4
      for (std::size_t p = 0; p < P; ++p)
        next.v[p].Store(&batch.hidden[(i + p) % B][(column + (i + p) / B) * V::kLanes]);
    }
  }
  StoreHidden<V, H>(batch);
  Heads<Set>(weights, H, batch);
}

// The state is h[H], then c[H].
template <class Set, std::size_t H, std::size_t B>
void Lstm(const NetworkWeights& weights, const ModelStep* steps) {
  using V = typename Set::Wide;
  constexpr std::size_t kGates = 4, kVectors = H / V::kLanes, kFit = Set::template kColumns<B, kGates>;
  constexpr std::size_t U = kFit < kVectors ? kFit : kVectors, N = U * B, P = N < kPack ? N : kPack;
  Batch<B> batch;
  Begin(weights, steps, kGates * H, batch);
  const float* hidden[B];
  for (std::size_t b = 0; b < B; ++b) hidden[b] = static_cast<const float*>(steps[b].state);
  for (std::size_t column = 0; column < kVectors; column += U) {
    V sum[kGates][N], cell[N];
    FromInput<V, kGates>(weights, batch, column, 0, sum);
    AddRecurrent<V, kGates, H>(weights, hidden, column, sum);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < N; ++i) cell[i] = V::Load(hidden[i % B] + H + (column + i / B) * V::kLanes);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N; i += P) {
      Pack<V, P> c = PackOf<P>(cell, i);
      const Pack<V, P> next = LstmUpdate(PackOf<P>(sum[0], i), PackOf<P>(sum[1], i), PackOf<P>(sum[2], i),
                                         PackOf<P>(sum[3], i), c);
#pragma GCC unroll 4
      for (std::size_t p = 0; p < P; ++p) {
        const std::size_t b = (i + p) % B, unit = (column + (i + p) / B) * V::kLanes;
        next.v[p].Store(&batch.hidden[b][unit]);
        c.v[p].Store(static_cast<float*>(steps[b].state) + H + unit);
      }
    }
  }
  StoreHidden<V, H>(batch);
  Heads<Set>(weights, H, batch);
}

template <class Set, std::size_t B>
void Mlp(const NetworkWeights& weights, const ModelStep* steps) {
  using V = typename Set::Wide;
  const V zero = V::Broadcast(0);
  Batch<B> batch;
  Begin(weights, steps, weights.hidden, batch);
  for (std::size_t unit = 0; unit < weights.hidden; unit += V::kLanes) {
    V sum[1][B];
    FromInput<V, 1>(weights, batch, unit / V::kLanes, 0, sum);
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) Max(sum[0][b], zero).Store(&batch.hidden[b][unit]);
  }
  std::size_t depth = weights.hidden;
  if (weights.hidden_2 > 0) {
    alignas(64) float second[B][kMaxNetworkWidth];
    for (std::size_t unit = 0; unit < weights.hidden_2; unit += V::kLanes) {
      const float* matrix = weights.dense + unit / kBlock * depth * kBlock + unit % kBlock;
      V acc[B];
#pragma GCC unroll 4
      for (std::size_t b = 0; b < B; ++b) acc[b] = V::Load(weights.bias_2 + unit);
      MultiplyAdd(matrix, kBlock, batch.hidden[0], kMaxNetworkWidth, depth, acc);
#pragma GCC unroll 4
      for (std::size_t b = 0; b < B; ++b) Max(acc[b], zero).Store(&second[b][unit]);
    }
    depth = weights.hidden_2;
    for (std::size_t b = 0; b < B; ++b) {
      for (std::size_t unit = 0; unit < depth; unit += V::kLanes)
        V::Load(&second[b][unit]).Store(&batch.hidden[b][unit]);
    }
  }
  Heads<Set>(weights, depth, batch);
}

// Whether no two steps are of the same sequence.
template <std::size_t B>
[[gnu::always_inline]] inline bool AreDistinct(const ModelStep* steps) {
  bool distinct = true;
  for (std::size_t a = 0; a < B; ++a) {
    for (std::size_t b = a + 1; b < B; ++b) distinct &= steps[a].state != steps[b].state;
  }
  return distinct;
}

template <std::size_t kStateBytes>
[[gnu::always_inline]] inline void Prefetch(const ModelStep* steps, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) {
    for (std::size_t line = 0; line < kStateBytes; line += 64)
      __builtin_prefetch(static_cast<const char*>(steps[i].state) + line, 1);
  }
}

// Batches of B while there are enough steps of different sequences, the rest one at a time.
template <std::size_t B, std::size_t kStateBytes, void (*kBatch)(const NetworkWeights&, const ModelStep*),
          void (*kOne)(const NetworkWeights&, const ModelStep*)>
void Run(const NetworkWeights& weights, const ModelStep* steps, std::size_t count) {
  std::size_t ahead = 0;
  for (std::size_t i = 0; i < count;) {
    const std::size_t end = i + 2 * B < count ? i + 2 * B : count;
    if (ahead < end) Prefetch<kStateBytes>(steps, ahead, end);
    ahead = end;
    if (B > 1 && i + B <= count && (kStateBytes == 0 || AreDistinct<B>(steps + i))) {
      kBatch(weights, steps + i);
      i += B;
    } else {
      kOne(weights, steps + i);
      ++i;
    }
  }
}

template <class Set, std::size_t H>
NetworkStep GruOf() {
  constexpr std::size_t B = Set::template kBatch<3>;
  return Run<B, H * sizeof(float), Gru<Set, H, B>, Gru<Set, H, 1>>;
}
template <class Set, std::size_t H>
NetworkStep LstmOf() {
  constexpr std::size_t B = Set::template kBatch<4>;
  return Run<B, 2 * H * sizeof(float), Lstm<Set, H, B>, Lstm<Set, H, 1>>;
}

template <class Set>
void Softmax(float* logit, std::size_t outputs, float* output) {
  float* const outputs_of_one[1] = {output};
  vector_math::Softmax<typename Set::template Rows<1>>(logit, 0, outputs, outputs_of_one);
}

template <class Set>
NetworkKernels KernelsOf() {
  constexpr std::size_t B = Set::template kBatch<1>;
  NetworkKernels kernels;
  kernels.gru[0] = GruOf<Set, 16>();
  kernels.gru[1] = GruOf<Set, 32>();
  kernels.gru[2] = GruOf<Set, 64>();
  kernels.lstm[0] = LstmOf<Set, 16>();
  kernels.lstm[1] = LstmOf<Set, 32>();
  kernels.lstm[2] = LstmOf<Set, 64>();
  kernels.mlp = Run<B, 0, Mlp<Set, B>, Mlp<Set, 1>>;
  kernels.softmax = Softmax<Set>;
  return kernels;
}

}  // namespace foreflow::predict::network_step

#endif  // FOREFLOW_MODELS_PREDICT_NETWORK_STEP_H_
