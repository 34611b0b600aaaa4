// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/network_weights.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "models/predict/vector_target.h"

FOREFLOW_TARGET_BEGIN("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")

#include "models/predict/eight_lanes.h"
#include "models/predict/network_step.h"

namespace foreflow::predict {
namespace {

struct Avx512Store {
  [[gnu::always_inline]] static void StoreFirst(__m256 v, float* to, std::size_t count) {
    _mm256_mask_storeu_ps(to, static_cast<__mmask8>((1u << count) - 1), v);
  }
};

// GCC 12 warns of its own unmasked forms (GCC bug 105593); with this mask they are the same instructions.
constexpr __mmask16 kAll = 0xffff;

struct SixteenLanes {
  static constexpr std::size_t kLanes = 16;
  __m512 v;

  [[gnu::always_inline]] static SixteenLanes Broadcast(float value) { return {_mm512_set1_ps(value)}; }
  [[gnu::always_inline]] static SixteenLanes Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  [[gnu::always_inline]] void Store(float* to) const { _mm512_storeu_ps(to, v); }
};

[[gnu::always_inline]] inline SixteenLanes operator+(SixteenLanes a, SixteenLanes b) {
  return {_mm512_add_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline SixteenLanes operator-(SixteenLanes a, SixteenLanes b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline SixteenLanes operator*(SixteenLanes a, SixteenLanes b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline SixteenLanes operator/(SixteenLanes a, SixteenLanes b) {
  return {_mm512_div_ps(a.v, b.v)};
}
[[gnu::always_inline]] inline SixteenLanes Fma(SixteenLanes a, SixteenLanes b, SixteenLanes c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
[[gnu::always_inline]] inline SixteenLanes Min(SixteenLanes a, SixteenLanes b) {
  return {_mm512_maskz_min_ps(kAll, a.v, b.v)};
}
[[gnu::always_inline]] inline SixteenLanes Max(SixteenLanes a, SixteenLanes b) {
  return {_mm512_maskz_max_ps(kAll, a.v, b.v)};
}
[[gnu::always_inline]] inline SixteenLanes AddExponent(SixteenLanes p, SixteenLanes rounded) {
  const __m512i exponent = _mm512_maskz_slli_epi32(kAll, _mm512_castps_si512(rounded.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p.v), exponent))};
}

// Two rows of eight in one vector, one in each half: what goes across lanes stays within a half.
[[gnu::always_inline]] inline SixteenLanes SumOfLanes(SixteenLanes a) {
  __m512 sum = _mm512_add_ps(a.v, _mm512_maskz_shuffle_f32x4(kAll, a.v, a.v, 0xb1));
  sum = _mm512_add_ps(sum, _mm512_maskz_permute_ps(kAll, sum, 0x4e));
  return {_mm512_add_ps(sum, _mm512_maskz_permute_ps(kAll, sum, 0xb1))};
}
[[gnu::always_inline]] inline SixteenLanes MaxOfLanes(SixteenLanes a) {
  __m512 greatest = _mm512_maskz_max_ps(kAll, a.v, _mm512_maskz_shuffle_f32x4(kAll, a.v, a.v, 0xb1));
  greatest = _mm512_maskz_max_ps(kAll, greatest, _mm512_maskz_permute_ps(kAll, greatest, 0x4e));
  return {_mm512_maskz_max_ps(kAll, greatest, _mm512_maskz_permute_ps(kAll, greatest, 0xb1))};
}
template <std::size_t N>
[[gnu::always_inline]] inline void LoadRows(const float* from, std::size_t stride,
                                            Pack<SixteenLanes, N>& rows) {
  for (std::size_t i = 0; i < N; ++i) {
    const __m256 low = _mm256_loadu_ps(from + 2 * i * stride),
                 high = _mm256_loadu_ps(from + (2 * i + 1) * stride);
    rows.v[i].v = _mm512_maskz_insertf32x8(kAll, _mm512_castps256_ps512(low), high, 1);
  }
}
template <std::size_t N>
[[gnu::always_inline]] inline void StoreRow(const Pack<SixteenLanes, N>& rows, std::size_t i, float* to,
                                            std::size_t count) {
  const __m512 pair = rows.v[i / 2].v;
  const __m256 low = _mm512_maskz_extractf32x8_ps(0xff, pair, 0),
               high = _mm512_maskz_extractf32x8_ps(0xff, pair, 1);
  Avx512Store::StoreFirst(i % 2 == 0 ? low : high, to, count);
}

template <std::size_t B>
struct RowsOf {
  using Type = Pack<EightLanes<Avx512Store>, B>;
};
template <>
struct RowsOf<4> {
  using Type = Pack<SixteenLanes, 2>;
};
template <>
struct RowsOf<8> {
  using Type = Pack<SixteenLanes, 4>;
};

// 32 registers: 24 sums, 4 states and a row of weights.
struct Avx512 {
  using Wide = SixteenLanes;
  using Eight = EightLanes<Avx512Store>;
  template <std::size_t B>
  using Rows = typename RowsOf<B>::Type;
  template <std::size_t G>
  static constexpr std::size_t kBatch = 4;
  static constexpr std::size_t kHeadBatches = 2;
  template <std::size_t B, std::size_t G>
  static constexpr std::size_t kColumns = B == 1 ? (G == 4 ? 2 : 4) : (G == 4 ? 1 : 2);
};

}  // namespace

NetworkKernels Avx512NetworkKernels() { return network_step::KernelsOf<Avx512>(); }

}  // namespace foreflow::predict

FOREFLOW_TARGET_END

#else

namespace foreflow::predict {

NetworkKernels Avx512NetworkKernels() { return {}; }

}  // namespace foreflow::predict

#endif
