// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/counters.h"

#include <algorithm>

namespace foreflow::path {

Counters& Counters::operator+=(const Counters& other) {
  packets += other.packets;
  punts += other.punts;
  installs_on_miss += other.installs_on_miss;
  installs_predicted += other.installs_predicted;
  predicted_used += other.predicted_used;
  predicted_wasted += other.predicted_wasted;
  rule_hits += other.rule_hits;
  rule_covers += other.rule_covers;
  rule_writes += other.rule_writes;
  for (std::size_t i = 0; i < static_cast<std::size_t>(tag::TagStatus::kCount); ++i) {
    tags_by_status[i] += other.tags_by_status[i];
  }
  for (std::size_t type = 0; type < tags_by_type.size(); ++type) {
    for (std::size_t i = 0; i < tags_by_type[type].size(); ++i) {
      tags_by_type[type][i] += other.tags_by_type[type][i];
    }
  }
  tags_covered += other.tags_covered;
  tags_low_confidence += other.tags_low_confidence;
  tag_rotations = std::max(tag_rotations, other.tag_rotations);  // every lane rotates at each
  destinations_scored += other.destinations_scored;
  destinations_hit += other.destinations_hit;
  for (std::size_t direction : {0u, 1u}) {
    types_scored[direction] += other.types_scored[direction];
    types_hit[direction] += other.types_hit[direction];
  }
  for (std::size_t tier = 0; tier < types_by_tier.size(); ++tier) {
    types_by_tier[tier] += other.types_by_tier[tier];
  }
  fallback_asked += other.fallback_asked;
  drift_alarms += other.drift_alarms;
  told_destinations_scored += other.told_destinations_scored;
  told_destinations_hit += other.told_destinations_hit;
  told_types_scored += other.told_types_scored;
  told_types_hit += other.told_types_hit;
  tags_as_told += other.tags_as_told;
  return *this;
}

}  // namespace foreflow::path
