// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/loopback.h"

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bindings/dpdk/calibration_cell.h"
#include "bindings/dpdk/test_eal.h"
#include "bindings/dpdk/yardstick.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

constexpr std::uint32_t kQueuePackets = 100'000;

// Conversations of a few VMs, every tenth frame too long to be copied.
struct Traffic {
  std::vector<std::vector<std::uint8_t>> frames;
  std::vector<path::Arrival> arrivals;
};
Traffic MakeTraffic(unsigned seed, std::size_t packets) {
  std::mt19937 random(seed);
  Traffic traffic;
  for (std::size_t i = 0; i < packets; ++i) {
    wire::PacketBuilder packet;
    packet.Ethernet().Ipv4("10.0.0." + std::to_string(1 + random() % 4),
                           "10.1.0." + std::to_string(random() % 250));
    packet.Tcp(static_cast<std::uint16_t>(4000 + random() % 50), 443).Flags(0x18);
    traffic.frames.push_back(packet.Payload(random() % 10 == 0 ? 9000 : random() % 1400).Build());
  }
  for (std::size_t i = 0; i < packets; ++i) {
    const std::vector<std::uint8_t>& frame = traffic.frames[i];
    path::Arrival arrival;
    arrival.captured = {frame.data(), frame.size()};
    arrival.wire_bytes = static_cast<std::uint32_t>(frame.size());
    arrival.vm = static_cast<flow::VmId>(frame[29]);  // the sender's last byte
    arrival.time = arrival.sent = Micros(10) * static_cast<std::int64_t>(i);
    traffic.arrivals.push_back(arrival);
  }
  return traffic;
}

path::Counters Decided(const path::PathConfig& config, const std::vector<path::Arrival>& arrivals) {
  path::Lanes lanes(config, nullptr);
  std::array<path::Verdict, path::kBurst> verdicts;
  std::array<path::StageWork, path::kBurst> works;
  for (std::size_t at = 0; at < arrivals.size(); at += path::kBurst) {
    works.fill({});
    lanes.Process(&arrivals[at], std::min(path::kBurst, arrivals.size() - at), verdicts.data(), works.data());
  }
  return lanes.counters();
}

// Passes that follow each other, so that frames are used again, copied and borrowed ones.
TEST(Loopback, DecidesWhatWasOfferedWhateverThePace) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Traffic traffic = MakeTraffic(seed, 3000);
  Cell cell;
  cell.arm = path::Arm::kPredictive;
  cell.rules = 60;
  cell.flow_entries = 64;
  const path::PathConfig config = ConfigOf(cell);
  path::Lanes lanes(config, nullptr);
  Loopback loopback(TestEal());
  const std::unique_ptr<Worker> worker = loopback.MakeWorker(lanes, config.vms, kQueuePackets);

  constexpr std::size_t kPart =
      1000;  // the queue has room for a pass: none is refused however the worker is held up
  const Loopback::Pass flood = loopback.Run(*worker, traffic.arrivals.data(), kPart, nullptr, nullptr);
  std::vector<std::uint64_t> due;
  for (std::size_t i = 0; i < kPart; ++i) due.push_back(i / 5 * rte_get_tsc_hz() / 100'000);
  std::vector<Stamp> stamps(kPart);
  const Loopback::Pass timed =
      loopback.Run(*worker, &traffic.arrivals[kPart], kPart, due.data(), stamps.data());
  const Loopback::Pass again = loopback.Run(*worker, &traffic.arrivals[2 * kPart], kPart, nullptr, nullptr);

  for (const Loopback::Pass& pass : {flood, timed, again}) {
    EXPECT_EQ(pass.packets, kPart);
    EXPECT_EQ(pass.sent + pass.dropped, kPart);
    EXPECT_GE(pass.bursts * path::kBurst, kPart);
    EXPECT_GT(pass.busy_cycles, 0u);
    EXPECT_GT(pass.wall_cycles, 0u);
    EXPECT_LE(QuietCycles(pass), static_cast<double>(pass.busy_cycles) / kPart * 1.001);
  }
  const std::uint64_t begin = stamps[0].due;
  for (std::size_t i = 0; i < kPart; ++i) {
    EXPECT_EQ(stamps[i].due - begin, due[i]);
    if (stamps[i].sent == 0) continue;
    EXPECT_LE(stamps[i].due, stamps[i].offered);
    EXPECT_LE(stamps[i].offered, stamps[i].received);
    EXPECT_LE(stamps[i].received, stamps[i].sent);
  }
  // The bytes arrived as they were: the worker decided as the path does by itself.
  const path::Counters expected = Decided(config, traffic.arrivals);
  const path::Counters counted = worker->Count().path;
  EXPECT_EQ(counted.packets, expected.packets);
  EXPECT_EQ(counted.punts, expected.punts);
  EXPECT_EQ(counted.installs_on_miss, expected.installs_on_miss);
  EXPECT_EQ(counted.destinations_scored, expected.destinations_scored);
  EXPECT_GT(expected.punts, 0u);
}

TEST(Loopback, AnIdlePassDecidesNothing) {
  path::Lanes lanes(ConfigOf(Cell{}), nullptr);
  Loopback loopback(TestEal());
  const std::unique_ptr<Worker> worker = loopback.MakeWorker(lanes, 64, kQueuePackets);
  const Loopback::Pass idle = loopback.Idle(*worker, rte_get_tsc_hz() / 1000);
  EXPECT_EQ(idle.bursts, 0u);
  EXPECT_EQ(idle.busy_cycles, 0u);
}

TEST(QuietCycles, LeavesOutRoundsThatInterferenceHit) {
  TestEal();  // the clock's rate
  const std::uint64_t ms = rte_get_tsc_hz() / 1000;
  Loopback::Pass pass;
  pass.packets = 1000;
  pass.busy_cycles = 2'000'000 + ms;
  EXPECT_DOUBLE_EQ(QuietCycles(pass), static_cast<double>(pass.busy_cycles) / 1000);
  pass.worker_gaps = {{0, ms, 0}};  // nothing was to be done: in no sum
  EXPECT_DOUBLE_EQ(QuietCycles(pass), static_cast<double>(pass.busy_cycles) / 1000);
  pass.worker_gaps.push_back({2 * ms, 3 * ms, 32});
  EXPECT_DOUBLE_EQ(QuietCycles(pass), 2'000'000.0 / (1000 - 32));
}

TEST(Yardstick, AgreesOverAllLoads) {
  const Yardstick::Reading usual = {250, 1500, 4000};
  EXPECT_TRUE(Yardstick::Agree(usual, usual, 0));
  EXPECT_TRUE(Yardstick::Agree(usual, {260, 1560, 4160}, 0.05));
  EXPECT_FALSE(Yardstick::Agree(usual, {270, 1620, 4320}, 0.05));
  EXPECT_FALSE(Yardstick::Agree({270, 1620, 4320}, usual, 0.05));
  EXPECT_TRUE(Yardstick::Agree(usual, {500, 1500, 2000}, 0.05));
}

}  // namespace
}  // namespace foreflow::dpdk
