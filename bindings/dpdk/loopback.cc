// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/loopback.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
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
constexpr std::uint32_t kFrameRoom = 2048;  // bytes; longer frames stay where they are
// A few at a time where packets are due at their times: more would make the next one late.
constexpr unsigned kFewTaken = 8;
constexpr unsigned kFewMade = 4;
constexpr std::size_t kAhead = 8;  // packets whose bytes are fetched while others are written
constexpr unsigned kWindow = 768;  // frames under way when offered without a pace: none finds its queue full
constexpr std::size_t kMostGaps = 4096;  // kept of a pass

// Of a thread of this process.
std::uint64_t InvoluntarySwitches(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("nonvoluntary_ctxt_switches:", 0) == 0) return std::stoull(line.substr(27));
  }
  return 0;
}

std::uint64_t Dropped(const WorkerCount& counted) {
  std::uint64_t dropped = 0;
  for (const std::uint64_t each : counted.dropped) dropped += each;
  return dropped;
}

// Brings the lines of frames that their feeder writes here from the worker's core, all at once.
void FetchToWrite(rte_mbuf** frames, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    auto* bytes = static_cast<std::uint8_t*>(frames[i]->buf_addr) + RTE_PKTMBUF_HEADROOM;
    __builtin_prefetch(rte_mbuf_to_priv(frames[i]), 1);
    __builtin_prefetch(bytes, 1);
    __builtin_prefetch(bytes + RTE_CACHE_LINE_SIZE, 1);
  }
}

}  // namespace

