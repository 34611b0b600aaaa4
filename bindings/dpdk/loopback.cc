// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/loopback.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "bindings/dpdk/borrowed_frame.h"
#include "bindings/dpdk/priority.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kPlaces = 1024;  // of each ring: the receive descriptors of a NIC's queue
constexpr unsigned kPoolFrames = 8191;
constexpr unsigned kFewTaken = 4;
constexpr std::uint64_t kWindow =
    768;  // frames under way when offered without a pace: none finds its queue full

// Of a thread of this process.
std::uint64_t InvoluntarySwitches(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("nonvoluntary_ctxt_switches:", 0) == 0) return std::stoull(line.substr(27));
  }
  return 0;
}

}  // namespace

Loopback::Loopback(const Eal& eal, path::Lanes& lanes, std::uint16_t vms, std::uint32_t queue_packets)
    : lcore_(eal.worker_lcores().front()),
      pool_(MakePool("foreflow_loopback", kPoolFrames, sizeof(BorrowedMeta), RTE_PKTMBUF_HEADROOM)),
      port_("foreflow_loopback", 1, kPlaces, pool_.get()),
      fabric_(Switching::kLearn, 1) {
  WorkerPlan plan;
  plan.phase = &phase_;
  plan.lanes = &lanes;
  plan.vms = vms;
  plan.clock = Clock::kCarried;
  plan.rx = {{port_.device(), 0, 0, 0}};
  plan.tx = {{port_.device(), 0, 0, nullptr}};
  plan.fabric = &fabric_;
  plan.queue_packets = queue_packets;
  plan.most_frame_bytes = pcap::kMaxCapturedBytes;
  worker_ = std::make_unique<Worker>(plan);
  on_receive_ = rte_eth_add_rx_callback(
      port_.device(), 0,
      [](std::uint16_t, std::uint16_t, rte_mbuf** frames, std::uint16_t count, std::uint16_t, void* self) {
        auto* loopback = static_cast<Loopback*>(self);
        if (count > 0) ++loopback->bursts_;
        if (loopback->stamps_ != nullptr && count > 0) {
          const std::uint64_t now = rte_rdtsc();
          for (std::uint16_t i = 0; i < count; ++i)
            loopback->stamps_[MetaOf(frames[i]).number].received = now;
        }
        return count;
      },
      this);
  on_send_ = rte_eth_add_tx_callback(
      port_.device(), 0,
      [](std::uint16_t, std::uint16_t, rte_mbuf** frames, std::uint16_t count, void* self) {
        auto* loopback = static_cast<Loopback*>(self);
        if (loopback->stamps_ != nullptr) {
          const std::uint64_t now = rte_rdtsc();
          for (std::uint16_t i = 0; i < count; ++i) loopback->stamps_[MetaOf(frames[i]).number].sent = now;
        }
        return count;
      },
      this);
  rte_eal_remote_launch(Work, this, lcore_);
  while (worker_thread_.load(std::memory_order_acquire) == 0) rte_pause();
}

Loopback::~Loopback() {
  phase_.store(Phase::kStop, std::memory_order_release);
  rte_eal_wait_lcore(lcore_);
  rte_eth_remove_rx_callback(port_.device(), 0, on_receive_);
  rte_eth_remove_tx_callback(port_.device(), 0, on_send_);
}

int Loopback::Work(void* loopback) {
  auto* self = static_cast<Loopback*>(loopback);
  RunFirst();
  self->worker_thread_.store(::gettid(), std::memory_order_release);
  self->worker_->Run();
  return 0;
}

std::uint64_t Loopback::Switches() const {
  return InvoluntarySwitches(worker_thread_.load()) + InvoluntarySwitches(::gettid());
}

Loopback::Pass Loopback::Run(const path::Arrival* arrivals, std::size_t count, const std::uint64_t* due,
                             Stamp* stamps) {
  const auto dropped_of = [](const WorkerCount& counted) {
    std::uint64_t dropped = 0;
    for (const std::uint64_t each : counted.dropped) dropped += each;
    return dropped;
  };
  // Nothing is under way: the worker polls an empty ring, and what it reads of this object may change.
  stamps_ = stamps;
  const WorkerCount before = worker_->Count();
  const std::uint64_t bursts_before = bursts_;
  const std::uint64_t switches_before = Switches();
  const std::uint64_t begin = rte_rdtsc() + rte_get_tsc_hz() / 10'000;
  // A few at a time where packets are due at their times: freeing many would make the next one late.
  std::array<rte_mbuf*, 4 * path::kBurst> taken;
  const unsigned most_taken = due != nullptr ? kFewTaken : static_cast<unsigned>(taken.size());
  std::uint64_t returned = 0;
  std::uint64_t refused = 0;  // the ring was full: as a NIC drops
  std::uint64_t looked = 0;
  std::size_t next = 0;
  WorkerCount after = before;
  while (true) {
    const unsigned got =
        rte_ring_dequeue_burst(port_.tx(0), reinterpret_cast<void**>(taken.data()), most_taken, nullptr);
    for (unsigned i = 0; i < got; ++i) rte_pktmbuf_free(taken[i]);
    returned += got;
    const std::uint64_t now = rte_rdtsc();
    const bool is_due =
        next < count && (due != nullptr ? begin + due[next] <= now : rte_ring_count(port_.rx(0)) < kWindow);
    if (is_due) {
      for (std::size_t i = 0; i < path::kBurst && next < count; ++i) {
        if (due != nullptr && begin + due[next] > now) break;
        rte_mbuf* frame = BorrowFrame(pool_.get(), arrivals[next], next);
        if (frame == nullptr) break;
        if (stamps != nullptr) {
          stamps[next] = {due != nullptr ? begin + due[next] : 0, rte_rdtsc(), 0, 0};
        }
        if (rte_ring_enqueue(port_.rx(0), frame) != 0) {
          rte_pktmbuf_free(frame);
          ++refused;
        }
        ++next;
      }
    } else if (next == count && got == 0 && now - looked > rte_get_tsc_hz() / 1000) {
      looked = now;
      after = worker_->Count();
      const std::uint64_t gone = returned + dropped_of(after) - dropped_of(before) + refused;
      if (after.decided - before.decided + refused == count && gone == count) break;
    }
  }
  Pass pass;
  pass.packets = count;
  pass.sent = returned;
  pass.dropped = dropped_of(after) - dropped_of(before) + refused;
  pass.bursts = bursts_ - bursts_before;
  pass.busy_cycles = after.busy_cycles - before.busy_cycles;
  pass.involuntary_switches = Switches() - switches_before;
  return pass;
}

}  // namespace foreflow::dpdk
