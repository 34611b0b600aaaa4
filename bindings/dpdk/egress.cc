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

Egress::Egress(std::uint32_t packets_per_queue) : scheduler_(QueueConfig(packets_per_queue)) {
  slots_.resize(std::size_t{packets_per_queue} * tag::kQueues);
  free_.reserve(slots_.size());
  for (std::size_t i = slots_.size(); i > 0; --i) free_.push_back(static_cast<std::uint32_t>(i - 1));
}

Egress::~Egress() {
  for (std::size_t i = 0; i < ready_count_; ++i) rte_pktmbuf_free(ready_[i].frame);
  std::uint32_t handle;
  std::uint8_t queue;
  while (scheduler_.Dequeue(handle, queue)) rte_pktmbuf_free(slots_[handle].frame);
}

bool Egress::Put(const Outgoing& out, std::uint8_t queue, std::uint32_t wire_bytes) {
  if (free_.empty() || !scheduler_.Enqueue(queue, free_.back(), wire_bytes)) return false;
  slots_[free_.back()] = out;
  free_.pop_back();
  copies_ += out.is_copy ? 1 : 0;
  return true;
}

std::size_t Egress::Send(const TxQueue& tx, SentCount& sent) {
  std::uint32_t handle;
  std::uint8_t queue;
  while (ready_count_ < ready_.size() && scheduler_.Dequeue(handle, queue)) {
    ready_[ready_count_++] = slots_[handle];
    free_.push_back(handle);
  }
  if (ready_count_ == 0) return 0;
  std::size_t taken;
  std::size_t copies_taken = 0;
  if (tx.to_owner != nullptr) {
    std::array<void*, path::kBurst> packed;
    for (std::size_t i = 0; i < ready_count_; ++i) packed[i] = Pack(ready_[i]);
    taken = rte_ring_enqueue_burst(tx.to_owner, packed.data(), static_cast<unsigned>(ready_count_), nullptr);
    for (std::size_t i = 0; i < taken; ++i) copies_taken += ready_[i].is_copy ? 1 : 0;
  } else {
    SentCount now;
    taken = Transmit(tx, ready_.data(), ready_count_, now);
    copies_taken = now.copies;
    sent.frames += now.frames;
    sent.bytes += now.bytes;
    sent.copies += now.copies;
  }
  copies_ -= copies_taken;
  ready_count_ -= taken;
  std::copy_n(ready_.begin() + static_cast<std::ptrdiff_t>(taken), ready_count_, ready_.begin());
  return taken;
}

std::size_t Transmit(const TxQueue& tx, const Outgoing* out, std::size_t count, SentCount& sent) {
  std::array<rte_mbuf*, path::kBurst> frames;
  std::array<std::uint32_t, path::kBurst> bytes;  // the port may free what it takes at once
  count = std::min(count, frames.size());
  for (std::size_t i = 0; i < count; ++i) {
    frames[i] = out[i].frame;
    bytes[i] = out[i].frame->pkt_len;
  }
  const std::size_t taken =
      rte_eth_tx_burst(tx.device, tx.queue, frames.data(), static_cast<std::uint16_t>(count));
  for (std::size_t i = 0; i < taken; ++i) {
    (out[i].is_copy ? sent.copies : sent.frames) += 1;
    sent.bytes += bytes[i];
  }
  return taken;
}

}  // namespace foreflow::dpdk
