// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_HW_MODELS_COST_STATION_H_
#define FOREFLOW_HW_MODELS_COST_STATION_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "models/base/units.h"

namespace foreflow::hw {

// One queueing station: `engines` identical servers before which up to `queue_capacity` jobs wait in order.
// A job occupies its engine for `occupancy` (the initiation interval of a pipeline) and leaves `latency` after
// it began (>= occupancy). Computed, not simulated: no events. Arrivals come in order of time.
struct StationConfig {
  std::string name;
  std::size_t engines = 1;
  std::size_t queue_capacity = 1024;
};

class Station {
 public:
  explicit Station(const StationConfig& config);

  struct Passage {
    bool accepted = false;  // false: the queue was full, the caller counts the drop
    Picos start;            // service begins
    Picos leave;            // the job is out
  };
  Passage Enter(Picos now, Picos occupancy, Picos latency);

  struct Statistics {
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;
    Picos busy;             // summed over engines
    Picos waited;           // summed over jobs
  };
  const Statistics& statistics() const;
  const std::string& name() const;
};

}  // namespace foreflow::hw

#endif  // FOREFLOW_HW_MODELS_COST_STATION_H_
