// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_changes.h"

#include "models/rules/match.h"

namespace foreflow::rules {

bool RuleChanges::Holds(const EntryKey& key, const Decision& decision, std::uint64_t generation,
                        Work& work) const {
  if (generation == generation_) return true;
  if (!Reaches(generation)) return false;
  const MatchWords words = MatchWordsOf(key.fields, key.vlan);
  std::uint32_t compared = 0;
  bool holds = true;
  for (std::size_t n = 0, at = next_; n < count_; ++n) {
    at = at == 0 ? ring_.size() - 1 : at - 1;
    const Change& change = ring_[at];
    if (change.generation <= generation) break;
    ++compared;
    if (change.went != kNoRule) {
      holds = change.went != decision.rule;
    } else {
      std::uint64_t different = 0;
      for (std::size_t i = 0; i < kMatchWords; ++i)
        different |= (words[i] ^ change.value[i]) & change.mask[i];
      holds = different != 0 || key.fields.source_port < change.source_port.low ||
              key.fields.source_port > change.source_port.high ||
              key.fields.destination_port < change.destination_port.low ||
              key.fields.destination_port > change.destination_port.high;
    }
    if (!holds) break;
  }
  work.Add(WorkItem::kRuleCompare, compared);
  work.Add(WorkItem::kCacheLine, 2 * compared);
  return holds;
}

void RuleChanges::Restart(std::uint64_t generation) {
  generation_ = generation;
  oldest_ = generation;
  next_ = 0;
  count_ = 0;
}

void RuleChanges::Came(const Rule& rule) {
  Change change;
  change.mask = MaskOf(rule);
  change.value = MaskedKeyOf(rule);
  change.source_port = rule.source_port;
  change.destination_port = rule.destination_port;
  Add(change);
}

void RuleChanges::Went(std::uint32_t id) {
  Change change;
  change.went = id;
  Add(change);
}

void RuleChanges::Add(const Change& change) {
  if (ring_.empty()) ring_.resize(kChanges);
  if (count_ == kChanges) {
    oldest_ = ring_[next_].generation;
  } else {
    ++count_;
  }
  ring_[next_] = change;
  ring_[next_].generation = generation_;
  next_ = (next_ + 1) % kChanges;
}

}  // namespace foreflow::rules
