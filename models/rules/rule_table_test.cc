// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "models/base/refusal.h"
#include "models/rules/test_rules.h"

namespace foreflow::rules {
namespace {

using ::testing::HasSubstr;

constexpr std::uint8_t kArp = 1;
constexpr std::uint8_t kL3Ipv4 = 2;
constexpr std::uint8_t kIpv6 = 3;

Decision Classify(const RuleTable& table, const flow::FlowKey& key, wire::VlanKey vlan = wire::kNoVlan) {
  Work work;
  return table.Classify(key, vlan, work);
}

EntryKey EntryOf(const RuleTable& table, const flow::FlowKey& key, wire::VlanKey vlan = wire::kNoVlan) {
  Work work;
  return table.EntryKeyOf(key, vlan, work);
}

flow::FlowKey Ipv4Key(std::array<std::uint8_t, 4> from, std::array<std::uint8_t, 4> to,
                      std::uint16_t to_port) {
  flow::FlowKey key;
  key.l3 = kL3Ipv4;
  key.ip_protocol = 6;
  key.vm = 1;
  std::copy(from.begin(), from.end(), key.source_address.begin());
  std::copy(to.begin(), to.end(), key.destination_address.begin());
  key.source_port = 40000;
  key.destination_port = to_port;
  return key;
}

Rule Forward(std::uint32_t id, std::int32_t priority) {
  Rule rule;
  rule.id = id;
  rule.priority = priority;
  rule.action.verb = Verb::kForward;
  return rule;
}

TEST(RuleTable, AgreesWithLinearScan) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const std::vector<Rule> rules = dice.Rules(dice.Below(60));
    RuleTable table;
    table.Load(rules);
    for (int i = 0; i < 250; ++i) {
      const flow::FlowKey key = dice.Key();
      const wire::VlanKey vlan = dice.Vlan();
      ASSERT_EQ(Classify(table, key, vlan), ClassifyByLinearScan(rules, key, vlan));
    }
  }
}

TEST(RuleTable, AgreesWithLinearScanOnManyRules) {
  RuleDice dice(77);
  const std::vector<Rule> rules = dice.Rules(3000);
  RuleTable table;
  table.Load(rules);
  for (int i = 0; i < 3000; ++i) {
    const flow::FlowKey key = dice.Key();
    const wire::VlanKey vlan = dice.Vlan();
    ASSERT_EQ(Classify(table, key, vlan), ClassifyByLinearScan(rules, key, vlan));
  }
}

TEST(RuleTable, EqualEntryKeysHaveEqualDecisions) {
  std::size_t shared = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const std::vector<Rule> rules = dice.Rules(1 + dice.Below(12));
    RuleTable table;
    table.Load(rules);
    for (int i = 0; i < 100; ++i) {
      const flow::FlowKey a = dice.Key();
      flow::FlowKey b = a;
      b.source_port = dice.Port();
      b.destination_port = dice.Port();
      const wire::VlanKey of_a = dice.Vlan(), of_b = dice.Vlan();
      const EntryKey entry = EntryOf(table, a, of_a);
      ASSERT_EQ(ClassifyByLinearScan(rules, entry.fields, entry.vlan), ClassifyByLinearScan(rules, a, of_a));
      if (!(entry == EntryOf(table, b, of_b))) continue;
      ++shared;
      ASSERT_EQ(ClassifyByLinearScan(rules, a, of_a), ClassifyByLinearScan(rules, b, of_b));
    }
  }
  EXPECT_GT(shared, 1000u);
}

