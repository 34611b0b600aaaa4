// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_UPDATES_FLOW_OFFLOAD_H_
#define FOREFLOW_SCENARIOS_UPDATES_FLOW_OFFLOAD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "models/flow/flow_key.h"
#include "models/rules/rule_batch.h"
#include "models/rules/rule_table.h"

namespace foreflow::scenarios {

// Which flows a host asks its device to take, as rules. From its start the device has the administrator's
// rules, each that forwards as a trap: what it was not told of goes to the host. Above them stand exact rules
// for the flows that the host's VMs used last, with the action that the administrator's rules have for them;
// so permit and drop are the administrator's whatever the device was told. Flows whose packets are dropped or
// trapped anyway are not asked for.
class FlowOffload {
 public:
  // At most `flows` at a time; the least recently used makes room. `predicts`: the other direction of a new
  // TCP or UDP flow is asked for with it, where the VM that will answer has been heard. Throws Refusal where
  // a rule names a VLAN.
  FlowOffload(const std::vector<rules::Rule>& rules, std::size_t flows, bool predicts);

  const std::vector<rules::Rule>& initial() const { return initial_; }

  // A packet that was sent. Appends what is asked for on account of it.
  void See(const flow::FlowKey& key, std::vector<rules::RuleChange>& changes);
  // Whether the flow has been asked for.
  bool Asks(const flow::FlowKey& key) const { return flows_.count(Name(key)) != 0; }
  // Whether it would be.
  bool MayAsk(const flow::FlowKey& key) const;

 private:
  using FlowName = std::array<std::uint64_t, sizeof(flow::FlowKey) / 8>;
  struct Flow {
    FlowName name{};
    std::uint32_t rule = 0;
  };
  static FlowName Name(const flow::FlowKey& key);
  void Use(const flow::FlowKey& key, std::vector<rules::RuleChange>& changes);
  bool ReplyTo(const flow::FlowKey& key, flow::FlowKey& reply) const;

  rules::RuleTable table_;  // the administrator's
  std::vector<rules::Rule> initial_;
  std::size_t most_;
  bool predicts_;
  std::uint32_t first_id_ = 0;  // of flows' rules
  std::list<Flow> used_;        // the latest first
  std::map<FlowName, std::list<Flow>::iterator> flows_;
  std::map<std::array<std::uint8_t, 16>, flow::VmId> stations_;  // by address: the VM that sends from it
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_UPDATES_FLOW_OFFLOAD_H_
