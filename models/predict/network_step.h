// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_NETWORK_STEP_H_
#define FOREFLOW_MODELS_PREDICT_NETWORK_STEP_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/predict/lane_pack.h"
#include "models/predict/network_weights.h"
#include "models/predict/vector_math.h"

// The steps of gru, lstm and mlp, once, for any instruction set `Set`:
//   Set::Wide, Set::Eight     vectors, see scalar_lanes.h
//   Set::Rows<B>              B rows of eight floats, see vector_math::Softmax
//   Set::kBatch<G>            sequences that share a load of weights
//   Set::kHeadBatches         batches whose heads are computed together: 1 or 2
//   Set::kColumns<B, G>       vectors of units times B sequences times G gates that fit in registers
// Included by the file of each instruction set, whose compiler options decide what the code becomes. What a
// lane computes, and in which order, does not depend on any of the three: sums begin with embedding or bias,
// add inputs, then hidden units in ascending order, each by one fused multiply-add.
namespace foreflow::predict::network_step {

// Vectors that go through the gates' functions side by side.
constexpr std::size_t kPack = 4;

// The last hidden layer after each of up to so many steps: what the heads read.
template <std::size_t N>
using Hidden = float[N][kMaxNetworkWidth];

// What one batch of steps works on.
template <std::size_t B>
struct Batch {
  const float* row[B];         // of the embedding
  float input[B][kMaxInputs];  // scaled
};

template <std::size_t B>
[[gnu::always_inline]] inline void Begin(const NetworkWeights& weights, const ModelStep* steps,
                                         std::size_t row_width, Batch<B>& batch) {
  for (std::size_t b = 0; b < B; ++b) {
    batch.row[b] = weights.embedding + steps[b].symbol * row_width;
    for (std::size_t f = 0; f < weights.inputs; ++f)
      batch.input[b][f] = (steps[b].inputs[f] - weights.input_mean[f]) * weights.input_scale[f];
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

// head_bias + hidden * head of B steps for one vector of outputs, in four sums of every fourth unit: the
// first with the bias, then (first + second) + (third + fourth).
template <class V, std::size_t B>
[[gnu::always_inline]] inline void HeadColumn(const NetworkWeights& weights, std::size_t depth,
                                              const float (*hidden)[kMaxNetworkWidth], std::size_t at,
                                              float (*value)[kMaxHeadWidth]) {
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
      for (std::size_t b = 0; b < B; ++b) sum[i][b] = Fma(weight, V::Broadcast(hidden[b][k + i]), sum[i][b]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t b = 0; b < B; ++b)
    ((sum[0][b] + sum[1][b]) + (sum[2][b] + sum[3][b])).Store(&value[b][at]);
}

// The outputs of N steps, of which `hidden` holds the last layer.
template <class Set, std::size_t N>
[[gnu::noinline]] void Heads(const NetworkWeights& weights, const ModelStep* steps, const Hidden<N>& hidden) {
  using Wide = typename Set::Wide;
  using Eight = typename Set::Eight;
  constexpr std::size_t B = N < kPack ? N : kPack;
  bool has_output = false;
  for (std::size_t i = 0; i < N; ++i) has_output |= steps[i].output != nullptr;
  if (!has_output) return;
  const std::size_t depth = weights.hidden_2 > 0 ? weights.hidden_2 : weights.hidden;
  alignas(64) float value[N][kMaxHeadWidth];
  for (std::size_t i = 0; i < N; i += B) {
    std::size_t at = 0;
    for (; at + Wide::kLanes <= weights.head_width; at += Wide::kLanes)
      HeadColumn<Wide, B>(weights, depth, hidden + i, at, value + i);
    for (; at < weights.head_width; at += kGroup)
      HeadColumn<Eight, B>(weights, depth, hidden + i, at, value + i);
  }

  std::size_t written = 0;
  for (std::size_t h = 0; h < weights.head_count; ++h) {
    const NetworkWeights::HeadShape& head = weights.heads[h];
    float* output[N];
    for (std::size_t i = 0; i < N; ++i)
      output[i] = steps[i].output == nullptr ? nullptr : steps[i].output + written;
    if (head.is_class) {
      vector_math::Softmax<typename Set::template Rows<N>>(&value[0][head.first], kMaxHeadWidth, head.outputs,
                                                           output);
    } else {
      for (std::size_t i = 0; i < N; ++i) {
        if (output[i] != nullptr) vector_math::RunningMaximum(&value[i][head.first], head.outputs, output[i]);
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
[[gnu::always_inline]] inline void StoreHidden(const ModelStep* steps, const Hidden<B>& last) {
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t unit = 0; unit < H; unit += V::kLanes)
      V::Load(&last[b][unit]).Store(static_cast<float*>(steps[b].state) + unit);
  }
}

template <class Set, std::size_t H, std::size_t B>
void Gru(const NetworkWeights& weights, const ModelStep* steps, Hidden<B>& last) {
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
        next.v[p].Store(&last[(i + p) % B][(column + (i + p) / B) * V::kLanes]);
    }
  }
  StoreHidden<V, H, B>(steps, last);
}

// The state is h[H], then c[H].
template <class Set, std::size_t H, std::size_t B>
void Lstm(const NetworkWeights& weights, const ModelStep* steps, Hidden<B>& last) {
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
        next.v[p].Store(&last[b][unit]);
        c.v[p].Store(static_cast<float*>(steps[b].state) + H + unit);
      }
    }
  }
  StoreHidden<V, H, B>(steps, last);
}

