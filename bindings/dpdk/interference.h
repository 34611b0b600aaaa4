// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_INTERFERENCE_H_
#define FOREFLOW_BINDINGS_DPDK_INTERFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"

namespace foreflow::dpdk {

// A round of a polling loop longer than this is looked at: did somebody else have the core?
constexpr Nanos kLeastGap = Micros(20);

// One long round of a polling loop, in time stamp counts.
struct Gap {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint32_t packets = 0;  // decided in it
};

// Time stamp counts of one packet; `sent` 0: it was not sent.
struct Stamp {
  std::uint64_t due = 0;      // when it should be offered; 0: no pace
  std::uint64_t offered = 0;  // put on the ring
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

// Those of a worker's gaps that its packets do not explain: `least_gap` longer than three times what so many
// packets cost on average (the interrupt of a guest, a hypervisor that ran somebody else, another process).
std::vector<Gap> Unexplained(const std::vector<Gap>& gaps, double cycles_a_packet, std::uint64_t least_gap);

// By packet, in order of `due`: did interference delay it? Hit is what was under way in a gap, and what came
// after until the delay was worked off: up to the first packet that came on time (offered less than
// `least_gap` late) and found everything before it sent. A packet that was not sent takes no part in that.
std::vector<bool> HitBy(const std::vector<Gap>& gaps, const std::vector<Stamp>& stamps,
                        std::uint64_t least_gap);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_INTERFERENCE_H_
