// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_RULE_SET_H_
#define FOREFLOW_MODELS_PATH_RULE_SET_H_

#include <memory>
#include <vector>

#include "models/path/future.h"
#include "models/path/path_config.h"
#include "models/path/rule_tier.h"
#include "models/rules/rule_statistics.h"
#include "models/rules/rule_table.h"
#include "models/tag/meter.h"
#include "models/tag/tag_rules.h"

namespace foreflow::path {

// Rules, tag rules and meters of one device, ready for use: everything of a configuration that may change
// while packets flow. Built aside, at leisure, and then swapped in (PacketPath::SwapRules).
struct RuleSet {
  // Throws Refusal on rules as RuleTable, TagRules and Meter do, on a change as CheckChange does, and on a
  // rule whose meter or change is not defined. Of a path with several lanes `config` is a lane's share
  // (LaneShare). `future` as of PacketPath.
  explicit RuleSet(const PathConfig& config, const Future* future = nullptr);

  // Exchanges contents with `other`, without taking memory. What comes in is of a later generation than what
  // was here, so that flow entries made under the old rules are not used again. A meter that is configured
  // as the one of the same number was goes on with that one's tokens: a change elsewhere grants nobody a
  // burst. A rule table of the device comes empty. Statistics begin anew; those of the old rules go with
  // them.
  void Swap(RuleSet& other) noexcept;

  // Throws Refusal unless the batch's rules can be had beside the meters and changes of this set, or where
  // the device has a rule table: it takes whole sets only.
  void Check(const rules::RuleBatch& batch) const;

  rules::RuleTable rules;
  tag::TagRules tag_rules;
  std::vector<tag::Meter> meters;
  std::vector<tag::MeterConfig> meter_configs;  // by meter
  std::unique_ptr<RuleTier> tier;               // of the device's rule table, where it has one
  std::vector<rules::PacketChange> changes;     // that actions name
  rules::RuleStatistics statistics;             // of what the standard table decided
  rules::RuleStatistics tag_statistics;         // of packets for which a tag rule chose
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_RULE_SET_H_
