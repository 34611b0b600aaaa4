// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_FRAME_H_
#define FOREFLOW_BINDINGS_DPDK_FRAME_H_

#include <rte_mbuf.h>

#include <cstdint>

#include "models/base/units.h"
#include "models/flow/flow_key.h"
#include "models/wire/dissect.h"

namespace foreflow::dpdk {

// What travels with a frame from its arrival to its decision, in the private area of its mbuf: every pool
// here is made with room for it.
struct FrameMeta {
  std::uint64_t number = 0;  // in order of arrival; of replayed frames only
  Nanos time;                // arrival at the device
  Nanos sent;                // on the sender's clock
  std::uint32_t wire_bytes = 0;
  flow::VmId vm = 0;
  std::uint16_t port = 0;  // that it came in by
  wire::Link link = wire::Link::kEthernet;
};

inline FrameMeta& MetaOf(rte_mbuf* frame) { return *static_cast<FrameMeta*>(rte_mbuf_to_priv(frame)); }

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_FRAME_H_