TEST(RuleTable, PortsShareAClassWhereTheSameRangesHoldThemWithoutAGap) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const std::vector<Rule> rules = dice.Rules(6);
    RuleTable table;
    table.Load(rules);
    const auto ranges_of = [&](std::uint32_t port, PortRange Rule::*field) {
      std::set<std::uint32_t> ids;
      for (const Rule& rule : rules) {
        if ((rule.*field).low <= port && port <= (rule.*field).high) ids.insert(rule.id);
      }
      return ids;
    };
    const auto class_of = [&](std::uint32_t port, PortRange Rule::*field) {
      flow::FlowKey key;
      key.source_port = static_cast<std::uint16_t>(port);
      key.destination_port = static_cast<std::uint16_t>(port);
      const flow::FlowKey entry = EntryOf(table, key).fields;
      return field == &Rule::source_port ? entry.source_port : entry.destination_port;
    };
    for (const auto field : {&Rule::source_port, &Rule::destination_port}) {
      std::uint16_t expected = 0;
      for (std::uint32_t port = 0; port < 65536; ++port) {
        if (port > 0 && ranges_of(port, field) != ranges_of(port - 1, field)) {
          expected = static_cast<std::uint16_t>(port);
        }
        // A class may be split only where one range ends and an equal set of others begins.
        const std::uint16_t got = class_of(port, field);
        ASSERT_GE(got, expected) << port;
        ASSERT_LE(got, port);
        ASSERT_EQ(ranges_of(got, field), ranges_of(port, field)) << port;
      }
    }
  }
}

TEST(RuleTable, OneEntryServesAllClientPortsOfAService) {
  Rule web = Forward(1, 0);
  web.l3 = kL3Ipv4;
  web.ip_protocol = 6;
  web.destination_port = {80, 80};
  RuleTable table;
  table.Load({web});
  flow::FlowKey a = Ipv4Key({10, 0, 0, 1}, {10, 0, 0, 2}, 80);
  flow::FlowKey b = a;
  b.source_port = 50001;
  EXPECT_EQ(EntryOf(table, a), EntryOf(table, b));
  b.destination_port = 81;
  EXPECT_FALSE(EntryOf(table, a) == EntryOf(table, b));
}

TEST(RuleTable, HigherPriorityWinsThenLowerId) {
  RuleTable table;
  table.Load({Forward(9, 1), Forward(4, 1), Forward(1, 0), Forward(2, -5)});
  EXPECT_EQ(Classify(table, flow::FlowKey{}).rule, 4u);
}

TEST(RuleTable, DropsByDefault) {
  RuleTable table;
  EXPECT_EQ(Classify(table, Ipv4Key({1, 2, 3, 4}, {5, 6, 7, 8}, 80)), Decision{});
  EXPECT_EQ(Decision{}.action.verb, Verb::kDrop);
  EXPECT_EQ(Decision{}.rule, kNoRule);
}

TEST(RuleTable, PrefixComparesItsBitsAlone) {
  Rule rule = Forward(1, 0);
  rule.l3 = kL3Ipv4;
  rule.destination = {{10, 0, 3, 255}, 23};  // 10.0.2.0/23 written with host bits
  RuleTable table;
  table.Load({rule});
  EXPECT_EQ(Classify(table, Ipv4Key({1, 1, 1, 1}, {10, 0, 2, 0}, 1)).rule, 1u);
  EXPECT_EQ(Classify(table, Ipv4Key({1, 1, 1, 1}, {10, 0, 3, 255}, 1)).rule, 1u);
  EXPECT_EQ(Classify(table, Ipv4Key({1, 1, 1, 1}, {10, 0, 4, 0}, 1)).rule, kNoRule);
  EXPECT_EQ(Classify(table, Ipv4Key({1, 1, 1, 1}, {10, 0, 1, 255}, 1)).rule, kNoRule);
}

TEST(RuleTable, AnIpv4PrefixNeverMatchesAnotherFamily) {
  Rule rule = Forward(1, 0);
  rule.l3 = kL3Ipv4;
  rule.source = {{0x20, 0x01}, 16};
  RuleTable table;
  table.Load({rule});
  flow::FlowKey key;
  key.source_address = {0x20, 0x01};
  for (const std::uint8_t l3 : {std::uint8_t{0}, kArp, kIpv6}) {
    key.l3 = l3;
    EXPECT_EQ(Classify(table, key).rule, kNoRule);
  }
  key.l3 = kL3Ipv4;
  EXPECT_EQ(Classify(table, key).rule, 1u);
}

