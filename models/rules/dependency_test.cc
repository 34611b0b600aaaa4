// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/dependency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/base/refusal.h"
#include "models/rules/match.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"

namespace foreflow::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint8_t kIpv4 = 2;

// By the reference's reading of a rule.
bool Wins(const Rule& rule, const flow::FlowKey& key, wire::VlanKey vlan) {
  return ClassifyByLinearScan({rule}, key, vlan).rule != kNoRule;
}

// A VLAN key that the box matches.
wire::VlanKey VlanOf(const Rule& box) {
  if (box.vlan == kUntagged || (box.vlan == kAnyVlan && box.vlan_priority == kAnyVlanPriority)) {
    return wire::kNoVlan;
  }
  return wire::VlanKeyOf(box.vlan == kAnyVlan ? std::uint16_t{99} : box.vlan,
                         box.vlan_priority == kAnyVlanPriority ? std::uint8_t{5} : box.vlan_priority);
}

// The lowest key of a box: of any family and protocol, ones that all rules of the box's kind can match.
flow::FlowKey CornerOf(const Rule& box) {
  flow::FlowKey key;
  key.source_address = box.source.address;
  key.destination_address = box.destination.address;
  key.source_port = box.source_port.low;
  key.destination_port = box.destination_port.low;
  key.vm = box.vm == kAnyVm ? 9 : box.vm;
  key.ip_protocol = box.ip_protocol == kAnyProtocol ? 17 : static_cast<std::uint8_t>(box.ip_protocol);
  key.l3 = box.l3;
  return key;
}

Rule Ipv4Rule(std::uint32_t id, std::int32_t priority, std::array<std::uint8_t, 4> to, std::uint8_t length) {
  Rule rule;
  rule.id = id;
  rule.priority = priority;
  rule.l3 = kIpv4;
  std::copy(to.begin(), to.end(), rule.destination.address.begin());
  rule.destination.length = length;
  return rule;
}

TEST(Match, OverlapsWhereAKeyMatchesBoth) {
  RuleDice dice(11);
  std::size_t overlapping = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Rule a = dice.RandomRule(1), b = dice.RandomRule(2);
    ASSERT_EQ(Overlap(a, b), Overlap(b, a));
    if (Overlap(a, b)) {
      ++overlapping;
      const Rule both = Intersection(a, b);
      const flow::FlowKey key = CornerOf(both);
      ASSERT_TRUE(Wins(a, key, VlanOf(both)) && Wins(b, key, VlanOf(both))) << i;
    }
    const flow::FlowKey key = dice.Key();
    const wire::VlanKey vlan = dice.Vlan();
    ASSERT_EQ(Matches(a, key, vlan), Wins(a, key, vlan));
    ASSERT_EQ((And(MatchWordsOf(key, vlan), MaskOf(a)) == MaskedKeyOf(a)) &&
                  a.source_port.low <= key.source_port && key.source_port <= a.source_port.high &&
                  a.destination_port.low <= key.destination_port &&
                  key.destination_port <= a.destination_port.high,
              Wins(a, key, vlan));
    if (Wins(a, key, vlan) && Wins(b, key, vlan)) {
      ASSERT_TRUE(Overlap(a, b));
      ASSERT_TRUE(Wins(Intersection(a, b), key, vlan));
    }
    ASSERT_TRUE(!(Wins(a, key, vlan) || Wins(b, key, vlan)) || Wins(Hull(a, b), key, vlan)) << i;
    ASSERT_TRUE(!(Encloses(a, b) && Wins(b, key, vlan)) || Wins(a, key, vlan));
    ASSERT_TRUE(Encloses(Hull(a, b), a) && Encloses(Hull(a, b), b));
  }
  EXPECT_GT(overlapping, 500u);
}

TEST(Dependencies, AreFoundThroughTheIndexAsByAllPairs) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    std::vector<Rule> rules = dice.Rules(60);
    RuleDependencies dependencies(rules);
    for (int change = 0; change < 20; ++change) {
      const std::size_t which = dice.Below(rules.size());
      ASSERT_TRUE(dependencies.Erase(rules[which].id));
      ASSERT_FALSE(dependencies.Erase(rules[which].id));
      rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(which));
      if (dice.OneIn(2)) {
        rules.push_back(dice.RandomRule(static_cast<std::uint32_t>(1000 + change)));
        dependencies.Insert(rules.back());
      }
    }
    ASSERT_EQ(dependencies.size(), rules.size());
    std::sort(rules.begin(), rules.end(), Outranks);
    for (std::size_t rank = 0; rank < rules.size(); ++rank) {
      std::vector<std::uint32_t> above;
      for (std::size_t q = rank; q-- > 0;) {
        if (Overlap(rules[q], rules[rank])) above.push_back(rules[q].id);
      }
      ASSERT_EQ(dependencies.Above(rules[rank].id), above);
    }
  }
}

