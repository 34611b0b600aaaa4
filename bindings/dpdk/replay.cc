// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/replay.h"

#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring_elem.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "bindings/dpdk/borrowed_frame.h"
#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/worker.h"
#include "bindings/pcap/looped_arrivals.h"
#include "bindings/pcap/time_map.h"
#include "models/base/refusal.h"
#include "models/crypto/digest.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kWindow = 8192;  // frames between feeder and merger
constexpr unsigned kPlaces = 1024;  // of each ring
constexpr unsigned kPollsBeforeSleep = 64;
constexpr unsigned kSleepMicroseconds = 20;

int RunWorker(void* worker) {
  static_cast<Worker*>(worker)->Run();
  return 0;
}

// Workers on their lcores; stopped and waited for at the latest on destruction.
class Running {
 public:
  Running(std::atomic<Phase>& phase, const std::vector<unsigned>& lcores,
          const std::vector<std::unique_ptr<Worker>>& workers)
      : phase_(phase) {
    phase_.store(Phase::kRun, std::memory_order_release);
    for (std::size_t i = 0; i < workers.size(); ++i) {
      rte_eal_remote_launch(RunWorker, workers[i].get(), lcores[i]);
    }
  }
  ~Running() { Stop(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  void Stop() {
    phase_.store(Phase::kStop, std::memory_order_release);
    rte_eal_mp_wait_lcore();
  }

 private:
  std::atomic<Phase>& phase_;
};

// Feeds frames to the workers' rings in order, and merges what comes back in the same order.
class Exchange {
 public:
  Exchange(const pcap::LoopedArrivals& arrivals, const std::vector<std::uint16_t>& worker_of, bool with_rows,
           RingPort& port, rte_mempool* pool, std::vector<rte_ring*> decided, std::vector<rte_ring*> rows)
      : arrivals_(arrivals),
        worker_of_(worker_of),
        with_rows_(with_rows),
        port_(port),
        pool_(pool),
        decided_(std::move(decided)),
        rows_(std::move(rows)),
        lanes_(decided_.size()) {}

  bool done() const { return merged_ == arrivals_.size(); }
  std::uint64_t returned() const { return returned_; }

  // Feeds as much as there is room for; true where something moved.
  bool Feed() {
    bool moved = false;
    while (next_ < arrivals_.size() && next_ - merged_ < kWindow) {
      Lane& lane = LaneFor(next_);
      if (lane.waiting == lane.frames.size() && !Push(lane)) break;
      rte_mbuf* frame = BorrowFrame(pool_, arrivals_[next_], next_);
      if (frame == nullptr) break;  // all are under way
      lane.frames[lane.waiting++] = frame;
      ++next_;
      moved = true;
    }
    for (Lane& lane : lanes_) {
      if (lane.waiting > 0) moved = Push(lane) || moved;
    }
    return moved;
  }

  // Calls visit(number, verdict, work) for every packet whose turn it is.
  template <typename Visit>
  bool Merge(const Visit& visit) {
    bool moved = false;
    static const path::StageWork kNoWork{};
    for (; merged_ < next_; ++merged_) {
      const std::size_t worker = worker_of_[merged_ % worker_of_.size()];
      Lane& lane = lanes_[worker];
      if (lane.at == lane.got) {
        lane.at = 0;
        lane.got = rte_ring_dequeue_burst_elem(decided_[worker], lane.decided.data(), sizeof(Decided),
                                               static_cast<unsigned>(lane.decided.size()), nullptr);
        if (lane.got == 0) break;
      }
      const Decided& decided = lane.decided[lane.at++];
      if (decided.number != merged_) throw std::logic_error("a worker decided packets out of order");
      if (with_rows_) {
        DecidedRow row;
        while (rte_ring_dequeue_elem(rows_[worker], &row, sizeof row) != 0) {
        }
        visit(merged_, decided.verdict, row.work);
      } else {
        visit(merged_, decided.verdict, kNoWork);
      }
      moved = true;
    }
    return moved;
  }

  // Takes back what the workers transmitted.
  bool Collect() {
    bool moved = false;
    for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
      std::array<rte_mbuf*, 4 * path::kBurst> frames;
      const unsigned got = rte_ring_dequeue_burst(port_.tx(worker), reinterpret_cast<void**>(frames.data()),
                                                  static_cast<unsigned>(frames.size()), nullptr);
      for (unsigned i = 0; i < got; ++i) rte_pktmbuf_free(frames[i]);
      returned_ += got;
      moved = moved || got > 0;
    }
    return moved;
  }

 private:
  // To and from one worker.
  struct Lane {
    std::array<rte_mbuf*, path::kBurst> frames;  // not yet on its ring
    std::size_t waiting = 0;
    std::array<Decided, path::kBurst> decided;  // not yet merged
    std::size_t at = 0;
    std::size_t got = 0;
  };

  Lane& LaneFor(std::uint64_t number) { return lanes_[worker_of_[number % worker_of_.size()]]; }

  bool Push(Lane& lane) {
    const auto worker = static_cast<std::size_t>(&lane - lanes_.data());
    const unsigned put =
        rte_ring_enqueue_burst(port_.rx(worker), reinterpret_cast<void* const*>(lane.frames.data()),
                               static_cast<unsigned>(lane.waiting), nullptr);
    lane.waiting -= put;
    std::copy_n(lane.frames.begin() + put, lane.waiting, lane.frames.begin());
    return put > 0;
  }

  const pcap::LoopedArrivals& arrivals_;
  const std::vector<std::uint16_t>& worker_of_;
  bool with_rows_;
  RingPort& port_;
  rte_mempool* pool_;
  std::vector<rte_ring*> decided_;
  std::vector<rte_ring*> rows_;
  std::vector<Lane> lanes_;  // by worker
  std::uint64_t next_ = 0;
  std::uint64_t merged_ = 0;
  std::uint64_t returned_ = 0;
};

}  // namespace

