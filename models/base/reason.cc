// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/reason.h"

#include <array>

namespace foreflow {

const char* Name(Reason reason) {
  static constexpr std::array<const char*, kReasons> kNames = {
      "cache_hit",    "cache_miss", "not_offloaded", "trap_rule", "tag_rule",     "deny_rule",
      "default_drop", "meter_red",  "malformed",     "truncated", "unknown_link", "queue_full",
      "station_full", "same_port",  "rule_hit",      "rule_miss", "rule_cover",   "ttl_expired",
      "too_long",     "no_frame",   "unit_refused",  "not_whole", "marked"};
  const auto index = static_cast<std::size_t>(reason);
  return index < kNames.size() ? kNames[index] : nullptr;
}

}  // namespace foreflow
