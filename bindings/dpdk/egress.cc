// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/egress.h"

#include <rte_ethdev.h>

#include <algorithm>

namespace foreflow::dpdk {
namespace {

tag::Scheduler::Config QueueConfig(std::uint32_t packets_per_queue) {
  tag::Scheduler::Config config;
  config.packets_per_queue = packets_per_queue;
  return config;
}

}  // namespace

Egress::Egress(std::uint32_t packets_per_queue) : scheduler_(QueueConfig(packets_per_queue)) {}

Egress::~Egress() {
  while (held() > 0) {
    for (std::size_t i = 0; i < ready_count_; ++i) rte_pktmbuf_free(Unpack(ready_[i]).frame);
    ready_count_ = 0;
    Schedule();
  }
}

void Egress::Schedule() {
  std::array<tag::Scheduler::Handle, path::kBurst> handles;
  const std::size_t count = scheduler_.Dequeue(handles.data(), ready_.size() - ready_count_);
  for (std::size_t i = 0; i < count; ++i) ready_[ready_count_++] = reinterpret_cast<void*>(handles[i]);
}

std::size_t Egress::Send(const TxQueue& tx, SentCount& sent) {
  Schedule();
  if (ready_count_ == 0) return 0;
  std::size_t taken;
  if (tx.to_owner != nullptr) {
    taken = rte_ring_enqueue_burst(tx.to_owner, ready_.data(), static_cast<unsigned>(ready_count_), nullptr);
    for (std::size_t i = 0; i < taken; ++i) copies_ -= Unpack(ready_[i]).is_copy ? 1 : 0;
  } else {
    const std::uint64_t copies_before = sent.copies;
    taken = Transmit(tx, ready_.data(), ready_count_, sent);
    copies_ -= sent.copies - copies_before;
  }
  ready_count_ -= taken;
  std::copy_n(ready_.begin() + static_cast<std::ptrdiff_t>(taken), ready_count_, ready_.begin());
  return taken;
}

std::size_t Transmit(const TxQueue& tx, void* const* packed, std::size_t count, SentCount& sent) {
  std::array<rte_mbuf*, path::kBurst> frames;
  std::array<std::uint32_t, path::kBurst> bytes;  // the port may free what it takes at once
  count = std::min(count, frames.size());
  for (std::size_t i = 0; i < count; ++i) {
    frames[i] = Unpack(packed[i]).frame;
    bytes[i] = frames[i]->pkt_len;
  }
  const std::size_t taken =
      rte_eth_tx_burst(tx.device, tx.queue, frames.data(), static_cast<std::uint16_t>(count));
  std::uint64_t copies = 0;
  for (std::size_t i = 0; i < taken; ++i) {
    copies += Unpack(packed[i]).is_copy ? 1 : 0;
    sent.bytes += bytes[i];
  }
  sent.frames += taken - copies;
  sent.copies += copies;
  return taken;
}

}  // namespace foreflow::dpdk
