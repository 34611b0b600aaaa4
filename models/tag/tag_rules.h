// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_TAG_RULES_H_
#define FOREFLOW_MODELS_TAG_TAG_RULES_H_

#include <cstddef>
#include <vector>

#include "models/base/work.h"
#include "models/tag/prediction_tag.h"
#include "models/tag/rule.h"

namespace foreflow::tag {

// The tag rules of a device: a handful, tried in turn. What the chosen one may do is the path's affair
// (tag_authority); a tag that is not kValid must not be asked about.
class TagRules {
 public:
  // Replaces all rules, or throws Refusal and leaves them: repeated or reserved id, no or an unknown type,
  // unknown verb or queue.
  void Load(const std::vector<TagRule>& rules);
  // The rule of the highest priority, among equals of the lowest id, whose VM, types and least confidence the
  // tag meets; nullptr when there is none. Valid until the next Load. Counts kRuleCompare.
  const TagRule* Match(const PredictionTag& tag, Work& work) const;
  std::size_t size() const { return rules_.size(); }

 private:
  std::vector<TagRule> rules_;  // in the order in which they win
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_TAG_RULES_H_