TEST(RuleTable, PacketsWithoutIpMatchRulesOfAnyFamilyWithoutPrefixes) {
  RuleTable table;
  Rule lldp = Forward(1, 0);
  lldp.source_port = {0x88cc, 0x88cc};  // the ethertype
  table.Load({lldp});
  flow::FlowKey key;
  key.source_port = 0x88cc;
  key.source_address = {2, 0, 0, 0, 0, 1};
  EXPECT_EQ(Classify(table, key).rule, 1u);
  key.source_port = 0x88cd;
  EXPECT_EQ(Classify(table, key).rule, kNoRule);
}

TEST(RuleTable, MatchesTheOutermostTag) {
  const wire::VlanKey of_7 = wire::VlanKeyOf(7, 3);
  RuleTable table;
  Rule voice = Forward(1, 3);
  voice.vlan = 7;
  voice.vlan_priority = 3;
  Rule seven = Forward(2, 2);
  seven.vlan = 7;
  Rule untagged = Forward(3, 1);
  untagged.vlan = kUntagged;
  Rule urgent = Forward(4, 0);
  urgent.vlan_priority = 6;
  table.Load({voice, seven, untagged, urgent});
  const flow::FlowKey key = Ipv4Key({1, 1, 1, 1}, {2, 2, 2, 2}, 80);
  EXPECT_EQ(Classify(table, key, of_7).rule, 1u);
  EXPECT_EQ(Classify(table, key, wire::VlanKeyOf(7, 4)).rule, 2u);
  EXPECT_EQ(Classify(table, key).rule, 3u);
  EXPECT_EQ(Classify(table, key, wire::VlanKeyOf(8, 6)).rule, 4u);
  EXPECT_EQ(Classify(table, key, wire::VlanKeyOf(8, 5)).rule, kNoRule);
  EXPECT_EQ(Classify(table, key, wire::VlanKeyOf(0, 0)).rule, kNoRule) << "a tag without VID is a tag";
}

TEST(RuleTable, EntriesAreOfAVlanOnlyWhereRulesLookAtIt) {
  RuleTable table;
  table.Load({Forward(1, 0)});
  const flow::FlowKey key = Ipv4Key({1, 1, 1, 1}, {2, 2, 2, 2}, 80);
  const wire::VlanKey tagged = wire::VlanKeyOf(7, 3);
  EXPECT_EQ(EntryOf(table, key, tagged), EntryOf(table, key));
  Rule untagged = Forward(2, 1);
  untagged.vlan = kUntagged;
  table.Apply({table.generation(), {{RuleOperation::kInsert, untagged}}});
  EXPECT_FALSE(EntryOf(table, key, tagged) == EntryOf(table, key));
  EXPECT_EQ(EntryOf(table, key, tagged), EntryOf(table, key, wire::VlanKeyOf(8, 0)));
  Rule seven = Forward(3, 2);
  seven.vlan = 7;
  table.Apply({table.generation(), {{RuleOperation::kInsert, seven}}});
  EXPECT_FALSE(EntryOf(table, key, tagged) == EntryOf(table, key, wire::VlanKeyOf(8, 3)));
  EXPECT_EQ(EntryOf(table, key, tagged), EntryOf(table, key, wire::VlanKeyOf(7, 0)));
}

TEST(RuleTable, StopsAtTheFirstTupleThatCannotBeBeaten) {
  std::vector<Rule> rules = {Forward(1, 100)};
  for (std::uint8_t length = 1; length <= 32; ++length) {
    for (std::uint32_t i = 0; i < 20; ++i) {
      Rule rule = Forward(100u * length + i, 1);
      rule.l3 = kL3Ipv4;
      rule.destination = {{128, 0, 0, static_cast<std::uint8_t>(i)}, length};
      rules.push_back(rule);
    }
  }
  RuleTable table;
  table.Load(rules);
  EXPECT_GT(table.tuples(), 4u);
  Work work;
  table.Classify(Ipv4Key({1, 1, 1, 1}, {128, 0, 0, 0}, 1), work);
  EXPECT_EQ(work[WorkItem::kHash], 1u);
  EXPECT_EQ(work[WorkItem::kProbe], 1u);
  EXPECT_EQ(work[WorkItem::kRuleCompare], 1u);
  EXPECT_EQ(work[WorkItem::kCacheLine], 11u);  // eight fields, tuple, slot, rule

  rules.erase(rules.begin());
  table.Load(rules);
  Work none;
  table.Classify(Ipv4Key({1, 1, 1, 1}, {1, 0, 0, 0}, 1), none);
  EXPECT_EQ(none[WorkItem::kHash], 0u);  // no rule has an address like it
}

