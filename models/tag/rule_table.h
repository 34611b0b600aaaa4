// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_RULE_TABLE_H_
#define FOREFLOW_MODELS_TAG_RULE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/work.h"
#include "models/tag/rule.h"

namespace foreflow::tag {

// The key of a flow entry: a flow key whose ports are replaced by their port class. Two packets with the same
// entry key get the same Decision from the table that made the key (RuleTable::EntryKeyOf).
struct EntryKey {
  flow::FlowKey fields;  // ports hold classes
  bool operator==(const EntryKey& other) const { return fields == other.fields; }
};

// All standard rules, in the host's software: tuple-space search (Srinivasan, Suri, Varghese 1999) with tuples
// in order of their highest priority, so that a search ends early. Port ranges are cut into elementary
// intervals, the port classes (as in recursive flow classification, Gupta and McKeown 1999): ports that no rule
// tells apart share a class, which is what makes one flow entry serve every connection to one service.
class RuleTable {
 public:
  // Replaces all rules. Throws Refusal on an impossible rule (prefix length, empty range, repeated id).
  void Load(const std::vector<Rule>& rules);
  // Changes with every Load: a flow entry made under another generation is not valid.
  std::uint32_t generation() const;
  std::size_t size() const;

  Decision Classify(const flow::FlowKey& key, Work& work) const;
  EntryKey EntryKeyOf(const flow::FlowKey& key, Work& work) const;
};

// The reference: every rule in turn.
Decision ClassifyByLinearScan(const std::vector<Rule>& rules, const flow::FlowKey& key);

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_RULE_TABLE_H_
