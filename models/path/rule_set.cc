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

void RefuseUnknownChange(std::uint32_t rule, const rules::Action& action, std::size_t changes) {
  if (action.change == rules::kNoChange || action.change < changes) return;
  throw Refusal("configuration", "change of rule " + std::to_string(rule), std::to_string(action.change),
                changes == 0 ? "none is defined" : "0.." + std::to_string(changes - 1));
}

bool Same(const tag::MeterConfig& a, const tag::MeterConfig& b) {
  return a.committed_rate == b.committed_rate && a.committed_burst == b.committed_burst &&
         a.peak_rate == b.peak_rate && a.peak_burst == b.peak_burst;
}

}  // namespace

RuleSet::RuleSet(const PathConfig& config, const Future* future)
    : rules(config.rule_limits),
      meter_configs(config.meters),
      changes(config.changes),
      statistics(config.rules.size()),
      tag_statistics(config.tag_rules.size()) {
  for (std::size_t i = 0; i < config.changes.size(); ++i) {
    rules::CheckChange(config.changes[i], "configuration: change " + std::to_string(i));
  }
  for (const rules::Rule& rule : config.rules) {
    RefuseUnknownMeter(rule.id, rule.action, config.meters.size());
    RefuseUnknownChange(rule.id, rule.action, config.changes.size());
  }
  for (const tag::TagRule& rule : config.tag_rules)
    RefuseUnknownMeter(rule.id, rule.action, config.meters.size());
  rules.Load(config.rules);
  if (config.rule_slots > 0 && config.arm != Arm::kOff) {
    tier = std::make_unique<RuleTier>(config, future, rules);
  }
  tag_rules.Load(config.tag_rules);
  meters.reserve(config.meters.size());
  for (const tag::MeterConfig& meter : config.meters) meters.emplace_back(meter);
}

void RuleSet::Check(const rules::RuleBatch& batch) const {
  if (tier != nullptr) {
    throw Refusal("rule batch: a device with a rule table (device.rules) takes whole rule sets only");
  }
  for (const rules::RuleChange& change : batch.changes) {
    if (change.operation != rules::RuleOperation::kErase) {
      RefuseUnknownMeter(change.rule.id, change.rule.action, meters.size());
      RefuseUnknownChange(change.rule.id, change.rule.action, changes.size());
    }
  }
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
  changes.swap(other.changes);
  std::swap(statistics, other.statistics);
  std::swap(tag_statistics, other.tag_statistics);
}

}  // namespace foreflow::path
