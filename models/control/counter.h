// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_COUNTER_H_
#define FOREFLOW_MODELS_CONTROL_COUNTER_H_

#include <cstdint>
#include <string>

namespace foreflow::control {

// The ids of counters in statistics. Groups leave room for reasons to come.
enum class Counter : std::uint32_t {
  kPacketsIn,
  kPacketsOut,
  kPacketsHeld,
  kPunts,
  kInstallsOnMiss,
  kInstallsPredicted,
  kBatches,          // of rules, put into force
  kRuleChanges,      // in those
  kControlMessages,  // that came in, authentic
  kRequestsDone,
  kProfileRows,          // that peers told of VMs
  kInstallsByProfile,    // entries asked for on their account
  kPacketsOfNoRule,      // that matched none
  kPacketsOfLaterRules,  // of rules that came by batches, beyond the set's first size: together, not by rule
  // What peers told of VMs and what was judged by what came, acted on or not; types where they would choose
  // another queue than the header does.
  kToldDestinationsScored,
  kToldDestinationsHit,
  kToldTypesScored,
  kToldTypesHit,
  kTagsAsTold,       // tags that say what was told
  kDropped = 0x100,  // + Reason
  kRefused = 0x200,  // + wire::RefusalReason: control messages
  kChannel = 0x300,  // + crypto::ChannelStatus: packets of the secure channel
};

constexpr std::uint32_t IdOf(Counter group, std::uint32_t reason = 0) {
  return static_cast<std::uint32_t>(group) + reason;
}

// The id of a tag class in statistics: tags that say one type (or claim it, where they do not verify) and
// were found to be so.
constexpr std::uint32_t TagClassOf(std::uint32_t packet_type, std::uint32_t tag_status) {
  return packet_type << 8 | tag_status;
}

// As reports spell it, such as dropped_deny_rule; empty where there is no such counter.
std::string CounterName(std::uint32_t id);

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_COUNTER_H_