pcap::ReplayResult Replay(const Eal& eal, const pcap::Capture& capture, config::RunConfig config,
                          const pcap::ReplayBegin& begin, const pcap::ReplayObserver& observer,
                          std::uint64_t loops) {
  if (loops > 1 && config.path.arm >= path::Arm::kOracle) {
    throw Refusal(
        "command line: --loop repeats a capture for arms that do not know the future; give another arm");
  }
  const pcap::Traffic traffic = pcap::MapRecorded(capture, config.path.vms);
  const pcap::LoopedArrivals arrivals(capture.name, traffic.arrivals, loops);
  const path::Future future(traffic.arrivals, config.path.label_horizon);

  pcap::ReplayResult result;
  result.distinct_entries = config::DistinctEntries(future, config.path.rules);
  config::ResolveFlowEntries(config, result.distinct_entries);
  path::Lanes lanes(config.path, &future);
  if (begin) begin(future);
  result.notes = capture.notes;
  result.notes.insert(result.notes.end(), traffic.notes.begin(), traffic.notes.end());
  result.vms = traffic.vms;

  const std::size_t workers = std::min(eal.worker_lcores().size(), lanes.size());
  if (workers < eal.worker_lcores().size()) {
    result.notes.push_back(std::to_string(workers) + " of " + std::to_string(eal.worker_lcores().size()) +
                           " workers have work: device.lanes is " + std::to_string(lanes.size()));
  }
  std::vector<std::uint16_t> worker_of(traffic.arrivals.size());
  for (std::size_t i = 0; i < worker_of.size(); ++i) {
    const std::uint16_t lane =
        future.decidable(i) ? path::LaneOf(future.key(i), config.path.lanes) : std::uint16_t{0};
    worker_of[i] = static_cast<std::uint16_t>(lane % workers);
  }

  // Every frame of the window in the pool, those in the caches of the cores, and one of the largest.
  constexpr unsigned kCaches = 512;
  const unsigned mbufs = kWindow + kCaches * static_cast<unsigned>(workers + 1) + kMostSegments * kPlaces;
  const Pool pool = MakePool("foreflow_frames", mbufs, sizeof(BorrowedMeta), RTE_PKTMBUF_HEADROOM);
  std::vector<Ring> rings;
  std::vector<rte_ring*> decided;
  std::vector<rte_ring*> rows;
  for (std::size_t i = 0; i < workers; ++i) {
    constexpr unsigned kOneToOne = RING_F_SP_ENQ | RING_F_SC_DEQ;
    rings.push_back(MakeRing("foreflow_decided" + std::to_string(i), sizeof(Decided), kPlaces, kOneToOne));
    decided.push_back(rings.back().get());
    rows.push_back(nullptr);
    if (!observer) continue;
    rings.push_back(MakeRing("foreflow_rows" + std::to_string(i), sizeof(DecidedRow), kPlaces, kOneToOne));
    rows.back() = rings.back().get();
  }
  RingPort port("foreflow_replay", static_cast<unsigned>(workers), kPlaces, pool.get());
  Switch fabric(Switching::kLearn, 1);
  std::atomic<Phase> phase{Phase::kRun};
  std::vector<std::unique_ptr<Worker>> running;
  for (std::size_t i = 0; i < workers; ++i) {
    const auto queue = static_cast<std::uint16_t>(i);
    WorkerPlan plan;
    plan.index = static_cast<unsigned>(i);
    plan.workers = static_cast<unsigned>(workers);
    plan.phase = &phase;
    plan.lanes = &lanes;
    plan.vms = config.path.vms;
    plan.clock = Clock::kCarried;
    plan.rx = {{port.device(), queue, 0, 0}};
    plan.tx = {{port.device(), queue, 0, nullptr}};
    plan.fabric = &fabric;
    // Queues only reorder here: a burst fits any of them.
    plan.queue_packets = path::kBurst;
    plan.most_frame_bytes = pcap::kMaxCapturedBytes;
    plan.decided = decided[i];
    plan.rows = rows[i];
    plan.waits = true;
    running.push_back(std::make_unique<Worker>(plan));
  }

  crypto::Sha256 digest;
  Exchange exchange(arrivals, worker_of, static_cast<bool>(observer), port, pool.get(), decided, rows);
  {
    Running threads(phase, eal.worker_lcores(), running);
    unsigned idle = 0;
    const auto visit = [&](std::uint64_t number, const path::Verdict& verdict, const path::StageWork& work) {
      const auto record = Encode(verdict);
      digest.Update({record.data(), record.size()});
      ++result.packets.in;
      if (verdict.verb == rules::Verb::kDrop) {
        result.packets.Drop(verdict.reason);
      } else {
        ++result.packets.out;
      }
      if (observer) observer(number, arrivals[number], verdict, work);
    };
    while (!exchange.done() || exchange.returned() < result.packets.out) {
      bool moved = exchange.Feed();
      moved = exchange.Merge(visit) || moved;
      moved = exchange.Collect() || moved;
      if (moved) {
        idle = 0;
      } else if (++idle >= kPollsBeforeSleep) {
        ::usleep(kSleepMicroseconds);
      }
    }
  }
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  for (const auto& worker : running) {
    const WorkerCount count = worker->Count();
    in += count.ports[0].in;
    out += count.ports[0].sent.frames;
  }
  if (in != result.packets.in || out != result.packets.out || exchange.returned() != out) {
    throw std::logic_error(capture.name + ": the ports carried " + std::to_string(in) + " frames in and " +
                           std::to_string(out) + " out, the verdicts say " +
                           std::to_string(result.packets.in) + " and " + std::to_string(result.packets.out));
  }
  if (rte_mempool_avail_count(pool.get()) != mbufs) {
    throw std::logic_error(capture.name + ": " + std::to_string(mbufs - rte_mempool_avail_count(pool.get())) +
                           " mbufs were lost");
  }
  const auto fingerprint = digest.Finish();
  result.fingerprint = crypto::Hex({fingerprint.data(), fingerprint.size()});
  result.counters = lanes.counters();
  result.models = config::ToJson(lanes);
  result.statistics = config::StatisticsOf(lanes);
  result.path = std::move(config.path);
  return result;
}

}  // namespace foreflow::dpdk
