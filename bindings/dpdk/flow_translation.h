// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_FLOW_TRANSLATION_H_
#define FOREFLOW_BINDINGS_DPDK_FLOW_TRANSLATION_H_

#include <rte_flow.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/rules/rule.h"
#include "models/wire/dissect.h"

namespace foreflow::dpdk {

// Packets that patterns tell apart from all others, and of which a pattern sees what the cores see: Ethernet
// frames without a VLAN tag, or with one of 802.1Q alone, that carry ARP, whole IPv4 packets of one protocol,
// or IPv6 packets whose first next header is that protocol. No pattern made here matches any other frame,
// except to send it to software.
struct FlowKind {
  wire::Layer3 l3 = wire::Layer3::kNone;
  std::uint8_t protocol = 0;  // of IP
  bool is_tagged = false;
};

// The kinds that rules of a set are about: ARP, TCP, UDP and ICMP, and of the other protocols that the rules
// name the lowest 12 of each family; where rules speak of VLANs, each without and with a tag.
std::vector<FlowKind> FlowKindsOf(const std::vector<rules::Rule>& rules);

// One header of a pattern: an item of rte_flow, its structures as bytes.
struct HeaderPattern {
  rte_flow_item_type type = RTE_FLOW_ITEM_TYPE_END;
  bool is_range = false;  // fields are between spec and last, which is not looked at otherwise
  alignas(8) std::array<std::uint8_t, 48> spec{};
  alignas(8) std::array<std::uint8_t, 48> last{};
  alignas(8) std::array<std::uint8_t, 48> mask{};
};

struct FlowPattern {
  static constexpr std::size_t kMostHeaders = 4;
  std::array<HeaderPattern, kMostHeaders> headers;  // from the outside in
  std::size_t count = 0;
};

// What patterns of a port may say, beyond addresses and protocols as ternary values.
struct PatternAbilities {
  bool fragments = false;  // IPv4's fragment field; else ports are looked at in no IPv4 packet
  bool ranges = false;     // of ports; else they are cut into prefixes
};

// Why the packets of one kind that a rule matches are decided by software.
enum class FlowRefusal : std::uint8_t {
  kNone,            // they are not
  kVm,              // the rule is of one VM, and the port's VMs are told apart by software
  kFragments,       // the rule is of ports, which fragments have not, and the port cannot leave them out
  kIcmpIdentifier,  // the rule is of a range of ICMP identifiers, which only some types have
  kManyPatterns,    // its port ranges are more than kMostPatterns patterns
  kAction,          // the port can neither mark its packets nor drop them
  kCovered,         // a rule above that stays in software covers it
  kAbove,  // a rule above stays in software, and the port does not take what would leave its packets to it
  kFull,   // there are as many entries as there may be
  kPort,   // the port does not take it
  kCount,
};

// The snake_case name; nullptr out of range.
const char* Name(FlowRefusal refusal);

constexpr std::size_t kMostPatterns = 64;  // of a rule and a kind

// Patterns that match exactly the packets of the kind that the rule matches, whatever VM sends; none where
// there are no such packets. Without `abilities.fragments` packets of IPv4 kinds include fragments. kNone, or
// why it cannot be had: `patterns` is empty then.
FlowRefusal Translate(const rules::Rule& rule, const FlowKind& kind, const PatternAbilities& abilities,
                      std::vector<FlowPattern>& patterns);

// One pattern that matches all that Translate's would have to, and may match more of its kind: the rule
// without its ports.
FlowPattern Around(const rules::Rule& rule, const FlowKind& kind);
// The same as a rule's match, of that kind alone.
rules::Rule BoxAround(const rules::Rule& rule, const FlowKind& kind);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_FLOW_TRANSLATION_H_
