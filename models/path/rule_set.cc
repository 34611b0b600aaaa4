// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/rule_set.h"

#include <algorithm>
#include <string>
#include <utility>

#include "models/base/refusal.h"

namespace foreflow::path {
namespace {

void RefuseUnknownMeter(std::uint32_t rule, const rules::Action& action, std::size_t meters) {
  if (action.meter == rules::kNoMeter || action.meter < meters) return;
  throw Refusal("configuration", "meter of rule " + std::to_string(rule), std::to_string(action.meter),
                meters == 0 ? "none is defined" : "0.." + std::to_string(meters - 1));
}

bool Same(const tag::MeterConfig& a, const tag::MeterConfig& b) {
  return a.committed_rate == b.committed_rate && a.committed_burst == b.committed_burst &&
         a.peak_rate == b.peak_rate && a.peak_burst == b.peak_burst;
}

}  // namespace

RuleSet::RuleSet(const PathConfig& config, const Future* future) : meter_configs(config.meters) {
  for (const rules::Rule& rule : config.rules) RefuseUnknownMeter(rule.id, rule.action, config.meters.size());
  for (const tag::TagRule& rule : config.tag_rules)
    RefuseUnknownMeter(rule.id, rule.action, config.meters.size());
  traps_metered = std::any_of(config.rules.begin(), config.rules.end(), [](const rules::Rule& rule) {
    return rule.action.verb == rules::Verb::kTrap && rule.action.meter != rules::kNoMeter;
  });
  rules.Load(config.rules);
  if (config.rule_slots > 0 && config.arm != Arm::kOff) {
    tier = std::make_unique<RuleTier>(config, future, rules);
  }
  tag_rules.Load(config.tag_rules);
  meters.reserve(config.meters.size());
  for (const tag::MeterConfig& meter : config.meters) meters.emplace_back(meter);
}

void RuleSet::Swap(RuleSet& other) noexcept {
  const std::size_t both = std::min(meters.size(), other.meters.size());
  for (std::size_t i = 0; i < both; ++i) {
    if (Same(meter_configs[i], other.meter_configs[i])) other.meters[i] = meters[i];
  }
  rules.Swap(other.rules);
  std::swap(tag_rules, other.tag_rules);
  meters.swap(other.meters);
  tier.swap(other.tier);
  meter_configs.swap(other.meter_configs);
  std::swap(traps_metered, other.traps_metered);
}

}  // namespace foreflow::path
