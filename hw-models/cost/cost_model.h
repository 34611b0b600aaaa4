// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_HW_MODELS_COST_COST_MODEL_H_
#define FOREFLOW_HW_MODELS_COST_COST_MODEL_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/path/stages.h"
#include "models/path/traffic_extent.h"
#include "models/shard/unit_work.h"

namespace foreflow::hw {

// Prices of one processing device (a host core, a NIC pipeline, an Arm core). Filled from a file in profiles/
// by bindings/config; every number there has its source beside it.
struct DeviceProfile {
  std::string name;
  std::uint64_t clock_hz = 0;           // above 0 where TimeOf is asked for
  std::uint32_t engines = 1;            // that work side by side
  std::uint32_t queue_capacity = 1024;  // packets
  // Milli-cycles, so that measured averages need no floating point: base a stage visit, and a unit of work.
  std::array<std::uint64_t, path::kStages> stage_base_millicycles{};
  std::array<std::uint64_t, kWorkItems> item_millicycles{};
  // Pipelines overlap packets: a packet occupies the pipeline while its bytes pass at `datapath_bytes` a
  // cycle, at least `initiation_interval` cycles. 0: not a pipeline, a packet occupies its engine throughout.
  std::uint32_t initiation_interval = 0;
  std::uint32_t datapath_bytes = 0;  // a cycle, of a pipeline; 0: bytes do not hold it up

  // What a cache line costs beyond the item's price where so many bytes of tables or more were touched since
  // it was touched last: it has left a cache of that size. Rising `beyond_bytes`; extras add up.
  struct CacheLevel {
    std::uint64_t beyond_bytes = 0;
    std::uint64_t extra_millicycles = 0;
  };
  std::vector<CacheLevel> cache_levels;
  std::uint64_t line_extra_millicycles = 0;  // of the levels together, on given traffic: see PlaceTables

  // What a core spends on carrying packets that it also decides on: receiving, sending, buffers, queues.
  struct Carrying {
    bool is_known = false;
    std::uint64_t packet_millicycles = 0;
    std::uint64_t burst_millicycles = 0;  // a poll that found packets
  };
  Carrying carrying;

  // The engines of a packet dynamics unit.
  struct PacketDynamics {
    bool is_known = false;
    std::array<std::uint64_t, shard::kUnitEngines> base_millicycles{};  // a visit
  };
  PacketDynamics unit;
};

// Who does a packet's work: host core and NIC in turn with a bus between them, or one host core all of it.
enum class Placement : std::uint8_t { kNic, kHostCore };

// A bus between host and device (PCIe): fixed latency one way, and bandwidth after headers.
struct BusProfile {
  std::string name;
  Nanos read_latency;                // a DMA read's round trip, small
  Nanos write_latency;               // posted write
  BitsPerSecond bandwidth;           // usable, one direction
  std::uint32_t overhead_bytes = 0;  // a packet: descriptor, completion, TLP headers
};

// Prices cache lines by where the tables of the traffic's entries lie: of the lines, the share of packets
// whose entry was last needed more than a level's bytes of tables ago costs the level's extra, rounded to the
// nearest milli-cycle. To be called before the first price is asked for; until then, lines cost what the item
// says.
void PlaceTables(DeviceProfile& device, const path::PathConfig& config, const path::TrafficExtent& extent);

// Price of one visit of `stage` that did `work`, rounded up to whole cycles. Charges the stage's base even
// where `work` is empty: call it for visited stages only.
Cycles CyclesOf(const DeviceProfile& device, path::Stage stage, const Work& work);

// Price of one visit of an engine of a packet dynamics unit, likewise. device.unit.is_known must hold.
Cycles CyclesOf(const DeviceProfile& device, shard::UnitEngine engine, const Work& work);

// Rounded up.
Cycles WholeCycles(std::uint64_t millicycles);

// How long a packet of `bytes` keeps the next one out of its engine, when its stages cost `latency` in sum:
// `latency` itself, or for a pipeline max(initiation interval, bytes / datapath width), which may exceed
// `latency`.
Cycles OccupancyOf(const DeviceProfile& device, Cycles latency, std::uint32_t bytes);

// Exact integer arithmetic, rounded up to whole picoseconds: a clock of 2.6 GHz has no whole period.
Picos TimeOf(const DeviceProfile& device, Cycles cycles);

// How long `bytes` of one packet, with the bus's own overhead, occupy one direction of the bus. The packet is
// at the other side `write_latency` (pushed) or `read_latency` (fetched) after that.
Picos TransferTime(const BusProfile& bus, std::uint32_t bytes);

}  // namespace foreflow::hw

#endif  // FOREFLOW_HW_MODELS_COST_COST_MODEL_H_
