// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_TEST_TAG_RULES_H_
#define FOREFLOW_MODELS_TAG_TEST_TAG_RULES_H_

#include "models/predict/packet_type.h"
#include "models/rules/test_rules.h"
#include "models/tag/tag_rules.h"

namespace foreflow::tag {

// For tests: a tag rule of the same dice as the standard rules beside it.
inline TagRule RandomTagRule(rules::RuleDice& dice, std::uint32_t id) {
  TagRule rule;
  rule.id = id;
  rule.priority = static_cast<std::int32_t>(dice.Below(4));
  rule.vm = dice.OneIn(3) ? dice.Vm() : rules::kAnyVm;
  rule.types = static_cast<std::uint8_t>(1 + dice.Below((1u << predict::kPacketTypes) - 1));
  rule.minimum_confidence = static_cast<std::uint16_t>(dice.Below(4) * 20000);
  rule.action = dice.RandomAction();
  return rule;
}

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_TEST_TAG_RULES_H_
