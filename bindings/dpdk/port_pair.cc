// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/port_pair.h"

#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "bindings/dpdk/tsc_clock.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

constexpr std::size_t kBurst = 32;
constexpr std::size_t kQueuePlaces = 4096;
constexpr unsigned kMbufCaches = 512;       // what a core may keep for itself
constexpr std::uint32_t kFrameRoom = 2048;  // of an mbuf, where the MTU asks for no more
constexpr std::uint32_t kFrameExtra = 26;   // Ethernet header, two VLAN tags, checksum
constexpr unsigned kDrainMilliseconds = 1000;
constexpr Nanos kIdle = Micros(50);  // before the worker sleeps
constexpr unsigned kSleepMicroseconds = 20;
constexpr unsigned long kTimerSlackNs = 1000;  // the system's own would double the sleep

}  // namespace

PairLink::PairLink(rte_mempool* pool, std::size_t places) : pool_(pool), mask_(places - 1) {
  for (Queue& queue : queues_) queue.frames.resize(places);
}

PairLink::~PairLink() {
  for (Queue& queue : queues_)
    for (; queue.first != queue.last; ++queue.first) rte_pktmbuf_free(queue.frames[queue.first & mask_]);
}

void PairLink::Send(std::size_t port, rte_mbuf* frame) {
  Queue& queue = queues_[port];
  ++queue.count.offered;
  if (queue.last - queue.first > mask_) {
    ++queue.count.queue_full;
    rte_pktmbuf_free(frame);
    return;
  }
  queue.frames[queue.last++ & mask_] = frame;
}

std::size_t PairLink::Flush(std::size_t port, std::uint16_t device) {
  Queue& queue = queues_[port];
  std::array<rte_mbuf*, kBurst> frames;
  std::array<std::uint32_t, kBurst> bytes;  // the port may free what it takes at once
  const std::size_t count = std::min<std::size_t>(queue.last - queue.first, frames.size());
  if (count == 0) return 0;
  for (std::size_t i = 0; i < count; ++i) {
    frames[i] = queue.frames[(queue.first + i) & mask_];
    bytes[i] = frames[i]->pkt_len;
  }
  const std::size_t taken = rte_eth_tx_burst(device, 0, frames.data(), static_cast<std::uint16_t>(count));
  queue.first += taken;
  queue.count.out += taken;
  queue.count.out_bytes = std::accumulate(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken),
                                          queue.count.out_bytes);
  return taken;
}

PairLink::Count PairLink::count(std::size_t port) const {
  Count count = queues_[port].count;
  count.queued = queues_[port].last - queues_[port].first;
  return count;
}

PortPair::PortPair(const Eal& eal, std::uint16_t mtu, std::size_t held) : eal_(eal) {
  const std::vector<PortFacts> found = FindPorts(eal);
  if (found.size() != kPairPorts) {
    const std::string why = eal.complaint().empty() ? "" : " (" + eal.complaint() + ")";
    throw Refusal("EAL", "ports", std::to_string(found.size()) + why, "2, one for each side");
  }
  mbufs_ = static_cast<unsigned>(2 * kMbufCaches + held +
                                 kPairPorts * (2 * Port::kDescriptors + kQueuePlaces + kBurst));
  const std::uint32_t room = std::max<std::uint32_t>(kFrameRoom, std::uint32_t{mtu} + kFrameExtra);
  pool_ = MakePool("foreflow_frames", mbufs_, 0, room + RTE_PKTMBUF_HEADROOM);
  link_ = std::make_unique<PairLink>(pool_.get(), kQueuePlaces);
  for (std::size_t port = 0; port < kPairPorts; ++port) {
    if (mtu != 0) CheckMtu(found[port], mtu);
    PortSetup setup;
    setup.mtu = mtu;
    setup.pool = pool_.get();
    ports_[port] = std::make_unique<Port>(found[port], setup);
    count_.ports[port].name = found[port].name;
  }
}

PortPair::~PortPair() {
  if (pool_) Close();
}

void PortPair::Start(PairStage& stage) {
  stage_ = &stage;
  count_.rows.assign(stage.rows().size(), 0);
  answer_ = count_;
  phase_.store(Phase::kRun, std::memory_order_release);
  is_running_.store(true, std::memory_order_release);
  rte_eal_remote_launch(Run, this, eal_.worker_lcores()[0]);
}

int PortPair::Run(void* pair) {
  static_cast<PortPair*>(pair)->Work();
  return 0;
}

