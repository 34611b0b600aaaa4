// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_TSC_CLOCK_H_
#define FOREFLOW_BINDINGS_DPDK_TSC_CLOCK_H_

#include <rte_cycles.h>

#include <cstdint>

#include "models/base/units.h"

namespace foreflow::dpdk {

// Nanoseconds that a number of time stamp counts lasts.
class TscClock {
 public:
  explicit TscClock(std::uint64_t start) : start_(start), per_second_(rte_get_tsc_hz()) {}
  Nanos At(std::uint64_t tsc) const {
    return Nanos(static_cast<std::int64_t>(static_cast<Wide>(tsc - start_) * 1'000'000'000 / per_second_));
  }

 private:
  __extension__ typedef unsigned __int128 Wide;

  std::uint64_t start_;
  std::uint64_t per_second_;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_TSC_CLOCK_H_