template <class Set, std::size_t B>
void Mlp(const NetworkWeights& weights, const ModelStep* steps, Hidden<B>& last) {
  using V = typename Set::Wide;
  const V zero = V::Broadcast(0);
  Batch<B> batch;
  Begin(weights, steps, weights.hidden, batch);
  for (std::size_t unit = 0; unit < weights.hidden; unit += V::kLanes) {
    V sum[1][B];
    FromInput<V, 1>(weights, batch, unit / V::kLanes, 0, sum);
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) Max(sum[0][b], zero).Store(&last[b][unit]);
  }
  if (weights.hidden_2 == 0) return;
  Hidden<B> first;
  std::memcpy(first, last, sizeof(first));
  for (std::size_t unit = 0; unit < weights.hidden_2; unit += V::kLanes) {
    const float* matrix = weights.dense + unit / kBlock * weights.hidden * kBlock + unit % kBlock;
    V acc[B];
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) acc[b] = V::Load(weights.bias_2 + unit);
    MultiplyAdd(matrix, kBlock, first[0], kMaxNetworkWidth, weights.hidden, acc);
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) Max(acc[b], zero).Store(&last[b][unit]);
  }
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

template <class Set, void (*kOne)(const NetworkWeights&, const ModelStep*, Hidden<1>&)>
[[gnu::noinline]] void RunOne(const NetworkWeights& weights, const ModelStep* step) {
  alignas(64) Hidden<1> last;
  kOne(weights, step, last);
  Heads<Set, 1>(weights, step, last);
}

// Batches of B while there are enough steps of different sequences, the rest one at a time. Where the set
// likes, the heads of two batches are computed together: their chain of operations is long.
template <class Set, std::size_t B, std::size_t kStateBytes,
          void (*kBatch)(const NetworkWeights&, const ModelStep*, Hidden<B>&),
          void (*kOne)(const NetworkWeights&, const ModelStep*, Hidden<1>&)>
void Run(const NetworkWeights& weights, const ModelStep* steps, std::size_t count) {
  constexpr std::size_t kTogether = B > 1 ? Set::kHeadBatches : 1;
  alignas(64) Hidden<kTogether * B> last;
  std::size_t ahead = 0;
  const auto is_batch = [&](std::size_t i) {
    return B > 1 && i + B <= count && (kStateBytes == 0 || AreDistinct<B>(steps + i));
  };
  const auto prefetch = [&](std::size_t i) {
    const std::size_t end = i + 2 * B < count ? i + 2 * B : count;
    if (ahead < end) Prefetch<kStateBytes>(steps, ahead, end);
    ahead = end;
  };
  for (std::size_t i = 0; i < count;) {
    prefetch(i);
    if (!is_batch(i)) {
      RunOne<Set, kOne>(weights, steps + i);
      ++i;
      continue;
    }
    auto& first = reinterpret_cast<Hidden<B>&>(last);
    kBatch(weights, steps + i, first);
    if (kTogether == 2 && is_batch(i + B)) {
      prefetch(i + B);
      kBatch(weights, steps + i + B, reinterpret_cast<Hidden<B>&>(last[(kTogether - 1) * B]));
      Heads<Set, kTogether * B>(weights, steps + i, last);
      i += 2 * B;
    } else {
      Heads<Set, B>(weights, steps + i, first);
      i += B;
    }
  }
}

template <class Set, std::size_t H>
NetworkStep GruOf() {
  constexpr std::size_t B = Set::template kBatch<3>;
  return Run<Set, B, H * sizeof(float), Gru<Set, H, B>, Gru<Set, H, 1>>;
}
template <class Set, std::size_t H>
NetworkStep LstmOf() {
  constexpr std::size_t B = Set::template kBatch<4>;
  return Run<Set, B, 2 * H * sizeof(float), Lstm<Set, H, B>, Lstm<Set, H, 1>>;
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
  kernels.mlp = Run<Set, B, 0, Mlp<Set, B>, Mlp<Set, 1>>;
  kernels.softmax = Softmax<Set>;
  return kernels;
}

}  // namespace foreflow::predict::network_step

#endif  // FOREFLOW_MODELS_PREDICT_NETWORK_STEP_H_
