// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_MASKS_H_
#define FOREFLOW_MODELS_RULES_RULE_MASKS_H_

#include "models/rules/key_words.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// The bits of a flow key that a rule compares, ports left out.
KeyWords RuleMaskOf(const Rule& rule);
// What they must be; the other bits are zero.
KeyWords RuleValueOf(const Rule& rule, const KeyWords& mask);

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_MASKS_H_
