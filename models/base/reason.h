// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_REASON_H_
#define FOREFLOW_MODELS_BASE_REASON_H_

#include <cstddef>
#include <cstdint>

namespace foreflow {

// Why a packet went where it went. Drops are counted by reason; every decision carries one.
enum class Reason : std::uint8_t {
  // Forwarded.
  kCacheHit,      // the device held the flow entry
  kCacheMiss,     // trapped to the host's table, which decided
  kNotOffloaded,  // the device holds no entries at all: the host decided
  kTrapRule,      // a rule sends this traffic to the host
  kTagRule,       // tag_authority=literal: a tag rule ended the search
  // Dropped by a decision.
  kDenyRule,     // a rule says drop
  kDefaultDrop,  // no rule matched
  kMeterRed,     // the rule's meter marked the packet red
  kMalformed,    // a header contradicts itself or the lengths
  kTruncated,    // the capture ends inside a header that the decision needs
  kUnknownLink,  // the link type carries no frames that can be decided on
  // Dropped by a device that was full.
  kQueueFull,    // egress queue
  kStationFull,  // a pipeline or slow-path queue
  // Dropped by a switch.
  kSamePort,  // the destination is behind the port the packet came from
  // Forwarded, where the device has a rule table (below, since numbers stay what they were).
  kRuleHit,    // it held the rule
  kRuleMiss,   // it held no entry for the packet: trapped to the host's table, which decided
  kRuleCover,  // it held a cover for the packet, which traps to the host's table, which decided
  // Dropped, since the rule changes the packet and the changed one cannot leave.
  kTtlExpired,  // its time to live would reach 0
  kTooLong,     // for the tunnel that it goes into
  kNoFrame,     // a VLAN or a tunnel is for Ethernet frames, and it has none
  // Dropped between two packet dynamics units.
  kUnitRefused,  // the first one did not take it
  kNotWhole,     // some of it was lost on the way and not made good
  kMarked,       // congestion was marked on the way, and its sender does not heed that (RFC 6040)
  kCount,
};

constexpr std::size_t kReasons = static_cast<std::size_t>(Reason::kCount);

// The snake_case name, as traces and JSON spell it; nullptr out of range.
const char* Name(Reason reason);

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_REASON_H_
