// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_EIGHT_LANES_H_
#define FOREFLOW_MODELS_PREDICT_EIGHT_LANES_H_

#include <immintrin.h>

#include <cstddef>

// Eight floats in one register: see scalar_lanes.h. Included between FOREFLOW_TARGET_BEGIN and _END, by each
// file for the instruction set it names (AVX2 and FMA at least). `Set` is a type that only that file knows,
// so that every file compiles its own copy; Set::StoreFirst(v, to, count) stores the first `count` <= 8
// floats.
namespace foreflow::predict {

template <class Set>
struct EightLanes {
  static constexpr std::size_t kLanes = 8;
  __m256 v;

  [[gnu::always_inline]] static EightLanes Broadcast(float value) { return {_mm256_set1_ps(value)}; }
  [[gnu::always_inline]] static EightLanes Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  [[gnu::always_inline]] void Store(float* to) const { _mm256_storeu_ps(to, v); }
  [[gnu::always_inline]] void StoreFirst(float* to, std::size_t count) const {
    Set::StoreFirst(v, to, count);
  }
};

template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> operator+(EightLanes<Set> a, EightLanes<Set> b) {
  return {_mm256_add_ps(a.v, b.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> operator-(EightLanes<Set> a, EightLanes<Set> b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> operator*(EightLanes<Set> a, EightLanes<Set> b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> operator/(EightLanes<Set> a, EightLanes<Set> b) {
  return {_mm256_div_ps(a.v, b.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> Fma(EightLanes<Set> a, EightLanes<Set> b, EightLanes<Set> c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> Min(EightLanes<Set> a, EightLanes<Set> b) {
  return {_mm256_min_ps(a.v, b.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> Max(EightLanes<Set> a, EightLanes<Set> b) {
  return {_mm256_max_ps(a.v, b.v)};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> AddExponent(EightLanes<Set> p, EightLanes<Set> rounded) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(rounded.v), 23);
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v), exponent))};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> SumOfLanes(EightLanes<Set> a) {
  __m256 sum = _mm256_add_ps(a.v, _mm256_permute2f128_ps(a.v, a.v, 1));
  sum = _mm256_add_ps(sum, _mm256_permute_ps(sum, 0x4e));
  return {_mm256_add_ps(sum, _mm256_permute_ps(sum, 0xb1))};
}
template <class Set>
[[gnu::always_inline]] inline EightLanes<Set> MaxOfLanes(EightLanes<Set> a) {
  __m256 greatest = _mm256_max_ps(a.v, _mm256_permute2f128_ps(a.v, a.v, 1));
  greatest = _mm256_max_ps(greatest, _mm256_permute_ps(greatest, 0x4e));
  return {_mm256_max_ps(greatest, _mm256_permute_ps(greatest, 0xb1))};
}

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_EIGHT_LANES_H_
