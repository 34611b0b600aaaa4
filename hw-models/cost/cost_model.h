// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_HW_MODELS_COST_COST_MODEL_H_
#define FOREFLOW_HW_MODELS_COST_COST_MODEL_H_

#include <array>
#include <cstdint>
#include <string>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/path/stages.h"

namespace foreflow::hw {

// Prices of one processing device (a host core, a NIC pipeline, an Arm core). Filled from a file in profiles/
// by bindings/config; every number there has its source beside it.
struct DeviceProfile {
  std::string name;
  std::uint64_t clock_hz = 0;
  std::uint32_t engines = 1;             // that work side by side
  std::uint32_t queue_capacity = 1024;   // packets
  // Milli-cycles, so that measured averages need no floating point: base a stage visit, and a unit of work.
  std::array<std::uint64_t, path::kStages> stage_base_millicycles{};
  std::array<std::uint64_t, kWorkItems> item_millicycles{};
  // Pipelines overlap packets: a packet occupies the pipeline for its share of the cycles, at least
  // `initiation_interval` cycles. 0: not a pipeline, a packet occupies its engine throughout.
  std::uint32_t initiation_interval = 0;
};

// A bus between host and device (PCIe): fixed latency one way, and bandwidth after headers.
struct BusProfile {
  std::string name;
  Nanos read_latency;                 // a DMA read's round trip, small
  Nanos write_latency;                // posted write
  BitsPerSecond bandwidth;            // usable, one direction
  std::uint32_t overhead_bytes = 0;   // a packet: descriptor, completion, TLP headers
};

Cycles CyclesOf(const DeviceProfile& device, path::Stage stage, const Work& work);
Picos TimeOf(const DeviceProfile& device, Cycles cycles);
Picos TransferTime(const BusProfile& bus, std::uint32_t bytes);

}  // namespace foreflow::hw

#endif  // FOREFLOW_HW_MODELS_COST_COST_MODEL_H_
