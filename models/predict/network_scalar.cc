// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/network_step.h"
#include "models/predict/scalar_lanes.h"

namespace foreflow::predict {
namespace {

struct Scalar {
  using Wide = ScalarLane;
  using Eight = ScalarEight;
  template <std::size_t B>
  using Rows = Pack<ScalarEight, B>;
  template <std::size_t G>
  static constexpr std::size_t kBatch = 1;
  static constexpr std::size_t kHeadBatches = 1;
  template <std::size_t B, std::size_t G>
  static constexpr std::size_t kColumns = 4;
};

}  // namespace

NetworkKernels ScalarNetworkKernels() { return network_step::KernelsOf<Scalar>(); }

}  // namespace foreflow::predict
