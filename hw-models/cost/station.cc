// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/station.h"

#include <algorithm>

#include "models/base/refusal.h"

namespace foreflow::hw {

Station::Station(const StationConfig& config)
    : name_(config.name), free_at_(config.engines), waiting_(config.queue_capacity) {
  if (config.engines == 0) throw Refusal("station " + config.name, "engines", "0", "1 or more");
}

Station::Passage Station::Enter(Picos now, Picos occupancy, Picos latency) {
  while (waiting_count_ > 0 && waiting_[first_waiting_] <= now) {
    if (++first_waiting_ == waiting_.size()) first_waiting_ = 0;
    --waiting_count_;
  }

  Passage passage;
  const Picos first_free = free_at_.front();
  const bool must_wait = first_free > now;
  if (must_wait && waiting_count_ == waiting_.size()) {
    ++statistics_.refused;
    return passage;
  }

  passage.accepted = true;
  passage.start = must_wait ? first_free : now;
  passage.leave = passage.start + std::max(occupancy, latency);
  if (must_wait) {
    std::size_t last = first_waiting_ + waiting_count_;
    if (last >= waiting_.size()) last -= waiting_.size();
    waiting_[last] = passage.start;
    ++waiting_count_;
  }
  OccupyFirstFree(passage.start + occupancy);

  ++statistics_.accepted;
  statistics_.busy += occupancy;
  statistics_.waited += passage.start - now;
  return passage;
}

bool Station::HasRoom(Picos now) const {
  if (free_at_.front() <= now || waiting_count_ < waiting_.size()) return true;
  return waiting_count_ > 0 && waiting_[first_waiting_] <= now;
}

// Replaces the heap's root and sifts it down.
void Station::OccupyFirstFree(Picos until) {
  const std::size_t size = free_at_.size();
  std::size_t hole = 0;
  for (std::size_t child = 1; child < size; child = 2 * hole + 1) {
    if (child + 1 < size && free_at_[child + 1] < free_at_[child]) ++child;
    if (until <= free_at_[child]) break;
    free_at_[hole] = free_at_[child];
    hole = child;
  }
  free_at_[hole] = until;
}

}  // namespace foreflow::hw
