// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_HW_MODELS_COST_POLLING_STATION_H_
#define FOREFLOW_HW_MODELS_COST_POLLING_STATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hw-models/cost/station.h"
#include "models/base/units.h"

namespace foreflow::hw {

// Cores that poll one receive queue and run each burst to completion: a free core takes what waits, up to
// `burst` jobs, works on all of them, and only then do they leave, together. A job that finds a core free
// does not wait for company.
//
// When a burst ends depends on jobs that come after its first, so ends cannot be told on arrival: the carrier
// asks Begin after every Join and every End, and calls End at the time that Begin gave. All memory is taken
// at construction.
struct PollingConfig {
  std::string name;
  std::size_t engines = 1;            // >= 1
  std::size_t queue_capacity = 1024;  // jobs that may wait, >= 1
  std::size_t burst = 32;             // most jobs taken at once, >= 1
  Picos burst_time;                   // of every burst, besides its jobs
};

// See above. One thread.
class PollingStation {
 public:
  // Throws Refusal where a number is below 1.
  explicit PollingStation(const PollingConfig& config);

  // A job, by the carrier's handle, that will keep its core for `service`. False, and counted as refused,
  // when the queue is full.
  bool Join(Picos now, std::uint32_t job, Picos service);

  struct Burst {
    std::size_t engine = 0;
    Picos done;  // End is due
  };
  // Begins the next burst, if a core is free and a job waits. `now` never runs backwards.
  bool Begin(Picos now, Burst& burst);
  // The burst of an engine is over; its jobs, in order of arrival, until the next call. The core is free.
  const std::vector<std::uint32_t>& End(std::size_t engine);

  const Station::Statistics& statistics() const { return statistics_; }
  const std::string& name() const { return config_.name; }
  std::size_t engines() const { return config_.engines; }

 private:
  struct Job {
    std::uint32_t handle = 0;
    Picos arrival;
    Picos service;
  };

  PollingConfig config_;
  std::vector<Job> waiting_;  // ring
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::vector<std::vector<std::uint32_t>> in_service_;  // by engine
  std::vector<std::size_t> free_;                       // engines; the last freed is taken first
  std::vector<std::uint32_t> ended_;
  Station::Statistics statistics_;
};

}  // namespace foreflow::hw

#endif  // FOREFLOW_HW_MODELS_COST_POLLING_STATION_H_
