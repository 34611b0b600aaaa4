// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_BORROWED_FRAME_H_
#define FOREFLOW_BINDINGS_DPDK_BORROWED_FRAME_H_

#include <rte_mbuf.h>

#include <cstdint>

#include "bindings/dpdk/frame.h"
#include "bindings/pcap/capture.h"
#include "models/path/arrival.h"

namespace foreflow::dpdk {

// The private area of an mbuf whose bytes stay where a capture has them: pools for BorrowFrame have room for
// it.
struct BorrowedMeta {
  FrameMeta meta;
  rte_mbuf_ext_shared_info owner;
};

constexpr std::uint16_t kMostSegment = 65'535;
constexpr unsigned kMostSegments = (pcap::kMaxCapturedBytes + kMostSegment - 1) / kMostSegment;

// What a frame of this arrival carries (port 0).
FrameMeta MetaFor(const path::Arrival& arrival, std::uint64_t number);

// A chain of mbufs over the arrival's own bytes, which must outlive it, with its FrameMeta filled in.
// nullptr where too few mbufs are free.
rte_mbuf* BorrowFrame(rte_mempool* pool, const path::Arrival& arrival, std::uint64_t number);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_BORROWED_FRAME_H_
