// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/cost_model.h"
#include "hw-models/cost/station.h"
#include "models/base/reason.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <map>

namespace foreflow::hw {
namespace {

DeviceProfile Fpga() {
  DeviceProfile device;
  device.name = "fpga";
  device.clock_hz = 250'000'000;
  device.initiation_interval = 1;
  device.datapath_bytes = 64;
  device.stage_base_millicycles[static_cast<std::size_t>(path::Stage::kParse)] = 8'000;
  device.item_millicycles[static_cast<std::size_t>(WorkItem::kHeader)] = 2'000;
  device.item_millicycles[static_cast<std::size_t>(WorkItem::kByteParsed)] = 16;
  return device;
}

TEST(CostModel, SumsBaseAndItemsAndRoundsUpOnce) {
  Work work;
  work.Add(WorkItem::kHeader, 3);
  work.Add(WorkItem::kByteParsed, 54);
  // 8 + 3 x 2 + 54 x 0.016 = 14.864
  EXPECT_EQ(CyclesOf(Fpga(), path::Stage::kParse, work), Cycles(15));
  EXPECT_EQ(CyclesOf(Fpga(), path::Stage::kAct, work), Cycles(7));
  EXPECT_EQ(CyclesOf(Fpga(), path::Stage::kAct, Work{}), Cycles(0));
}

TEST(CostModel, PricesLinesByHowFarBackTheirTablesLie) {
  DeviceProfile device = Fpga();
  device.item_millicycles[static_cast<std::size_t>(WorkItem::kCacheLine)] = 1'000;
  path::PathConfig config;
  config.arm = path::Arm::kReactive;
  const std::uint64_t entry = path::TableBytesAnEntry(config).count();
  device.cache_levels = {{entry, 4'000}, {3 * entry + 1, 30'000}};
  Work work;
  work.Add(WorkItem::kCacheLine, 10);
  EXPECT_EQ(CyclesOf(device, path::Stage::kFlowCache, work), Cycles(10));  // not placed yet
  // Distances 4, 4, 0, 1 after the first five: 3 of 4 are at least an entry away, 2 of 4 at least three.
  PlaceTables(device, config, path::TrafficExtent({0, 1, 2, 3, 4, 0, 1, 1, 0}, 5));
  // 10 x (1 + 3/4 x 4 + 2/4 x 30)
  EXPECT_EQ(CyclesOf(device, path::Stage::kFlowCache, work), Cycles(190));
  EXPECT_EQ(CyclesOf(device, path::Stage::kSlowPath, work), Cycles(10));  // rules are no entries
  // An arm with more tables has left the same cache sooner: the second level is left at 1 entry already.
  config.arm = path::Arm::kPredictive;
  ASSERT_LT(3 * entry + 1, 2 * path::TableBytesAnEntry(config).count());
  PlaceTables(device, config, path::TrafficExtent({0, 1, 2, 3, 4, 0, 1, 1, 0}, 5));
  // 10 x (1 + 4/4 x 4 + 3/4 x 30)
  EXPECT_EQ(CyclesOf(device, path::Stage::kFlowCache, work), Cycles(275));
  PlaceTables(device, config, path::TrafficExtent());
  EXPECT_EQ(CyclesOf(device, path::Stage::kProfile, work), Cycles(10));
}

TEST(CostModel, SumsBeyond64BitsOfMilliCycles) {
  DeviceProfile device = Fpga();
  device.item_millicycles.fill(8'000'000'000'000);
  Work work;
  work.count.fill(100'000'000);
  // 1.1e19 cycles fit into 64 bits, as milli-cycles they do not.
  EXPECT_EQ(CyclesOf(device, path::Stage::kAct, work),
            Cycles(kWorkItems * 8'000'000'000ull * 100'000'000ull));
}

TEST(CostModel, PricesTheEnginesOfAPacketDynamicsUnit) {
  DeviceProfile device = Fpga();
  device.unit.is_known = true;
  device.unit.base_millicycles = {1500, 0, 0, 7000};
  device.item_millicycles.fill(0);
  device.item_millicycles[static_cast<std::size_t>(WorkItem::kSeal)] = 64'000;
  device.item_millicycles[static_cast<std::size_t>(WorkItem::kByteCiphered)] = 122;
  Work work;
  work.Add(WorkItem::kSeal, 2);
  work.Add(WorkItem::kByteCiphered, 1400);
  EXPECT_EQ(CyclesOf(device, shard::UnitEngine::kCipher, work), Cycles(128 + 171));  // 170.8, rounded up
  EXPECT_EQ(CyclesOf(device, shard::UnitEngine::kSplit, Work()), Cycles(2));
  EXPECT_EQ(CyclesOf(device, shard::UnitEngine::kTimers, work), Cycles(7 + 128 + 171));
}

TEST(CostModel, TimeOfWholeAndFractionalPeriods) {
  DeviceProfile device = Fpga();
  EXPECT_EQ(TimeOf(device, Cycles(1)), Picos(4000));
  EXPECT_EQ(TimeOf(device, Cycles(0)), Picos(0));
  device.clock_hz = 2'600'000'000;
  EXPECT_EQ(TimeOf(device, Cycles(13)), Picos(5000));
  EXPECT_EQ(TimeOf(device, Cycles(1)), Picos(385));  // 384.6
  // A day of cycles: the product needs more than 64 bits.
  EXPECT_EQ(TimeOf(device, Cycles(2'600'000'000ull * 86'400)), Picos(86'400'000'000'000'000));
}

TEST(CostModel, PipelineIsHeldByItsIntervalOrItsBytes) {
  DeviceProfile device = Fpga();
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 60), Cycles(1));
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 64), Cycles(1));
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 65), Cycles(2));
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 1500), Cycles(24));
  EXPECT_EQ(OccupancyOf(device, Cycles(10), 1500), Cycles(24));
  device.initiation_interval = 30;
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 1500), Cycles(30));
  device.datapath_bytes = 0;
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 9000), Cycles(30));
  device.initiation_interval = 0;
  EXPECT_EQ(OccupancyOf(device, Cycles(50), 9000), Cycles(50));
}

