// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_HW_MODELS_COST_STATION_H_
#define FOREFLOW_HW_MODELS_COST_STATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/units.h"

namespace foreflow::hw {

// One queueing station: `engines` identical servers before which up to `queue_capacity` jobs wait in order.
// A job occupies its engine for `occupancy` (the initiation interval of a pipeline) and leaves `latency`
// after it began (>= occupancy). Computed, not simulated: no events. Arrivals come in order of time.
//
// Lindley's recursion (1952), Kiefer and Wolfowitz's form for several engines: a job begins at its arrival or
// when the first engine is free. O(log engines) a job; memory is sized at construction.
struct StationConfig {
  std::string name;
  std::size_t engines = 1;            // >= 1
  std::size_t queue_capacity = 1024;  // jobs that may wait; 0: none does
};

// See above. One thread.
class Station {
 public:
  // Throws Refusal where there are no engines.
  explicit Station(const StationConfig& config);

  struct Passage {
    bool accepted = false;  // false: the queue was full, the caller counts the drop
    Picos start;            // service begins
    Picos leave;            // the job is out
  };
  // Refuses a job that finds `queue_capacity` jobs waiting (begun ones do not count) and no free engine. A
  // `latency` below `occupancy` counts as `occupancy`. Times of a refused job are zero.
  Passage Enter(Picos now, Picos occupancy, Picos latency);

  // Whether Enter at `now` would take a job.
  bool HasRoom(Picos now) const;

  // Of jobs so far: `busy` and `waited` are known when a job enters, and counted then.
  struct Statistics {
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;
    Picos busy;    // summed over engines
    Picos waited;  // summed over jobs
  };
  const Statistics& statistics() const { return statistics_; }
  const std::string& name() const { return name_; }
  std::size_t engines() const { return free_at_.size(); }

 private:
  void OccupyFirstFree(Picos until);

  std::string name_;
  std::vector<Picos> free_at_;  // a min-heap: when each engine is free
  std::vector<Picos> waiting_;  // ring of the start times of jobs that may not have begun, in order
  std::size_t first_waiting_ = 0;
  std::size_t waiting_count_ = 0;
  Statistics statistics_;
};

// What a station did, whichever kind it is.
struct StationReport {
  std::string name;
  std::size_t engines = 0;
  Station::Statistics statistics;
};

}  // namespace foreflow::hw

#endif  // FOREFLOW_HW_MODELS_COST_STATION_H_
