// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_FLOW_OFFLOAD_H_
#define FOREFLOW_BINDINGS_DPDK_FLOW_OFFLOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bindings/dpdk/flow_translation.h"
#include "models/rules/rule.h"

namespace foreflow::dpdk {

// One flow rule of a port.
struct FlowEntry {
  enum class Fate : std::uint8_t {
    kMark,      // to software, marked: `decision` is the table's
    kDrop,      // the table drops it, and so does the port
    kSoftware,  // to software, unmarked
  };
  Fate fate = Fate::kSoftware;
  std::uint32_t priority = 0;  // as rte_flow has it: 0 wins
  std::uint32_t decision = 0;  // of kMark: a position in OffloadPlan::decisions
  FlowPattern pattern;
};

// What a port can be asked for.
struct OffloadScope {
  std::optional<std::uint16_t> vm;  // that its frames are of; none: software tells VMs apart by source MAC
  PatternAbilities abilities;
  bool marks = false;
  bool drops = false;
  std::size_t most_entries = 0;
};

// Where the packets of one rule are decided, of those that patterns tell apart (FlowKind).
struct RuleOffload {
  std::uint32_t rule = 0;
  std::uint32_t kinds = 0;               // of packets that the rule matches; 0: none of this port
  std::uint32_t in_port = 0;             // of these, those that the port decides
  std::uint32_t entries = 0;             // that it took, those that leave packets to rules above included
  FlowRefusal why = FlowRefusal::kNone;  // of the first kind that the port does not decide
  std::string answer;                    // what the port said to that
};

struct OffloadPlan {
  std::vector<rules::Decision> decisions;
  std::vector<RuleOffload> rules;  // the highest-ranking first
  std::size_t entries = 0;
};

// Asks the port for an entry. Empty: it has it; else what it said.
using InstallEntry = std::function<std::string(const FlowEntry& entry)>;

// Puts as many of the rules into a port as it takes, the highest-ranking first, kind by kind (FlowKind).
//
// Invariant: whatever the port refuses, and at every moment on the way, a packet that an entry marks or drops
// gets the decision of all rules, in software, by a linear scan. For this an entry decides only where every
// direct dependency of its rule (rules::RuleDependencies), in that kind, is in the port whole, or an entry of
// higher priority leaves all that it matches to software (Around). Priorities are the length of the longest
// chain of dependencies above, so that entries that do not overlap share one.
//
// Takes the rules that RuleTable does; allocates; as slow as RuleDependencies and the port are.
OffloadPlan Offload(const std::vector<rules::Rule>& rules, const OffloadScope& scope,
                    const InstallEntry& install);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_FLOW_OFFLOAD_H_
