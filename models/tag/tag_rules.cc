// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/tag_rules.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"
#include "models/rules/rule_table.h"

namespace foreflow::tag {
namespace {

constexpr unsigned kAllTypes = (1u << predict::kPacketTypes) - 1;

void CheckTagRule(const TagRule& rule) {
  const std::string where = "tag rule " + std::to_string(rule.id);
  if (rule.id == rules::kNoRule) throw Refusal(where, "id", std::to_string(rule.id), "0..4294967294");
  if (rule.types == 0 || rule.types > kAllTypes) {
    throw Refusal(where, "types", std::to_string(rule.types), "1.." + std::to_string(kAllTypes));
  }
  rules::CheckAction(rule.action, where);
  // A prediction never changes a byte.
  if (rule.action.change != rules::kNoChange) {
    throw Refusal(where, "change", std::to_string(rule.action.change),
                  "none: standard rules alone change packets");
  }
}

}  // namespace

void TagRules::Load(const std::vector<TagRule>& rules) {
  for (const TagRule& rule : rules) CheckTagRule(rule);
  std::vector<TagRule> sorted = rules;
  std::sort(sorted.begin(), sorted.end(), [](const TagRule& a, const TagRule& b) { return a.id < b.id; });
  const auto repeated = std::adjacent_find(sorted.begin(), sorted.end(),
                                           [](const TagRule& a, const TagRule& b) { return a.id == b.id; });
  if (repeated != sorted.end()) {
    const std::string id = std::to_string(repeated->id);
    throw Refusal("tag rule " + id, "id", id, "each id once");
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const TagRule& a, const TagRule& b) { return a.priority > b.priority; });
  rules_ = std::move(sorted);
}

const TagRule* TagRules::Match(const PredictionTag& tag, bool& lacks_confidence, Work& work) const {
  lacks_confidence = false;
  for (const TagRule& rule : rules_) {
    work.Add(WorkItem::kRuleCompare);
    if ((rule.vm != rules::kAnyVm && rule.vm != tag.vm) ||
        ((rule.types >> static_cast<unsigned>(tag.type)) & 1u) == 0) {
      continue;
    }
    if (tag.confidence >= rule.minimum_confidence) return &rule;
    lacks_confidence = true;
  }
  return nullptr;
}

}  // namespace foreflow::tag