TEST(RuleTable, GenerationChangesWithEveryLoadAndOnlyThen) {
  RuleTable table;
  const std::uint64_t first = table.generation();
  table.Load({Forward(1, 0)});
  const std::uint64_t second = table.generation();
  EXPECT_NE(first, second);
  Rule bad = Forward(2, 0);
  bad.source.length = 1;
  EXPECT_THROW(table.Load({bad}), Refusal);
  EXPECT_EQ(table.generation(), second);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(Classify(table, flow::FlowKey{}).rule, 1u);
  table.Load({});
  EXPECT_NE(table.generation(), second);
  EXPECT_EQ(Classify(table, flow::FlowKey{}), Decision{});
}

struct BadRule {
  const char* name;
  std::function<void(Rule&)> spoil;
  std::vector<std::string> named;
};

TEST(RuleTable, RefusesImpossibleRules) {
  const std::vector<BadRule> kBad = {
      {"prefix without family", [](Rule& r) { r.source.length = 8; }, {"source", " 8", "0 unless"}},
      {"prefix on arp",
       [](Rule& r) { r.l3 = kArp, r.destination.length = 1; },
       {"destination", " 1", "0 unless"}},
      {"long ipv4", [](Rule& r) { r.l3 = kL3Ipv4, r.source.length = 33; }, {"source", "33", "0..32"}},
      {"long ipv6",
       [](Rule& r) { r.l3 = kIpv6, r.destination.length = 129; },
       {"destination", "129", "0..128"}},
      {"empty source range",
       [](Rule& r) {
         r.source_port = {5, 4};
       },
       {"source_port", "[5, 4]", "low <= high"}},
      {"empty destination range",
       [](Rule& r) {
         r.destination_port = {1, 0};
       },
       {"destination_port", "[1, 0]"}},
      {"family", [](Rule& r) { r.l3 = 4; }, {"l3", "4"}},
      {"protocol", [](Rule& r) { r.ip_protocol = 256; }, {"protocol", "256", "0..255"}},
      {"vlan", [](Rule& r) { r.vlan = 4096; }, {"vlan", "4096", "0..4095"}},
      {"vlan priority", [](Rule& r) { r.vlan_priority = 8; }, {"vlan_priority", "8", "0..7"}},
      {"priority of no tag",
       [](Rule& r) { r.vlan = kUntagged, r.vlan_priority = 1; },
       {"vlan_priority", "1", "any where vlan is none"}},
      {"verb", [](Rule& r) { r.action.verb = static_cast<Verb>(3); }, {"verb", "3"}},
      {"queue", [](Rule& r) { r.action.queue = 4; }, {"queue", "4", "0..3"}},
      {"repeated id", [](Rule& r) { r.id = 41; }, {"id", "41", "once"}},
      {"reserved id", [](Rule& r) { r.id = kNoRule; }, {"id", "4294967295"}},
  };
  for (const BadRule& bad : kBad) {
    SCOPED_TRACE(bad.name);
    Rule rule = Forward(42, 0);
    bad.spoil(rule);
    RuleTable table;
    try {
      table.Load({Forward(41, 0), rule});
      FAIL() << "not refused";
    } catch (const Refusal& refusal) {
      EXPECT_THAT(refusal.what(), HasSubstr("rule " + std::to_string(rule.id)));
      for (const std::string& part : bad.named) EXPECT_THAT(refusal.what(), HasSubstr(part));
    }
  }
}

}  // namespace
}  // namespace foreflow::rules