TEST(CostModel, TransferCarriesTheBusOverhead) {
  BusProfile bus;
  bus.bandwidth = BitsPerSecond(57'900'000'000);
  bus.overhead_bytes = 104;
  // 168 B = 1344 bit at 57.9 Gb/s = 23212.4 ps, which is the 43 million frames a second of the bus model.
  EXPECT_EQ(TransferTime(bus, 64), Picos(23'213));
}

RC_GTEST_PROP(CostModelProperty, TimeIsNeverShortAndNeverAPicosecondLong, ()) {
  DeviceProfile device;
  device.clock_hz = *rc::gen::inRange<std::uint64_t>(1'000'000, 5'000'000'000);
  const auto cycles = *rc::gen::inRange<std::uint64_t>(0, 1'000'000'000);
  const long double exact =
      static_cast<long double>(cycles) * 1e12L / static_cast<long double>(device.clock_hz);
  const auto time = static_cast<long double>(TimeOf(device, Cycles(cycles)).count());
  RC_ASSERT(time >= exact - 1e-3L);
  RC_ASSERT(time < exact + 1.0L + 1e-3L);
}

TEST(CostModel, TheReadmesExample) {
  Work parsing, acting;
  parsing.Add(WorkItem::kHeader, 3);
  const Picos now(0);
  const std::uint32_t bytes = 1500;
  std::map<Reason, int> dropped;
  const hw::DeviceProfile fpga = Fpga();  // from ../profiles, by bindings/config
  hw::Station pipeline({"nic", fpga.engines, fpga.queue_capacity});
  const Cycles latency =
      hw::CyclesOf(fpga, path::Stage::kParse, parsing) + hw::CyclesOf(fpga, path::Stage::kAct, acting);
  const Picos occupancy = hw::TimeOf(fpga, hw::OccupancyOf(fpga, latency, bytes));
  const auto passage = pipeline.Enter(now, occupancy, hw::TimeOf(fpga, latency));
  if (!passage.accepted) ++dropped[Reason::kStationFull];
  EXPECT_EQ(latency, Cycles(14));  // 8 + 3 x 2
  // 1500 B at 64 B a cycle of 4 ns hold the pipeline up for longer than the stages take.
  EXPECT_EQ(passage.leave, Picos(24 * 4000));
  EXPECT_TRUE(dropped.empty());
}

}  // namespace
}  // namespace foreflow::hw
