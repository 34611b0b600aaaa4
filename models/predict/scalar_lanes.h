// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_SCALAR_LANES_H_
#define FOREFLOW_MODELS_PREDICT_SCALAR_LANES_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace foreflow::predict {

// What vector_math.h and network_step.h ask of a vector of kLanes floats, and what each operation means, lane
// by lane: the reference of the vectors in network_avx2.cc and network_avx512.cc.
struct ScalarLane {
  static constexpr std::size_t kLanes = 1;
  float v;

  static ScalarLane Broadcast(float value) { return {value}; }
  static ScalarLane Load(const float* from) { return {*from}; }
  void Store(float* to) const { *to = v; }
};

inline ScalarLane operator+(ScalarLane a, ScalarLane b) { return {a.v + b.v}; }
inline ScalarLane operator-(ScalarLane a, ScalarLane b) { return {a.v - b.v}; }
inline ScalarLane operator*(ScalarLane a, ScalarLane b) { return {a.v * b.v}; }
inline ScalarLane operator/(ScalarLane a, ScalarLane b) { return {a.v / b.v}; }
// a * b + c, rounded once.
inline ScalarLane Fma(ScalarLane a, ScalarLane b, ScalarLane c) { return {std::fma(a.v, b.v, c.v)}; }
// The second where they are equal or not comparable, as the x86 instructions do.
inline ScalarLane Min(ScalarLane a, ScalarLane b) { return a.v < b.v ? a : b; }
inline ScalarLane Max(ScalarLane a, ScalarLane b) { return a.v > b.v ? a : b; }
// The last bits of `rounded` added to the exponent of `p`.
inline ScalarLane AddExponent(ScalarLane p, ScalarLane rounded) {
  std::uint32_t bits, exponent;
  std::memcpy(&bits, &p.v, sizeof(bits));
  std::memcpy(&exponent, &rounded.v, sizeof(exponent));
  bits += exponent << 23;
  std::memcpy(&p.v, &bits, sizeof(bits));
  return p;
}

// Eight floats, for what goes across lanes.
struct ScalarEight {
  static constexpr std::size_t kLanes = 8;
  float v[8];

  static ScalarEight Broadcast(float value) {
    return {{value, value, value, value, value, value, value, value}};
  }
  static ScalarEight Load(const float* from) {
    ScalarEight eight;
    std::memcpy(eight.v, from, sizeof(v));
    return eight;
  }
  void Store(float* to) const { std::memcpy(to, v, sizeof(v)); }
  // The first `count` lanes, 1..8.
  void StoreFirst(float* to, std::size_t count) const { std::memcpy(to, v, count * sizeof(float)); }
};

template <class Operation>
inline ScalarEight EachOf(Operation operation) {
  ScalarEight result;
  for (std::size_t i = 0; i < 8; ++i) result.v[i] = operation(i);
  return result;
}
inline ScalarEight operator+(const ScalarEight& a, const ScalarEight& b) {
  return EachOf([&](std::size_t i) { return a.v[i] + b.v[i]; });
}
inline ScalarEight operator-(const ScalarEight& a, const ScalarEight& b) {
  return EachOf([&](std::size_t i) { return a.v[i] - b.v[i]; });
}
inline ScalarEight operator*(const ScalarEight& a, const ScalarEight& b) {
  return EachOf([&](std::size_t i) { return a.v[i] * b.v[i]; });
}
inline ScalarEight operator/(const ScalarEight& a, const ScalarEight& b) {
  return EachOf([&](std::size_t i) { return a.v[i] / b.v[i]; });
}
inline ScalarEight Fma(const ScalarEight& a, const ScalarEight& b, const ScalarEight& c) {
  return EachOf([&](std::size_t i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline ScalarEight Min(const ScalarEight& a, const ScalarEight& b) {
  return EachOf([&](std::size_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline ScalarEight Max(const ScalarEight& a, const ScalarEight& b) {
  return EachOf([&](std::size_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline ScalarEight AddExponent(const ScalarEight& p, const ScalarEight& rounded) {
  return EachOf([&](std::size_t i) { return AddExponent(ScalarLane{p.v[i]}, ScalarLane{rounded.v[i]}).v; });
}
// Across the lanes, in halves: lane i with lane i + 4, then + 2, then + 1; the result in every lane.
inline ScalarEight SumOfLanes(const ScalarEight& a) {
  const float sum[4] = {a.v[0] + a.v[4], a.v[1] + a.v[5], a.v[2] + a.v[6], a.v[3] + a.v[7]};
  return ScalarEight::Broadcast((sum[0] + sum[2]) + (sum[1] + sum[3]));
}
inline ScalarEight MaxOfLanes(const ScalarEight& a) {
  float greatest[4];
  for (std::size_t i = 0; i < 4; ++i) greatest[i] = a.v[i] > a.v[i + 4] ? a.v[i] : a.v[i + 4];
  for (std::size_t i = 0; i < 2; ++i)
    greatest[i] = greatest[i] > greatest[i + 2] ? greatest[i] : greatest[i + 2];
  return ScalarEight::Broadcast(greatest[0] > greatest[1] ? greatest[0] : greatest[1]);
}

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SCALAR_LANES_H_
