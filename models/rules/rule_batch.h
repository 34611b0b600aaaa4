// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_BATCH_H_
#define FOREFLOW_MODELS_RULES_RULE_BATCH_H_

#include <cstdint>
#include <vector>

#include "models/rules/rule.h"

namespace foreflow::rules {

// What a change does to the rule of its id.
enum class RuleOperation : std::uint8_t {
  kInsert,  // the id must be new
  kModify,  // the id must be there: all its fields become the given ones
  kErase,   // the id must be there: no other field is read
};

struct RuleChange {
  RuleOperation operation = RuleOperation::kInsert;
  Rule rule;
};

// Changes that come into force together or not at all, applied in order: a batch may erase an id and insert
// it again.
struct RuleBatch {
  // The generation that the table has while the batch is applied: what the sender believed when it chose the
  // changes. Another one is refused.
  std::uint64_t generation = 0;
  std::vector<RuleChange> changes;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_BATCH_H_