TEST(Dependencies, DirectOnesMatchWhateverIsTakenFromARule) {
  std::size_t taken = 0, spared = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    std::vector<Rule> rules = dice.Rules(50);
    const RuleDependencies dependencies(rules);
    std::sort(rules.begin(), rules.end(), Outranks);
    std::vector<std::set<std::uint32_t>> direct;
    for (const Rule& rule : rules) {
      const auto ids = dependencies.Direct(rule.id);
      direct.emplace_back(ids.begin(), ids.end());
      spared += dependencies.Above(rule.id).size() - ids.size();
    }
    for (int i = 0; i < 500; ++i) {
      const flow::FlowKey key = dice.Key();
      const wire::VlanKey vlan = dice.Vlan();
      for (std::size_t rank = 0; rank < rules.size(); ++rank) {
        if (!Wins(rules[rank], key, vlan)) continue;
        const Decision decision = ClassifyByLinearScan(rules, key, vlan);
        if (decision.rule == rules[rank].id) continue;
        ++taken;
        const bool is_seen = std::any_of(rules.begin(), rules.end(), [&](const Rule& above) {
          return direct[rank].count(above.id) > 0 && Wins(above, key, vlan);
        });
        ASSERT_TRUE(is_seen) << "rule " << rules[rank].id;
      }
    }
  }
  EXPECT_GT(taken, 10'000u);
  EXPECT_GT(spared, 1'000u);
}

TEST(Dependencies, ClosureIsAllThatOverlapsReach) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const std::vector<Rule> rules = dice.Rules(60);
    const RuleDependencies dependencies(rules);
    double sum = 0;
    for (const Rule& rule : rules) {
      std::set<std::uint32_t> reached;
      std::vector<std::uint32_t> waiting{rule.id};
      while (!waiting.empty()) {
        const std::uint32_t id = waiting.back();
        waiting.pop_back();
        for (const std::uint32_t above : dependencies.Above(id)) {
          if (reached.insert(above).second) waiting.push_back(above);
        }
      }
      ASSERT_EQ(dependencies.Closure(rule.id), std::vector<std::uint32_t>(reached.begin(), reached.end()));
      sum += static_cast<double>(reached.size());
    }
    const RuleDependencies::Statistics statistics = dependencies.Measure(1000);
    ASSERT_EQ(statistics.rules, rules.size());
    ASSERT_NEAR(statistics.mean_closure, sum / static_cast<double>(rules.size()), 1e-9);
  }
}

TEST(Dependencies, WhatHidesOthersIsTheOnlyOne) {
  // 10.1.1.1 above 10.1.1.0/24 above 10.1.0.0/16 above all.
  const std::vector<Rule> rules{Ipv4Rule(1, 9, {10, 1, 1, 1}, 32), Ipv4Rule(2, 8, {10, 1, 1, 0}, 24),
                                Ipv4Rule(3, 7, {10, 1, 0, 0}, 16), Ipv4Rule(4, 6, {10, 2, 0, 0}, 16),
                                Ipv4Rule(5, 1, {}, 0)};
  const RuleDependencies dependencies(rules);
  EXPECT_THAT(dependencies.Direct(1), IsEmpty());
  EXPECT_THAT(dependencies.Direct(3), ElementsAre(2));
  EXPECT_THAT(dependencies.Above(3), ElementsAre(2, 1));
  EXPECT_THAT(dependencies.Direct(5), ElementsAre(4, 3));
  EXPECT_THAT(dependencies.Closure(5), ElementsAre(1, 2, 3, 4));
  const RuleDependencies::Statistics statistics = dependencies.Measure(100);
  EXPECT_EQ(statistics.p50, 1u);
  EXPECT_EQ(statistics.most, 4u);
  EXPECT_DOUBLE_EQ(statistics.mean_closure, (0 + 1 + 2 + 0 + 4) / 5.0);
}

TEST(Dependencies, AnIdIsTakenOnce) {
  RuleDependencies dependencies({Ipv4Rule(1, 9, {10, 1, 1, 1}, 32)});
  EXPECT_THROW(dependencies.Insert(Ipv4Rule(1, 3, {10, 0, 0, 0}, 8)), Refusal);
  EXPECT_EQ(dependencies.size(), 1u);
  EXPECT_FALSE(dependencies.Erase(2));
}

}  // namespace
}  // namespace foreflow::rules
