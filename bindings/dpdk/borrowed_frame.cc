// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/borrowed_frame.h"

#include <algorithm>
#include <array>

namespace foreflow::dpdk {

FrameMeta MetaFor(const path::Arrival& arrival, std::uint64_t number) {
  FrameMeta meta;
  meta.number = number;
  meta.time = arrival.time;
  meta.sent = arrival.sent;
  meta.wire_bytes = arrival.wire_bytes;
  meta.vm = arrival.vm;
  meta.link = arrival.link;
  return meta;
}

rte_mbuf* BorrowFrame(rte_mempool* pool, const path::Arrival& arrival, std::uint64_t number) {
  std::array<rte_mbuf*, kMostSegments> segments;
  const auto size = static_cast<std::uint32_t>(arrival.captured.size);
  const unsigned count = std::max(1u, (size + kMostSegment - 1) / kMostSegment);
  if (rte_pktmbuf_alloc_bulk(pool, segments.data(), count) != 0) return nullptr;
  // The cores only read; DPDK's types do not say so.
  auto* bytes = const_cast<std::uint8_t*>(arrival.captured.data);
  for (unsigned i = 0; i < count && size > 0; ++i) {
    rte_mbuf* segment = segments[i];
    const std::uint32_t offset = i * std::uint32_t{kMostSegment};
    const auto part = static_cast<std::uint16_t>(std::min<std::uint32_t>(size - offset, kMostSegment));
    auto* owner = &static_cast<BorrowedMeta*>(rte_mbuf_to_priv(segment))->owner;
    owner->free_cb = [](void*, void*) {};
    owner->fcb_opaque = nullptr;
    rte_mbuf_ext_refcnt_set(owner, 1);
    rte_pktmbuf_attach_extbuf(segment, bytes + offset, RTE_BAD_IOVA, part, owner);
    segment->data_len = part;
    segment->next = i + 1 < count ? segments[i + 1] : nullptr;
  }
  rte_mbuf* frame = segments[0];
  frame->pkt_len = size;
  frame->nb_segs = static_cast<std::uint16_t>(count);
  MetaOf(frame) = MetaFor(arrival, number);
  return frame;
}

}  // namespace foreflow::dpdk
