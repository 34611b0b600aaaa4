// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_table.h"

namespace foreflow::rules {
namespace {

// Shares no code with the table that it checks: one field, one bit at a time.
bool PrefixMatches(const Prefix& prefix, const std::array<std::uint8_t, 16>& address) {
  for (unsigned bit = 0; bit < prefix.length; ++bit) {
    const unsigned shift = 7 - bit % 8;
    if (((prefix.address[bit / 8] >> shift) & 1) != ((address[bit / 8] >> shift) & 1)) return false;
  }
  return true;
}

bool Contains(const PortRange& range, std::uint16_t port) { return range.low <= port && port <= range.high; }

bool VlanMatches(const Rule& rule, wire::VlanKey vlan) {
  const bool is_tagged = (vlan & wire::kVlanPresent) != 0;
  if (rule.vlan == kUntagged && is_tagged) return false;
  if (rule.vlan <= 4095 && (!is_tagged || vlan % 4096 != rule.vlan)) return false;
  return rule.vlan_priority == kAnyVlanPriority || (is_tagged && vlan / 8192 == rule.vlan_priority);
}

bool RuleMatches(const Rule& rule, const flow::FlowKey& key, wire::VlanKey vlan) {
  if (rule.l3 != 0 && rule.l3 != key.l3) return false;
  if (rule.vm != kAnyVm && rule.vm != key.vm) return false;
  if (rule.ip_protocol != kAnyProtocol && rule.ip_protocol != key.ip_protocol) return false;
  if (!VlanMatches(rule, vlan)) return false;
  return PrefixMatches(rule.source, key.source_address) &&
         PrefixMatches(rule.destination, key.destination_address) &&
         Contains(rule.source_port, key.source_port) && Contains(rule.destination_port, key.destination_port);
}

}  // namespace

Decision ClassifyByLinearScan(const std::vector<Rule>& rules, const flow::FlowKey& key, wire::VlanKey vlan) {
  const Rule* best = nullptr;
  for (const Rule& rule : rules) {
    if (!RuleMatches(rule, key, vlan)) continue;
    const bool wins = best == nullptr || rule.priority > best->priority ||
                      (rule.priority == best->priority && rule.id < best->id);
    if (wins) best = &rule;
  }
  return best == nullptr ? Decision{} : Decision{best->id, best->action};
}

}  // namespace foreflow::rules
