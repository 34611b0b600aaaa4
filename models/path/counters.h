// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_COUNTERS_H_
#define FOREFLOW_MODELS_PATH_COUNTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/predict/score_history.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::path {

// What a path has done since it was made. Plain counts, read at any time.
struct Counters {
  std::uint64_t packets = 0;             // that the device was given
  std::uint64_t punts = 0;               // of them, decided by the host's table
  std::uint64_t installs_on_miss = 0;    // entries written after a punt
  std::uint64_t installs_predicted = 0;  // entries written ahead of their first packet
  std::uint64_t predicted_used = 0;      // predicted entries that were used at least once
  std::uint64_t predicted_wasted = 0;    // evicted unused
  // Of the device's rule table. Installs and predictions above are of rules where there is one.
  std::uint64_t rule_hits = 0;
  std::uint64_t rule_covers = 0;  // packets that a cover sent to the host
  std::uint64_t rule_writes = 0;  // slots written or cleared
  std::uint64_t tags_by_status[static_cast<std::size_t>(tag::TagStatus::kCount)] = {};
  // The same by the type that the tag says or claims, of tags that can be read.
  std::array<std::array<std::uint64_t, static_cast<std::size_t>(tag::TagStatus::kCount)>,
             predict::kPacketTypes>
      tags_by_type{};
  std::uint64_t tags_covered = 0;         // of the valid ones: packets that an earlier packet's tag spoke for
  std::uint64_t tags_low_confidence = 0;  // of the valid ones: below what the tag rules of their type ask for
  std::uint64_t tag_rotations = 0;
  // Scored predictions, acted on or not. A destination hits when it is used after its entry could be ready
  // and before the device would have evicted it; a type counts where it would choose another queue than the
  // header does, and hits when it would choose the right one.
  std::uint64_t destinations_scored = 0;
  std::uint64_t destinations_hit = 0;
  std::array<std::uint64_t, 2>
      types_scored{};  // [0] tags that move a packet ahead of its header's queue, [1] back
  std::array<std::uint64_t, 2> types_hit{};
  // Where trained models predict: outcomes by the predict::Tier whose word had weighed most, those for which
  // the fall-back had been asked, and alarms of drift.
  std::array<std::uint64_t, predict::kTiers> types_by_tier{};
  std::uint64_t fallback_asked = 0;
  std::uint64_t drift_alarms = 0;
  // The same of what others said (TakeExpectation), types of both directions, and tags that say it.
  std::uint64_t told_destinations_scored = 0;
  std::uint64_t told_destinations_hit = 0;
  std::uint64_t told_types_scored = 0;
  std::uint64_t told_types_hit = 0;
  std::uint64_t tags_as_told = 0;
  std::uint16_t destination_break_even = 0;  // h*, 65535 = 1
  std::array<std::uint16_t, 2> type_break_even{};

  // Adds the counts of another lane of the same configuration.
  Counters& operator+=(const Counters& other);
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_COUNTERS_H_
