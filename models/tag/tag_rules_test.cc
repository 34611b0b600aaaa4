// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/tag_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/tag/test_tag_rules.h"

namespace foreflow::tag {
namespace {

using predict::PacketType;

TagRule RuleOf(std::uint32_t id, std::int32_t priority) {
  TagRule rule;
  rule.id = id;
  rule.priority = priority;
  rule.types = 0x7f;
  return rule;
}

PredictionTag TagOf(PacketType type, std::uint16_t confidence, flow::VmId vm) {
  PredictionTag tag;
  tag.type = type;
  tag.confidence = confidence;
  tag.vm = vm;
  return tag;
}

TEST(TagRules, HigherPriorityWinsThenLowerId) {
  TagRules rules;
  Work work;
  rules.Load({RuleOf(5, 1), RuleOf(3, 2), RuleOf(2, 2), RuleOf(1, 0)});
  const TagRule* match = rules.Match(TagOf(PacketType::kBulk, 0, 1), work);
  ASSERT_NE(match, nullptr);
  EXPECT_EQ(match->id, 2u);
  EXPECT_EQ(work[WorkItem::kRuleCompare], 1u);
}

TEST(TagRules, EachConditionMustHold) {
  TagRule rule = RuleOf(1, 0);
  rule.vm = 7;
  rule.types = 1u << static_cast<unsigned>(PacketType::kResponse);
  rule.minimum_confidence = 1000;
  TagRules rules;
  rules.Load({rule});
  Work work;
  EXPECT_NE(rules.Match(TagOf(PacketType::kResponse, 1000, 7), work), nullptr);
  EXPECT_EQ(rules.Match(TagOf(PacketType::kResponse, 999, 7), work), nullptr);
  EXPECT_EQ(rules.Match(TagOf(PacketType::kResponse, 1000, 6), work), nullptr);
  EXPECT_EQ(rules.Match(TagOf(PacketType::kRequest, 1000, 7), work), nullptr);
  EXPECT_EQ(work[WorkItem::kRuleCompare], 4u);
}

TEST(TagRules, AgreesWithBestOfAllMatches) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    rules::RuleDice dice(seed);
    std::vector<TagRule> all;
    const std::uint64_t count = dice.Below(8);
    for (std::uint32_t id = 0; id < count; ++id) all.push_back(RandomTagRule(dice, id ^ 5));
    TagRules rules;
    rules.Load(all);
    for (int i = 0; i < 50; ++i) {
      const PredictionTag tag = TagOf(static_cast<PacketType>(dice.Below(predict::kPacketTypes)),
                                      static_cast<std::uint16_t>(dice.Below(4) * 20000), dice.Vm());
      std::vector<TagRule> matches;
      for (const TagRule& r : all) {
        const bool type = (r.types & (1u << static_cast<unsigned>(tag.type))) != 0;
        const bool vm = r.vm == rules::kAnyVm || r.vm == tag.vm;
        if (type && vm && r.minimum_confidence <= tag.confidence) matches.push_back(r);
      }
      const auto best =
          std::min_element(matches.begin(), matches.end(), [](const TagRule& a, const TagRule& b) {
            return a.priority != b.priority ? a.priority > b.priority : a.id < b.id;
          });
      Work work;
      const TagRule* match = rules.Match(tag, work);
      ASSERT_EQ(match == nullptr, matches.empty());
      if (match != nullptr) {
        ASSERT_EQ(match->id, best->id);
      }
    }
  }
}

TEST(TagRules, RefusesImpossibleRules) {
  const std::vector<std::pair<std::string, std::function<void(TagRule&)>>> kBad = {
      {"types", [](TagRule& r) { r.types = 0; }},
      {"types", [](TagRule& r) { r.types = 0x80; }},
      {"queue", [](TagRule& r) { r.action.queue = 9; }},
      {"verb", [](TagRule& r) { r.action.verb = static_cast<rules::Verb>(9); }},
      {"id", [](TagRule& r) { r.id = 1; }},
      {"id", [](TagRule& r) { r.id = rules::kNoRule; }},
  };
  for (const auto& [field, spoil] : kBad) {
    TagRule rule = RuleOf(2, 0);
    spoil(rule);
    TagRules rules;
    try {
      rules.Load({RuleOf(1, 0), rule});
      FAIL() << field << " not refused";
    } catch (const Refusal& refusal) {
      EXPECT_THAT(refusal.what(), ::testing::HasSubstr(field));
      EXPECT_THAT(refusal.what(), ::testing::HasSubstr("tag rule " + std::to_string(rule.id)));
    }
    EXPECT_EQ(rules.size(), 0u);
  }
}

}  // namespace
}  // namespace foreflow::tag
