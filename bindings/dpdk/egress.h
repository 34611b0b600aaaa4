// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_EGRESS_H_
#define FOREFLOW_BINDINGS_DPDK_EGRESS_H_

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/path/packet_path.h"
#include "models/tag/scheduler.h"

namespace foreflow::dpdk {

// One frame on its way out. A copy (flooded or mirrored) shares the mbuf with the frame itself and is counted
// apart.
struct Outgoing {
  rte_mbuf* frame = nullptr;
  bool is_copy = false;
};

// Where a worker's frames for one port go: to a transmit queue of its own, or, on ports with fewer queues
// than workers, through a ring to the worker that has one. Rings carry Pack(outgoing).
struct TxQueue {
  std::uint16_t device = 0;  // DPDK's number of the port
  std::uint16_t queue = 0;
  std::uint16_t port = 0;        // the runner's own
  rte_ring* to_owner = nullptr;  // nullptr: this worker transmits itself
};

// An mbuf's address is aligned, so that its lowest bit is free to say "copy".
inline void* Pack(const Outgoing& out) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(out.frame) | (out.is_copy ? 1u : 0u));
}
inline Outgoing Unpack(void* packed) {
  const auto bits = reinterpret_cast<std::uintptr_t>(packed);
  return {reinterpret_cast<rte_mbuf*>(bits & ~std::uintptr_t{1}), (bits & 1) != 0};
}

// Frames and bytes that left by a port, copies apart.
struct SentCount {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;  // of frames and copies
  std::uint64_t copies = 0;
};

// The egress queues of one worker at one port. What the port does not take waits here; what finds its queue
// full is refused. One thread. All memory is sized at the start.
class Egress {
 public:
  // packets_per_queue as of tag::Scheduler, whose Refusal passes through.
  explicit Egress(std::uint32_t packets_per_queue);
  ~Egress();  // frees what is held
  Egress(const Egress&) = delete;
  Egress& operator=(const Egress&) = delete;

  // False when the queue is full: the frame stays the caller's.
  bool Put(const Outgoing& out, std::uint8_t queue, std::uint32_t wire_bytes) {
    if (!scheduler_.Enqueue(queue, reinterpret_cast<std::uintptr_t>(Pack(out)), wire_bytes)) return false;
    copies_ += out.is_copy ? 1 : 0;
    return true;
  }
  // Hands up to a burst to the port or ring, in the scheduler's order; what was transmitted is added to
  // `sent` (frames handed to another worker are not: that one counts them). The number handed over.
  std::size_t Send(const TxQueue& tx, SentCount& sent);

  std::size_t held() const { return scheduler_.size() + ready_count_; }
  std::size_t held_copies() const { return copies_; }

 private:
  void Schedule();

  tag::Scheduler scheduler_;                 // its handles are Pack's
  std::array<void*, path::kBurst> ready_{};  // scheduled, not yet taken by the port
  std::size_t ready_count_ = 0;
  std::size_t copies_ = 0;
};

// Transmits what was packed on a port's queue; returns how many were taken and adds them to `sent`.
std::size_t Transmit(const TxQueue& tx, void* const* packed, std::size_t count, SentCount& sent);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_EGRESS_H_