void PortPair::Work() {
  ::prctl(PR_SET_TIMERSLACK, kTimerSlackNs, 0, 0, 0);
  std::uint64_t round = rte_rdtsc();
  const TscClock clock(round);
  Nanos busy_at;
  for (Phase phase; (phase = phase_.load(std::memory_order_acquire)) != Phase::kStop;) {
    const Nanos now = clock.At(round);
    std::size_t moved = 0;
    if (phase == Phase::kRun) {
      for (std::size_t port = 0; port < kPairPorts; ++port) moved += Receive(port, now);
    }
    stage_->Advance(now, *link_);
    for (std::size_t port = 0; port < kPairPorts; ++port) {
      moved += link_->Flush(port, ports_[port]->facts().device);
    }
    Answer();
    const std::uint64_t next = rte_rdtsc();
    if (moved > 0) {
      count_.busy_cycles += next - round;
      busy_at = now;
    } else if (now - busy_at > kIdle) {
      ::usleep(kSleepMicroseconds);
    } else {
      rte_pause();
    }
    round = rte_rdtsc();
  }
  is_running_.store(false, std::memory_order_release);
}

std::size_t PortPair::Receive(std::size_t port, Nanos now) {
  std::array<rte_mbuf*, kBurst> frames;
  const std::size_t count =
      rte_eth_rx_burst(ports_[port]->facts().device, 0, frames.data(), static_cast<std::uint16_t>(kBurst));
  if (count == 0) return 0;
  count_.ports[port].in += count;
  for (std::size_t i = 0; i < count; ++i) count_.ports[port].in_bytes += frames[i]->pkt_len;
  stage_->Receive(port, frames.data(), count, now, *link_);
  return count;
}

void PortPair::Answer() {
  const std::uint64_t question = asked_.load(std::memory_order_acquire);
  if (question == answered_.load(std::memory_order_relaxed)) return;
  for (std::size_t port = 0; port < kPairPorts; ++port) count_.ports[port].sent = link_->count(port);
  stage_->Count(count_.rows.data());
  count_.held = stage_->held();
  answer_ = count_;
  answered_.store(question, std::memory_order_release);
}

PairCount PortPair::Count() {
  const std::lock_guard<std::mutex> lock(counting_);
  const std::uint64_t question = asked_.load(std::memory_order_relaxed) + 1;
  asked_.store(question, std::memory_order_release);
  while (answered_.load(std::memory_order_acquire) < question) {
    if (is_running_.load(std::memory_order_acquire)) {
      ::usleep(kSleepMicroseconds);
    } else {
      Answer();
    }
  }
  PairCount count = answer_;
  for (std::size_t port = 0; port < kPairPorts; ++port) count.ports[port].missed = ports_[port]->Missed();
  return count;
}

void PortPair::Stop() {
  if (phase_.load(std::memory_order_relaxed) == Phase::kStop) return;
  phase_.store(Phase::kDrain, std::memory_order_release);
  for (unsigned waited = 0; waited < kDrainMilliseconds; ++waited) {
    const PairCount count = Count();
    if (count.held + count.ports[0].sent.queued + count.ports[1].sent.queued == 0) break;
    ::usleep(1000);
  }
  phase_.store(Phase::kStop, std::memory_order_release);
  rte_eal_mp_wait_lcore();
}

std::uint64_t PortPair::Close() {
  Stop();
  if (stage_ != nullptr) stage_->Clear();
  link_.reset();
  for (auto& port : ports_) port.reset();
  const std::uint64_t lost = mbufs_ - rte_mempool_avail_count(pool_.get());
  pool_.reset();
  return lost;
}

std::string PortPair::Imbalance(const PairCount& count) const {
  const std::vector<PairRow>& rows = stage_->rows();
  for (std::size_t port = 0; port < kPairPorts; ++port) {
    std::uint64_t told = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].group == PairStage::kFrom[port]) told += count.rows[i];
    }
    const PairCount::Port& counted = count.ports[port];
    const PairLink::Count& sent = counted.sent;
    if (told != counted.in) {
      return counted.name + " received " + std::to_string(counted.in) + " frames, and it is known of " +
             std::to_string(told) + " what became of them";
    }
    if (sent.offered != sent.out + sent.queue_full + sent.queued) {
      return counted.name + " was given " + std::to_string(sent.offered) + " frames, and " +
             std::to_string(sent.out + sent.queue_full + sent.queued) + " are accounted for";
    }
  }
  return stage_->Imbalance();
}

}  // namespace foreflow::dpdk
