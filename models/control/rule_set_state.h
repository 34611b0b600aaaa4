// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_RULE_SET_STATE_H_
#define FOREFLOW_MODELS_CONTROL_RULE_SET_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "models/rules/rule_batch.h"
#include "models/wire/control.h"

namespace foreflow::control {

// A set of rules by id, and a digest that says whether two sets are the same: the sum of a 128-bit hash of
// each rule's encoding (SipHash-2-4 under two fixed keys, in two sums of 64 bits), so that a change costs its
// own rule only, and order does not matter. It finds what was lost or mistaken; against a peer that means
// harm there is the channel.
class RuleSetState {
 public:
  // A rule and the two halves of its hash.
  struct Entry {
    rules::Rule rule;
    std::uint64_t hash[2];
  };

  // All of a change, or false and nothing: the id to insert is there, or the one to modify or erase is not.
  // `inverse`, where given, is what undoes it.
  bool Apply(const rules::RuleChange& change, rules::RuleChange* inverse = nullptr);
  void Clear();

  std::size_t size() const { return entries_.size(); }
  wire::SetDigest digest() const;
  const std::map<std::uint32_t, Entry>& entries() const { return entries_; }
  // nullptr where there is none; valid until that rule changes.
  const Entry* Find(std::uint32_t id) const;
  // By id.
  std::vector<rules::Rule> Rules() const;
  // A set of these, whose ids differ.
  static RuleSetState Of(const std::vector<rules::Rule>& rules);

 private:
  void Put(const rules::Rule& rule);
  void Remove(std::map<std::uint32_t, Entry>::iterator entry);

  std::map<std::uint32_t, Entry> entries_;
  std::uint64_t sum_[2] = {0, 0};
  std::vector<std::uint8_t> scratch_;
};

// Whether two rules are equal, by their hashes.
inline bool Same(const RuleSetState::Entry& a, const RuleSetState::Entry& b) {
  return a.hash[0] == b.hash[0] && a.hash[1] == b.hash[1];
}

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_RULE_SET_STATE_H_
