// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/rule_set_state.h"

#include "models/control/rule_codec.h"
#include "models/crypto/keyed_hash.h"
#include "models/wire/be.h"

namespace foreflow::control {
namespace {

// Both ends must agree on them; they are not secret.
constexpr crypto::Key128 kKeys[2] = {{'r', 'u', 'l', 'e', ' ', 's', 'e', 't', ' ', '1'},
                                     {'r', 'u', 'l', 'e', ' ', 's', 'e', 't', ' ', '2'}};

}  // namespace

bool RuleSetState::Apply(const rules::RuleChange& change, rules::RuleChange* inverse) {
  const auto entry = entries_.find(change.rule.id);
  const bool is_there = entry != entries_.end();
  if (is_there == (change.operation == rules::RuleOperation::kInsert)) return false;
  if (inverse != nullptr) {
    switch (change.operation) {
      case rules::RuleOperation::kInsert:
        *inverse = {rules::RuleOperation::kErase, change.rule};
        break;
      case rules::RuleOperation::kModify:
        *inverse = {rules::RuleOperation::kModify, entry->second.rule};
        break;
      case rules::RuleOperation::kErase:
        *inverse = {rules::RuleOperation::kInsert, entry->second.rule};
        break;
    }
  }
  if (is_there) Remove(entry);
  if (change.operation != rules::RuleOperation::kErase) Put(change.rule);
  return true;
}

void RuleSetState::Put(const rules::Rule& rule) {
  scratch_.clear();
  Append({rules::RuleOperation::kInsert, rule}, scratch_);
  Entry entry{rule, {}};
  for (int half = 0; half < 2; ++half) {
    entry.hash[half] = crypto::KeyedHash(kKeys[half], {scratch_.data(), scratch_.size()});
    sum_[half] += entry.hash[half];
  }
  entries_.emplace(rule.id, entry);
}

void RuleSetState::Remove(std::map<std::uint32_t, Entry>::iterator entry) {
  for (int half = 0; half < 2; ++half) sum_[half] -= entry->second.hash[half];
  entries_.erase(entry);
}

void RuleSetState::Clear() {
  entries_.clear();
  sum_[0] = sum_[1] = 0;
}

wire::SetDigest RuleSetState::digest() const {
  wire::SetDigest digest;
  wire::Store64(digest.data(), sum_[0]);
  wire::Store64(digest.data() + 8, sum_[1]);
  return digest;
}

const RuleSetState::Entry* RuleSetState::Find(std::uint32_t id) const {
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? nullptr : &entry->second;
}

std::vector<rules::Rule> RuleSetState::Rules() const {
  std::vector<rules::Rule> rules;
  rules.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) rules.push_back(entry.rule);
  return rules;
}

RuleSetState RuleSetState::Of(const std::vector<rules::Rule>& rules) {
  RuleSetState state;
  for (const rules::Rule& rule : rules) state.Apply({rules::RuleOperation::kInsert, rule});
  return state;
}

}  // namespace foreflow::control
