// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_UNIT_WORK_H_
#define FOREFLOW_MODELS_SHARD_UNIT_WORK_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/work.h"

namespace foreflow::shard {

// The engines of a packet dynamics unit, each of which a device may have of its own.
enum class UnitEngine : std::uint8_t {
  kSplit,       // cuts packets, writes headers, keeps copies
  kCipher,      // seals and opens
  kReassembly,  // reads headers, puts packets together
  kTimers,      // gaps, feedback, probes, sending again
};
constexpr std::size_t kUnitEngines = static_cast<std::size_t>(UnitEngine::kTimers) + 1;
// The snake_case name; nullptr out of range.
const char* Name(UnitEngine engine);

// Work by the engine that did it.
struct UnitWork {
  std::array<Work, kUnitEngines> engines;

  Work& operator[](UnitEngine engine) { return engines[static_cast<std::size_t>(engine)]; }
  const Work& operator[](UnitEngine engine) const { return engines[static_cast<std::size_t>(engine)]; }
  UnitWork& operator+=(const UnitWork& other) {
    for (std::size_t i = 0; i < kUnitEngines; ++i) engines[i] += other.engines[i];
    return *this;
  }
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_UNIT_WORK_H_
