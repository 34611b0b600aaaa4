// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_TAG_RULES_H_
#define FOREFLOW_MODELS_TAG_TAG_RULES_H_

#include <cstddef>
#include <vector>

#include "models/base/work.h"
#include "models/rules/rule.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::tag {

// A tag rule: what a verified tag of this type and confidence may choose. By default (`bounded`) it sets
// queue, meter and mirror only; permit or drop stays the standard table's verdict.
struct TagRule {
  std::uint32_t id = 0;
  std::int32_t priority = 0;
  flow::VmId vm = rules::kAnyVm;
  std::uint8_t types = 0;                // bit i: PacketType i
  std::uint16_t minimum_confidence = 0;  // 65535 = 1
  rules::Action action;
};

// The tag rules of a device: a handful, tried in turn. What the chosen one may do is the path's affair
// (tag_authority); a tag that is not kValid must not be asked about.
class TagRules {
 public:
  // Replaces all rules, or throws Refusal and leaves them: repeated or reserved id, no or an unknown type,
  // unknown verb or queue, an action that changes packets (a prediction never does).
  void Load(const std::vector<TagRule>& rules);
  // The rule of the highest priority, among equals of the lowest id, whose VM, types and least confidence the
  // tag meets; nullptr when there is none. Valid until the next Load. Counts kRuleCompare.
  const TagRule* Match(const PredictionTag& tag, Work& work) const {
    bool lacks_confidence = false;
    return Match(tag, lacks_confidence, work);
  }
  // The same; `lacks_confidence` tells that a rule was passed over for that alone.
  const TagRule* Match(const PredictionTag& tag, bool& lacks_confidence, Work& work) const;
  std::size_t size() const { return rules_.size(); }

 private:
  std::vector<TagRule> rules_;  // in the order in which they win
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_TAG_RULES_H_