Loopback::Loopback(const Eal& eal)
    : lcore_(eal.worker_lcores().front()),
      pool_(MakePool("foreflow_loopback", kPoolFrames, sizeof(BorrowedMeta),
                     RTE_PKTMBUF_HEADROOM + kFrameRoom)),
      port_("foreflow_loopback", 1, kPlaces, pool_.get()),
      fabric_(Switching::kLearn, 1),
      least_gap_(static_cast<std::uint64_t>(kLeastGap.count()) * rte_get_tsc_hz() / 1'000'000'000) {
  gaps_.reserve(kMostGaps);
  spare_.reserve(kPoolFrames);
  on_receive_ = rte_eth_add_rx_callback(
      port_.device(), 0,
      [](std::uint16_t, std::uint16_t, rte_mbuf** frames, std::uint16_t count, std::uint16_t, void* self) {
        auto* loopback = static_cast<Loopback*>(self);
        loopback->Polled(count);
        if (loopback->stamps_ != nullptr) {
          for (std::uint16_t i = 0; i < count; ++i)
            loopback->stamps_[MetaOf(frames[i]).number].received = loopback->polled_;
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
}

Loopback::~Loopback() {
  rte_eth_remove_rx_callback(port_.device(), 0, on_receive_);
  rte_eth_remove_tx_callback(port_.device(), 0, on_send_);
  rte_pktmbuf_free_bulk(spare_.data(), static_cast<unsigned>(spare_.size()));
}

std::unique_ptr<Worker> Loopback::MakeWorker(path::Lanes& lanes, std::uint16_t vms,
                                             std::uint32_t queue_packets) {
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
  return std::make_unique<Worker>(plan);
}

void Loopback::Polled(std::size_t received) {
  const std::uint64_t now = rte_rdtsc();
  if (now - polled_ > least_gap_ && gaps_.size() < kMostGaps) gaps_.push_back({polled_, now, received_});
  polled_ = now;
  received_ = static_cast<std::uint32_t>(received);
  if (received > 0) ++bursts_;
}

int Loopback::Work(void* loopback) {
  auto* self = static_cast<Loopback*>(loopback);
  self->worker_first_.store(RunFirst(), std::memory_order_relaxed);
  self->polled_ = rte_rdtsc();
  self->worker_thread_.store(::gettid(), std::memory_order_release);
  self->worker_->Run();
  RunAsOthers();
  return 0;
}

// Returns when the worker polls.
void Loopback::Start(Worker& worker, Stamp* stamps) {
  worker_ = &worker;
  stamps_ = stamps;
  bursts_ = 0;
  received_ = 0;
  gaps_.clear();
  worker_thread_.store(0, std::memory_order_relaxed);
  phase_.store(Phase::kRun, std::memory_order_release);
  rte_eal_remote_launch(Work, this, lcore_);
  while (worker_thread_.load(std::memory_order_acquire) == 0) rte_pause();
  worker_switches_ = InvoluntarySwitches(worker_thread_.load());
  feeder_switches_ = InvoluntarySwitches(::gettid());
  feeder_first_ = RunFirst();
}

void Loopback::Finish(Worker& worker, const WorkerCount& before, Pass& pass) {
  RunAsOthers();
  pass.involuntary_switches = InvoluntarySwitches(worker_thread_.load()) - worker_switches_ +
                              InvoluntarySwitches(::gettid()) - feeder_switches_;
  phase_.store(Phase::kStop, std::memory_order_release);
  rte_eal_wait_lcore(lcore_);
  const WorkerCount after = worker.Count();
  pass.dropped += Dropped(after) - Dropped(before);
  pass.busy_cycles = after.busy_cycles - before.busy_cycles;
  pass.bursts = bursts_;
  pass.ran_first = feeder_first_ && worker_first_.load(std::memory_order_relaxed);
  pass.worker_gaps = gaps_;
}

// Frames that the worker sent. The last to come back are written next, while their lines are near.
void Loopback::TakeBack(rte_mbuf** frames, unsigned count) {
  for (unsigned i = 0; i < count; ++i) __builtin_prefetch(frames[i], 1);
  for (unsigned i = 0; i < count; ++i) {
    rte_mbuf* frame = frames[i];
    if (RTE_MBUF_DIRECT(frame) && frame->nb_segs == 1 && rte_mbuf_refcnt_read(frame) == 1) {
      spare_.push_back(frame);
    } else {
      rte_pktmbuf_free(frame);
    }
  }
}

// Writes frames of up to `count` arrivals from number `first` on; how many mbufs were free.
unsigned Loopback::MakeFrames(const path::Arrival* arrivals, std::size_t first, unsigned count,
                              rte_mbuf** made) {
  for (unsigned i = 0; i < count; ++i) {
    if (spare_.empty()) {
      if (rte_pktmbuf_alloc_bulk(pool_.get(), made + i, count - i) != 0) count = i;
      break;
    }
    made[i] = spare_.back();
    spare_.pop_back();
  }
  FetchToWrite(made, count);
  for (unsigned i = 0; i < count; ++i) {
    const path::Arrival& arrival = arrivals[first + i];
    if (i + kAhead < count) rte_prefetch0(arrivals[first + i + kAhead].captured.data);
    if (arrival.captured.size > kFrameRoom) {
      rte_pktmbuf_free(made[i]);
      made[i] = BorrowFrame(pool_.get(), arrival, first + i);
      if (made[i] == nullptr) {
        rte_pktmbuf_free_bulk(made + i + 1, count - i - 1);
        return i;
      }
      continue;
    }
    rte_mbuf* frame = made[i];
    std::copy_n(arrival.captured.data, arrival.captured.size, rte_pktmbuf_mtod(frame, std::uint8_t*));
    frame->data_len = static_cast<std::uint16_t>(arrival.captured.size);
    frame->pkt_len = frame->data_len;
    MetaOf(frame) = MetaFor(arrival, first + i);
  }
  return count;
}

Loopback::Pass Loopback::Run(Worker& worker, const path::Arrival* arrivals, std::size_t count,
                             const std::uint64_t* due, Stamp* stamps) {
  Pass pass;
  pass.packets = count;
  pass.feeder_gaps.reserve(kMostGaps);
  const WorkerCount before = worker.Count();
  Start(worker, stamps);
  const std::uint64_t begin = rte_rdtsc() + rte_get_tsc_hz() / 10'000;
  const std::uint64_t patience = rte_get_tsc_hz() / 1000;
  std::array<rte_mbuf*, 4 * path::kBurst> taken;
  const unsigned most_taken = due != nullptr ? kFewTaken : static_cast<unsigned>(taken.size());
  // Frames of packets next, next + 1, ... are made before they are due.
  std::array<rte_mbuf*, path::kBurst> made;
  const unsigned most_made = due != nullptr ? kFewMade : static_cast<unsigned>(made.size());
  unsigned ready = 0;
  unsigned first = 0;  // of `made` that is ready
  std::uint64_t returned = 0;
  std::uint64_t refused = 0;  // the ring was full: as a NIC drops
  std::uint64_t looked = 0;
  std::size_t next = 0;
  std::uint64_t last = rte_rdtsc();
  std::uint64_t last_taken = last;
  const std::uint64_t first_offered = due != nullptr ? begin : last;
  while (true) {
    const unsigned got =
        rte_ring_dequeue_burst(port_.tx(0), reinterpret_cast<void**>(taken.data()), most_taken, nullptr);
    TakeBack(taken.data(), got);
    returned += got;
    if (got > 0) last_taken = last;
    if (ready == 0) first = 0;
    const std::size_t place = first + ready;
    const std::size_t wanted = std::min({std::size_t{most_made}, made.size() - place, count - next - ready});
    ready += MakeFrames(arrivals, next + ready, static_cast<unsigned>(wanted), &made[place]);
    for (std::size_t i = next + ready; i < std::min(count, next + ready + kAhead); ++i) {
      rte_prefetch0(arrivals[i].captured.data);
    }
    const std::uint64_t now = rte_rdtsc();
    if (now - last > least_gap_ && pass.feeder_gaps.size() < kMostGaps)
      pass.feeder_gaps.push_back({last, now, 0});
    last = now;
    unsigned offered = 0;
    if (due == nullptr) {
      if (rte_ring_count(port_.rx(0)) < kWindow) offered = ready;
    } else {
      while (offered < ready && begin + due[next + offered] <= now) ++offered;
    }
    if (offered > 0) {
      if (stamps != nullptr) {
        for (unsigned i = 0; i < offered; ++i) {
          stamps[next + i] = {due != nullptr ? begin + due[next + i] : 0, now, 0, 0};
        }
      }
      rte_mbuf** frames = &made[first];
      const unsigned placed =
          rte_ring_enqueue_burst(port_.rx(0), reinterpret_cast<void* const*>(frames), offered, nullptr);
      rte_pktmbuf_free_bulk(frames + placed, offered - placed);
      refused += offered - placed;
      ready -= offered;
      first += offered;
      next += offered;
    } else if (next == count && got == 0 && now - looked > patience) {
      const WorkerCount so_far = worker.Count();
      if (so_far.decided - before.decided + refused == count &&
          returned + Dropped(so_far) - Dropped(before) + refused == count)
        break;
      looked = last = rte_rdtsc();
    } else if (got == 0) {
      rte_pause();
    }
  }
  pass.sent = returned;
  pass.dropped = refused;
  pass.wall_cycles = last_taken - std::min(first_offered, last_taken);
  Finish(worker, before, pass);
  return pass;
}

Loopback::Pass Loopback::Idle(Worker& worker, std::uint64_t cycles) {
  Pass pass;
  const WorkerCount before = worker.Count();
  Start(worker, nullptr);
  const std::uint64_t end = rte_rdtsc() + cycles;
  std::uint64_t last = rte_rdtsc();
  while (last < end) {
    rte_pause();
    const std::uint64_t now = rte_rdtsc();
    if (now - last > least_gap_ && pass.feeder_gaps.size() < kMostGaps)
      pass.feeder_gaps.push_back({last, now, 0});
    last = now;
  }
  Finish(worker, before, pass);
  return pass;
}

}  // namespace foreflow::dpdk
