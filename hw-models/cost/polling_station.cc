// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/polling_station.h"

#include <algorithm>

#include "models/base/refusal.h"

namespace foreflow::hw {

PollingStation::PollingStation(const PollingConfig& config)
    : config_(config), waiting_(config.queue_capacity), in_service_(config.engines) {
  const auto refuse_zero = [&](const char* key, std::size_t value) {
    if (value == 0) throw Refusal("station " + config.name, key, "0", "1 or more");
  };
  refuse_zero("engines", config.engines);
  refuse_zero("queue_capacity", config.queue_capacity);
  refuse_zero("burst", config.burst);
  for (std::size_t engine = config.engines; engine > 0; --engine) free_.push_back(engine - 1);
  for (std::vector<std::uint32_t>& jobs : in_service_) jobs.reserve(config.burst);
  ended_.reserve(config.burst);
}

bool PollingStation::Join(Picos now, std::uint32_t job, Picos service) {
  if (count_ == waiting_.size()) {
    ++statistics_.refused;
    return false;
  }
  waiting_[(first_ + count_) % waiting_.size()] = {job, now, service};
  ++count_;
  ++statistics_.accepted;
  return true;
}

bool PollingStation::Begin(Picos now, Burst& burst) {
  if (count_ == 0 || free_.empty()) return false;
  burst.engine = free_.back();
  free_.pop_back();
  std::vector<std::uint32_t>& jobs = in_service_[burst.engine];
  Picos service = config_.burst_time;
  Picos start = now;
  for (std::size_t taken = std::min(count_, config_.burst); taken > 0; --taken) {
    const Job& job = waiting_[first_];
    jobs.push_back(job.handle);
    service += job.service;
    start = std::max(start, job.arrival);  // a carrier's clock may be coarser than the ends of bursts
    statistics_.waited += start - job.arrival;
    first_ = (first_ + 1) % waiting_.size();
    --count_;
  }
  statistics_.busy += service;
  burst.done = start + service;
  return true;
}

const std::vector<std::uint32_t>& PollingStation::End(std::size_t engine) {
  ended_.clear();
  ended_.swap(in_service_[engine]);
  free_.push_back(engine);
  return ended_;
}

}  // namespace foreflow::hw
