// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_VECTOR_MATH_H_
#define FOREFLOW_MODELS_PREDICT_VECTOR_MATH_H_

#include <cstddef>

#include "models/predict/lane_pack.h"

// exp, logistic function and tanh of float vectors, as one fixed sequence of correctly rounded operations:
// the same bits with every width of vector, compiler and optimisation level. Largest errors, over every float
// (vector_math_test):
//
//   Exp      relative 1.9e-7 from -87 to 88, below and above held at the ends
//   Sigmoid  absolute 1.1e-7
//   Tanh     absolute 1.4e-7
//
// `V` is a vector of kLanes floats: see scalar_lanes.h. A function of V alone names no instruction set, so
// that each file that does (network_*.cc) compiles its own copy.
namespace foreflow::predict::vector_math {

constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kLog2ELow = 0x1.4ae0cp-26f;  // log2(e) - kLog2E
// 1.5 * 2^23: added to a number below 2^22, the sum's last bits are the nearest whole number.
constexpr float kRound = 0x1.8p+23f;
// Beyond it 1 + 2^y is 2^y and 1 + 2^-y is 1 in float; products of three of these stay below 2^127.
constexpr float kSteepest = 42;

// 2^fraction * 2^n: |fraction| <= 1/2, and `rounded` is n + kRound. Minimax polynomial of degree 5 in
// relative error (9.2e-8 before rounding), exact at 0.
template <class V>
[[gnu::always_inline]] inline V ScaledExp2(V fraction, V rounded) {
  V p = V::Broadcast(0x1.5bba1ap-10f);
  p = Fma(p, fraction, V::Broadcast(0x1.3cea88p-7f));
  p = Fma(p, fraction, V::Broadcast(0x1.c6b752p-5f));
  p = Fma(p, fraction, V::Broadcast(0x1.ebf9bcp-3f));
  p = Fma(p, fraction, V::Broadcast(0x1.62e42ap-1f));
  p = Fma(p, fraction, V::Broadcast(1));
  return AddExponent(p, rounded);
}

// 2^y, y held within -kSteepest..kSteepest.
template <class V>
[[gnu::always_inline]] inline V Exp2(V y) {
  y = Max(Min(y, V::Broadcast(kSteepest)), V::Broadcast(-kSteepest));
  const V rounded = y + V::Broadcast(kRound);
  return ScaledExp2(y - (rounded - V::Broadcast(kRound)), rounded);
}

// e^x, x held within -87..88.
template <class V>
[[gnu::always_inline]] inline V Exp(V x) {
  x = Max(Min(x, V::Broadcast(88)), V::Broadcast(-87));
  const V rounded = Fma(x, V::Broadcast(kLog2E), V::Broadcast(kRound));
  const V minus_whole = V::Broadcast(kRound) - rounded;
  const V fraction = Fma(x, V::Broadcast(kLog2E), minus_whole);
  return ScaledExp2(Fma(x, V::Broadcast(kLog2ELow), fraction), rounded);
}

// 1 / (1 + e^-x).
template <class V>
[[gnu::always_inline]] inline V Sigmoid(V x) {
  return V::Broadcast(1) / (V::Broadcast(1) + Exp2(x * V::Broadcast(-kLog2E)));
}

template <class V>
[[gnu::always_inline]] inline V Tanh(V x) {
  const V e = Exp2(x * V::Broadcast(2 * kLog2E));
  return (e - V::Broadcast(1)) / (e + V::Broadcast(1));
}

// Rows of eight floats at `from`, `from + stride`, ..., one a vector; and row i's first `count` back.
template <class Eight, std::size_t N>
[[gnu::always_inline]] inline void LoadRows(const float* from, std::size_t stride, Pack<Eight, N>& rows) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < N; ++i) rows.v[i] = Eight::Load(from + i * stride);
}
template <class Eight, std::size_t N>
[[gnu::always_inline]] inline void StoreRow(const Pack<Eight, N>& rows, std::size_t i, float* to,
                                            std::size_t count) {
  rows.v[i].StoreFirst(to, count);
}

// Softmax of N rows of `outputs` logits; rows are `stride` apart, and `Rows` holds eight floats of each: a
// Pack, or what LoadRows and StoreRow are written for. Floats past the outputs, up to a multiple of eight,
// are logits below the others by 87 or more, which add nothing: a sum is at least 1. Sums run over the eights
// first, then across each. Overwrites the logits; leaves out the rows whose output is null.
template <class Rows, std::size_t N>
[[gnu::always_inline]] inline void Softmax(float* logit, std::size_t stride, std::size_t outputs,
                                           float* const (&output)[N]) {
  constexpr std::size_t kEight = 8;
  Rows greatest, power;
  LoadRows(logit, stride, greatest);
  for (std::size_t at = kEight; at < outputs; at += kEight) {
    LoadRows(logit + at, stride, power);
    greatest = Max(greatest, power);
  }
  greatest = MaxOfLanes(greatest);
  Rows sum = Rows::Broadcast(0);
  for (std::size_t at = 0; at < outputs; at += kEight) {
    LoadRows(logit + at, stride, power);
    power = Exp(power - greatest);
    sum = sum + power;
    if (outputs <= kEight) break;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N; ++i) StoreRow(power, i, logit + i * stride + at, kEight);
  }
  const Rows share = Rows::Broadcast(1) / SumOfLanes(sum);
  for (std::size_t at = 0; at < outputs; at += kEight) {
    if (outputs > kEight) LoadRows(logit + at, stride, power);
    const Rows part = power * share;
    const std::size_t left = outputs - at;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N; ++i) {
      if (output[i] != nullptr) StoreRow(part, i, output[i] + at, left < kEight ? left : kEight);
    }
  }
}

// Values at rising quantile levels may not fall: each becomes the greatest up to it.
[[gnu::always_inline]] inline void RunningMaximum(const float* value, std::size_t count, float* output) {
  float greatest = output[0] = value[0];
  for (std::size_t i = 1; i < count; ++i) output[i] = greatest = value[i] > greatest ? value[i] : greatest;
}

}  // namespace foreflow::predict::vector_math

#endif  // FOREFLOW_MODELS_PREDICT_VECTOR_MATH_H_
