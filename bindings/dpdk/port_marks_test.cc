// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/port_marks.h"

#include <gtest/gtest.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/test_eal.h"
#include "bindings/dpdk/test_flow_nic.h"
#include "bindings/dpdk/worker.h"

namespace foreflow::dpdk {
namespace {

constexpr flow::VmId kVm = 2;
constexpr std::size_t kFrames = 3000;
constexpr unsigned kPlaces = 4096;
constexpr std::uint32_t kFirstMark = PortMarks::kMarks - 2;  // so that they wrap

TEST(PortMarks, AreNumbersInARowModuloTheirCount) {
  PortMarks marks;
  marks.first = kFirstMark;
  marks.decisions.resize(4);
  EXPECT_EQ(marks.Find(kFirstMark), &marks.decisions[0]);
  EXPECT_EQ(marks.Find(PortMarks::kMarks - 1), &marks.decisions[1]);
  EXPECT_EQ(marks.Find(0), &marks.decisions[2]);
  EXPECT_EQ(marks.Find(1), &marks.decisions[3]);
  EXPECT_EQ(marks.Find(2), nullptr);
  EXPECT_EQ(marks.Find(kFirstMark - 1), nullptr);
  EXPECT_EQ(marks.Find(kFirstMark + PortMarks::kMarks), nullptr) << "no mark is as high";
}

struct Outcome {
  std::vector<std::array<std::uint8_t, path::kVerdictBytes>> verdicts;
  std::uint64_t marked = 0;  // frames that the NIC has looked up
  std::uint64_t hardware_hits = 0;
  std::uint64_t searches = 0;  // hashes of the host's table
};

// A worker that is fed the frames through a port, marked as a NIC with these entries would; without entries
// unmarked.
Outcome Decide(const path::PathConfig& config, const std::vector<Bytes>& frames,
               const std::vector<FlowEntry>& entries, const OffloadPlan& plan) {
  path::Lanes lanes(config, nullptr);
  const Pool pool = MakePool("marks_pool", 2 * kFrames, sizeof(FrameMeta), 2048);
  RingPort port("marks_port", 1, kPlaces, pool.get());
  const Ring decided = MakeRing("marks_decided", sizeof(Decided), kPlaces, RING_F_SP_ENQ | RING_F_SC_DEQ);
  const Ring rows = MakeRing("marks_rows", sizeof(DecidedRow), kPlaces, RING_F_SP_ENQ | RING_F_SC_DEQ);
  Switch fabric(Switching::kLearn, 1);
  std::atomic<Phase> phase{Phase::kRun};
  WorkerPlan worker_plan;
  worker_plan.phase = &phase;
  worker_plan.lanes = &lanes;
  worker_plan.vms = config.vms;
  worker_plan.clock = Clock::kCarried;
  worker_plan.rx = {{port.device(), 0, 0, 0}};
  worker_plan.tx = {{port.device(), 0, 0, nullptr}};
  worker_plan.fabric = &fabric;
  worker_plan.most_frame_bytes = 2048;
  worker_plan.decided = decided.get();
  worker_plan.rows = rows.get();
  worker_plan.waits = true;

  Outcome outcome;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    rte_mbuf* frame = rte_pktmbuf_alloc(pool.get());
    std::copy(frames[i].begin(), frames[i].end(),
              reinterpret_cast<std::uint8_t*>(
                  rte_pktmbuf_append(frame, static_cast<std::uint16_t>(frames[i].size()))));
    FrameMeta& meta = MetaOf(frame);
    meta = {};
    meta.number = i;
    meta.time = meta.sent = Micros(5) * static_cast<std::int64_t>(i);
    meta.wire_bytes = frame->pkt_len;
    meta.vm = kVm;
    const auto winners = Winners(entries, entries.size(), frames[i], std::less<>());
    if (!winners.empty() && winners.front()->fate == FlowEntry::Fate::kMark) {
      ++outcome.marked;
      frame->ol_flags |= RTE_MBUF_F_RX_FDIR | RTE_MBUF_F_RX_FDIR_ID;
      frame->hash.fdir.hi = (kFirstMark + winners.front()->decision) % PortMarks::kMarks;
    }
    rte_ring_enqueue(port.rx(0), frame);
  }
  const std::vector<PortMarks> marks = {{kFirstMark, plan.decisions}};
  {
    Worker worker(worker_plan);
    worker.OfferMarks(&marks);
    std::thread thread([&] { worker.Run(); });
    while (outcome.verdicts.size() < frames.size()) {
      Decided one;
      DecidedRow row;
      if (rte_ring_dequeue_elem(decided.get(), &one, sizeof one) != 0) {
        std::this_thread::yield();
        continue;
      }
      while (rte_ring_dequeue_elem(rows.get(), &row, sizeof row) != 0) std::this_thread::yield();
      outcome.verdicts.push_back(Encode(one.verdict));
      outcome.searches += row.work[path::Stage::kSlowPath][WorkItem::kHash];
    }
    phase.store(Phase::kStop);
    thread.join();
    outcome.hardware_hits = worker.Count().hardware_hits;
  }
  void* left;
  while (rte_ring_dequeue(port.tx(0), &left) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(left));
  return outcome;
}

// Rules that a NIC has looked up save the host that work and change no verdict, in no arm of a live run.
TEST(PortMarks, ChangeNoVerdict) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  TestEal();
  rules::RuleDice dice(seed);
  std::vector<Bytes> frames;
  while (frames.size() < kFrames) {
    // Frames in use come again, or every look-up would be a miss.
    frames.push_back(frames.size() > 100 && !dice.OneIn(4) ? frames[dice.Below(frames.size())]
                                                           : RandomFrame(dice));
  }
  path::PathConfig config;
  config.vms = rules::RuleDice::kVms;
  config.rules = dice.Rules(20);
  for (rules::Rule& rule : config.rules) rule.action.meter = rules::kNoMeter;
  config.rules.push_back({});
  config.rules.back().id = 1000;
  config.rules.back().priority = -100;
  config.rules.back().action.verb = rules::Verb::kForward;
  OffloadScope scope;
  scope.vm = kVm;
  scope.abilities = {true, true};
  scope.marks = true;
  scope.most_entries = 1000;
  std::vector<FlowEntry> entries;
  const OffloadPlan plan = Offload(config.rules, scope, [&](const FlowEntry& entry) {
    entries.push_back(entry);
    return std::string();
  });
  for (const path::Arm arm : {path::Arm::kOff, path::Arm::kReactive, path::Arm::kPredictive}) {
    config.arm = arm;
    const Outcome software = Decide(config, frames, {}, {});
    const Outcome hardware = Decide(config, frames, entries, plan);
    EXPECT_EQ(hardware.verdicts, software.verdicts) << "arm " << int(arm);
    EXPECT_EQ(software.hardware_hits, 0u);
    // All but the few damaged frames, which are dropped whatever a NIC says of them.
    EXPECT_LE(hardware.hardware_hits, hardware.marked) << "arm " << int(arm);
    EXPECT_GT(hardware.hardware_hits, hardware.marked * 3 / 4) << "arm " << int(arm);
    EXPECT_GT(hardware.marked, 0u);
    EXPECT_LT(hardware.searches, software.searches) << "arm " << int(arm);
  }
  // Marks that lie do change verdicts: they were read.
  OffloadPlan lie = plan;
  for (rules::Decision& decision : lie.decisions) decision = {1000, {}};
  config.arm = path::Arm::kOff;
  EXPECT_NE(Decide(config, frames, entries, lie).verdicts, Decide(config, frames, {}, {}).verdicts);
}

}  // namespace
}  // namespace foreflow::dpdk
