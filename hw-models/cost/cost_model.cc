// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/cost_model.h"

#include <algorithm>

namespace foreflow::hw {
namespace {

// GCC and Clang both have it on 64-bit targets; -Wpedantic needs the marker.
__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kPicosPerSecond = 1'000'000'000'000;

Wide DivideUp(Wide dividend, std::uint64_t divisor) { return (dividend + divisor - 1) / divisor; }

Wide ItemsOf(const DeviceProfile& device, const Work& work) {
  Wide millicycles = 0;
  for (std::size_t i = 0; i < kWorkItems; ++i)
    millicycles += Wide{device.item_millicycles[i]} * work.count[i];
  return millicycles;
}

}  // namespace

void PlaceTables(DeviceProfile& device, const path::PathConfig& config, const path::TrafficExtent& extent) {
  device.line_extra_millicycles = 0;
  if (extent.packets() == 0) return;
  const std::uint64_t entry_bytes = path::TableBytesAnEntry(config).count();
  for (const DeviceProfile::CacheLevel& level : device.cache_levels) {
    const Wide part = Wide{level.extra_millicycles} * extent.Beyond(level.beyond_bytes / entry_bytes);
    device.line_extra_millicycles +=
        static_cast<std::uint64_t>((part + extent.packets() / 2) / extent.packets());
  }
}

Cycles CyclesOf(const DeviceProfile& device, path::Stage stage, const Work& work) {
  Wide millicycles = device.stage_base_millicycles[static_cast<std::size_t>(stage)];
  // The slow path's lines are those of the rule tables, which stay near however many entries there are.
  if (stage != path::Stage::kSlowPath) {
    millicycles += Wide{device.line_extra_millicycles} * work[WorkItem::kCacheLine];
  }
  millicycles += ItemsOf(device, work);
  return Cycles(static_cast<std::uint64_t>(DivideUp(millicycles, 1000)));
}

Cycles CyclesOf(const DeviceProfile& device, shard::UnitEngine engine, const Work& work) {
  const Wide base = device.unit.base_millicycles[static_cast<std::size_t>(engine)];
  return Cycles(static_cast<std::uint64_t>(DivideUp(base + ItemsOf(device, work), 1000)));
}

Cycles WholeCycles(std::uint64_t millicycles) { return Cycles((millicycles + 999) / 1000); }

Cycles OccupancyOf(const DeviceProfile& device, Cycles latency, std::uint32_t bytes) {
  if (device.initiation_interval == 0) return latency;
  const Cycles interval(device.initiation_interval);
  if (device.datapath_bytes == 0) return interval;
  const Cycles beats((std::uint64_t{bytes} + device.datapath_bytes - 1) / device.datapath_bytes);
  return std::max(interval, beats);
}

Picos TimeOf(const DeviceProfile& device, Cycles cycles) {
  return Picos(static_cast<std::int64_t>(DivideUp(Wide{cycles.count()} * kPicosPerSecond, device.clock_hz)));
}

Picos TransferTime(const BusProfile& bus, std::uint32_t bytes) {
  const Wide bits = (Wide{bytes} + bus.overhead_bytes) * 8;
  return Picos(static_cast<std::int64_t>(DivideUp(bits * kPicosPerSecond, bus.bandwidth.count())));
}

}  // namespace foreflow::hw
