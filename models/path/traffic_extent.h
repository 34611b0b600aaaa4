// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_TRAFFIC_EXTENT_H_
#define FOREFLOW_MODELS_PATH_TRAFFIC_EXTENT_H_

#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/path/future.h"
#include "models/path/path_config.h"

namespace foreflow::path {

// How far apart in memory traffic wanders: for each packet that needs a flow entry, how many other entries
// were needed since its own was last (the LRU stack distance of Mattson et al. 1970). A memory that holds n
// entries' worth of tables has lost those of a packet at distance n or more. O(packets * log packets) to
// make.
class TrafficExtent {
 public:
  // Nothing is known: no packet is far.
  TrafficExtent() = default;
  // `entry` by packet, dense numbers or EntryUses::kNone. The first `settle` packets are not counted
  // themselves, so that what they touch first is not taken for what is touched seldom.
  TrafficExtent(const std::vector<std::uint32_t>& entry, std::size_t settle);

  // Those counted.
  std::uint64_t packets() const { return distance_.size(); }
  // Packets at distance `entries` or more; first uses are at the greatest distance.
  std::uint64_t Beyond(std::uint64_t entries) const;

 private:
  std::vector<std::uint32_t> distance_;  // ascending
};

// Table memory that belongs to one flow entry, in all tables of host and device that a configuration uses,
// roughly.
Bytes TableBytesAnEntry(const PathConfig& config);

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_TRAFFIC_EXTENT_H_
