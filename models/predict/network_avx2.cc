// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/network_weights.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "models/predict/vector_target.h"

FOREFLOW_TARGET_BEGIN("avx2,fma")

#include "models/predict/network_step.h"

namespace foreflow::predict {
namespace {

// See scalar_lanes.h.
struct EightLanes {
  static constexpr std::size_t kLanes = 8;
  __m256 v;

  [[gnu::always_inline]] static EightLanes Broadcast(float value) { return {_mm256_set1_ps(value)}; }
  [[gnu::always_inline]] static EightLanes Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  [[gnu::always_inline]] void Store(float* to) const { _mm256_storeu_ps(to, v); }
  // A masked store is slow on some processors.
  [[gnu::always_inline]] void StoreFirst(float* to, std::size_t count) const {
    if (count == kLanes) return Store(to);
    alignas(32) float lane[kLanes];
    _mm256_store_ps(lane, v);
    for (std::size_t i = 0; i < count; ++i) to[i] = lane[i];
  }
};

[[gnu::always_inline]] inline EightLanes operator+(EightLanes a, EightLanes b) {
  return {_mm256_add_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline EightLanes operator-(EightLanes a, EightLanes b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline EightLanes operator*(EightLanes a, EightLanes b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline EightLanes operator/(EightLanes a, EightLanes b) {
  return {_mm256_div_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline EightLanes Fma(EightLanes a, EightLanes b, EightLanes c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
[[gnu::always_inline]] inline EightLanes Min(EightLanes a, EightLanes b) { return {_mm256_min_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline EightLanes Max(EightLanes a, EightLanes b) { return {_mm256_max_ps(a.v, b.v)}; }
[[gnu::always_inline]] inline EightLanes AddExponent(EightLanes p, EightLanes rounded) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(rounded.v), 23);
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v), exponent))};
}
[[gnu::always_inline]] inline EightLanes SumOfLanes(EightLanes a) {
  __m256 sum = _mm256_add_ps(a.v, _mm256_permute2f128_ps(a.v, a.v, 1));
  sum = _mm256_add_ps(sum, _mm256_permute_ps(sum, 0x4e));
  return {_mm256_add_ps(sum, _mm256_permute_ps(sum, 0xb1))};
}
[[gnu::always_inline]] inline EightLanes MaxOfLanes(EightLanes a) {
  __m256 greatest = _mm256_max_ps(a.v, _mm256_permute2f128_ps(a.v, a.v, 1));
  greatest = _mm256_max_ps(greatest, _mm256_permute_ps(greatest, 0x4e));
  return {_mm256_max_ps(greatest, _mm256_permute_ps(greatest, 0xb1))};
}

// 16 registers.
struct Avx2 {
  using Wide = EightLanes;
  using Eight = EightLanes;
  template <std::size_t B>
  using Rows = Pack<EightLanes, B>;
  template <std::size_t G>
  static constexpr std::size_t kBatch = G == 4 ? 2 : 4;
  static constexpr std::size_t kHeadBatches = 1;
  template <std::size_t B, std::size_t G>
  static constexpr std::size_t kColumns = B == 1 ? 2 : 1;
};

}  // namespace

NetworkKernels Avx2NetworkKernels() { return network_step::KernelsOf<Avx2>(); }

}  // namespace foreflow::predict

FOREFLOW_TARGET_END

#else

namespace foreflow::predict {

NetworkKernels Avx2NetworkKernels() { return {}; }

}  // namespace foreflow::predict

#endif
