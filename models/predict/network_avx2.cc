// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/network_weights.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "models/predict/vector_target.h"

FOREFLOW_TARGET_BEGIN("avx2,fma")

#include "models/predict/eight_lanes.h"
#include "models/predict/network_step.h"

namespace foreflow::predict {
namespace {

struct Avx2Store {
  // A masked store is slow on some processors.
  [[gnu::always_inline]] static void StoreFirst(__m256 v, float* to, std::size_t count) {
    if (count == 8) return _mm256_storeu_ps(to, v);
    alignas(32) float lane[8];
    _mm256_store_ps(lane, v);
    for (std::size_t i = 0; i < count; ++i) to[i] = lane[i];
  }
};

// 16 registers.
struct Avx2 {
  using Wide = EightLanes<Avx2Store>;
  using Eight = EightLanes<Avx2Store>;
  template <std::size_t B>
  using Rows = Pack<EightLanes<Avx2Store>, B>;
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
