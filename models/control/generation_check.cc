// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/generation_check.h"

#include "models/rules/rule_table.h"

namespace foreflow::control {

void GenerationCheck::Start(const std::vector<rules::Rule>& initial) {
  initial_ = {RuleSetState::Of(initial).digest(), std::make_shared<const std::vector<rules::Rule>>(initial)};
}

void GenerationCheck::Issue(std::uint64_t generation, const RuleSetState& set) {
  std::vector<Issued>& issued = issued_[generation];
  const wire::SetDigest digest = set.digest();
  for (const Issued& each : issued) {
    if (each.digest == digest) return;
  }
  issued.push_back({digest, std::make_shared<const std::vector<rules::Rule>>(set.Rules())});
}

const GenerationCheck::Issued* GenerationCheck::Find(std::uint64_t generation,
                                                     const wire::SetDigest& digest) {
  if (generation == 0) return digest == initial_.digest ? &initial_ : nullptr;
  // Generations only grow, but where a device restarts: then it is 0, until one comes that is later still.
  issued_.erase(issued_.begin(), issued_.lower_bound(generation));
  const auto found = issued_.find(generation);
  if (found == issued_.end()) return nullptr;
  for (const Issued& each : found->second) {
    if (each.digest == digest) return &each;
  }
  return nullptr;
}

bool GenerationCheck::Packet(const flow::FlowKey& key, std::uint32_t rule, rules::Verb verb,
                             std::uint64_t generation, const wire::SetDigest& digest) {
  ++counts_.packets;
  const Issued* const issued = Find(generation, digest);
  if (issued == nullptr) {
    ++counts_.unissued;
    return false;
  }
  const rules::Decision expected = rules::ClassifyByLinearScan(*issued->rules, key);
  if (expected.rule == rule && expected.action.verb == verb) return true;
  ++counts_.mixed;
  return false;
}

}  // namespace foreflow::control
