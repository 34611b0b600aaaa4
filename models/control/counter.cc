// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/counter.h"

#include <iterator>

#include "models/base/reason.h"
#include "models/crypto/secure_channel.h"
#include "models/wire/control.h"

namespace foreflow::control {

std::string CounterName(std::uint32_t id) {
  static constexpr const char* kPlain[] = {"packets_in",
                                           "packets_out",
                                           "packets_held",
                                           "punts",
                                           "installs_on_miss",
                                           "installs_predicted",
                                           "control_batches",
                                           "control_changes",
                                           "control_messages",
                                           "control_requests",
                                           "profile_rows",
                                           "installs_by_profile",
                                           "packets_of_no_rule",
                                           "packets_of_later_rules",
                                           "told_destinations_scored",
                                           "told_destinations_hit",
                                           "told_types_scored",
                                           "told_types_hit",
                                           "tags_as_told"};
  if (id < std::size(kPlain)) return kPlain[id];
  const std::uint32_t reason = id & 0xff;
  if (id - reason == IdOf(Counter::kDropped) && reason < kReasons) {
    return std::string("dropped_") + Name(static_cast<Reason>(reason));
  }
  if (id - reason == IdOf(Counter::kRefused) && reason >= 1 && reason <= wire::kLastRefusalReason) {
    return std::string("control_refused_") + wire::Name(static_cast<wire::RefusalReason>(reason));
  }
  if (id - reason == IdOf(Counter::kChannel) &&
      reason < static_cast<std::uint32_t>(crypto::ChannelStatus::kCount)) {
    return std::string("channel_") + crypto::Name(static_cast<crypto::ChannelStatus>(reason));
  }
  return {};
}

}  // namespace foreflow::control
