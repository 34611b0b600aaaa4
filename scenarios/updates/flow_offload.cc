// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/updates/flow_offload.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "models/base/bytes.h"
#include "models/base/refusal.h"
#include "models/wire/ipv4.h"

namespace foreflow::scenarios {
namespace {

rules::Rule ExactRule(const flow::FlowKey& key, const rules::Action& action, std::uint32_t id) {
  const bool is_v4 = key.l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  const auto bits = static_cast<std::uint8_t>(is_v4 ? 32 : 128);
  rules::Rule rule;
  rule.id = id;
  rule.priority = std::numeric_limits<std::int32_t>::max();
  rule.l3 = key.l3;
  rule.vm = key.vm;
  rule.ip_protocol = key.ip_protocol;
  rule.source = {key.source_address, bits};
  rule.destination = {key.destination_address, bits};
  rule.source_port = {key.source_port, key.source_port};
  rule.destination_port = {key.destination_port, key.destination_port};
  rule.action = action;
  return rule;
}

}  // namespace

FlowOffload::FlowOffload(const std::vector<rules::Rule>& rules, std::size_t flows, bool predicts)
    : initial_(rules), most_(flows), predicts_(predicts) {
  table_.Load(rules);
  for (rules::Rule& rule : initial_) {
    if (rule.vlan != rules::kAnyVlan || rule.vlan_priority != rules::kAnyVlanPriority) {
      throw Refusal(
          "rules: rule " + std::to_string(rule.id) +
          " names a VLAN; the flows that updates ask for are told apart by their keys alone, so leave "
          "vlan and vlan_priority out here");
    }
    if (rule.action.verb == rules::Verb::kForward) rule.action.verb = rules::Verb::kTrap;
    first_id_ = std::max(first_id_, rule.id + 1);
  }
}

FlowOffload::FlowName FlowOffload::Name(const flow::FlowKey& key) {
  FlowName name;
  for (std::size_t i = 0; i < name.size(); ++i) name[i] = LoadWord(&key, i);
  return name;
}

bool FlowOffload::MayAsk(const flow::FlowKey& key) const {
  if (!flow::IsIp(key.l3)) return false;
  Work uncounted;
  return table_.Classify(key, uncounted).action.verb == rules::Verb::kForward;
}

bool FlowOffload::ReplyTo(const flow::FlowKey& key, flow::FlowKey& reply) const {
  if (key.ip_protocol != wire::kProtocolTcp && key.ip_protocol != wire::kProtocolUdp) return false;
  const auto answers = stations_.find(key.destination_address);
  if (answers == stations_.end()) return false;
  reply = key;
  std::swap(reply.source_address, reply.destination_address);
  std::swap(reply.source_port, reply.destination_port);
  reply.vm = answers->second;
  return true;
}

void FlowOffload::See(const flow::FlowKey& key, std::vector<rules::RuleChange>& changes) {
  if (!flow::IsIp(key.l3)) return;
  stations_[key.source_address] = key.vm;
  const bool is_new = !Asks(key);
  Use(key, changes);
  flow::FlowKey reply;
  if (predicts_ && is_new && ReplyTo(key, reply)) Use(reply, changes);
}

void FlowOffload::Use(const flow::FlowKey& key, std::vector<rules::RuleChange>& changes) {
  const FlowName name = Name(key);
  const auto known = flows_.find(name);
  if (known != flows_.end()) {
    used_.splice(used_.begin(), used_, known->second);
    return;
  }
  Work uncounted;
  const rules::Decision decision = table_.Classify(key, uncounted);
  if (decision.action.verb != rules::Verb::kForward) return;
  rules::RuleOperation operation = rules::RuleOperation::kInsert;
  if (used_.size() < most_) {
    used_.push_front({name, first_id_ + static_cast<std::uint32_t>(used_.size())});
  } else {
    // The rule of the flow that goes becomes that of the one that comes.
    operation = rules::RuleOperation::kModify;
    flows_.erase(used_.back().name);
    used_.splice(used_.begin(), used_, std::prev(used_.end()));
    used_.front().name = name;
  }
  flows_[name] = used_.begin();
  changes.push_back({operation, ExactRule(key, decision.action, used_.front().rule)});
}

}  // namespace foreflow::scenarios
