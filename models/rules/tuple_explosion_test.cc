// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"

// Rules and packets made to cost as much as they can (tuple-space explosion: Csikor, Divakaran, Kang, Korosi,
// Sonkoly, Haja, Pezaros, Schmid, Retvari 2019).

namespace foreflow::rules {
namespace {

constexpr flow::VmId kVictim = 1;
constexpr flow::VmId kAttacker = 2;
constexpr std::size_t kRules = 3000;  // of the attacker

enum class Attack { kPrefixes, kNested, kStraddling, kPorts, kVlans, kIpv6, kCount };

// What a VM that may write rules of its own brings, at a priority above all.
std::vector<Rule> RulesOf(Attack attack, RuleDice& dice) {
  std::vector<Rule> rules;
  for (std::uint32_t i = 0; i < kRules; ++i) {
    Rule rule;
    rule.id = 1'000'000 + i;
    rule.priority = static_cast<std::int32_t>(1000 + dice.Below(100));
    rule.l3 = attack == Attack::kIpv6 ? 3 : 2;
    rule.vm = kAttacker;
    rule.action.verb = Verb::kForward;
    rule.source.address = dice.Address(static_cast<wire::Layer3>(rule.l3));
    rule.destination.address = dice.Address(static_cast<wire::Layer3>(rule.l3));
    switch (attack) {
      case Attack::kPrefixes:  // every pair of lengths
        rule.source.length = static_cast<std::uint8_t>(i % 33);
        rule.destination.length = static_cast<std::uint8_t>(i / 33 % 33);
        break;
      case Attack::kNested:  // of one address: a packet to it matches all
        rule.source.address = {10};
        rule.destination.address = {10};
        rule.source.length = static_cast<std::uint8_t>(8 + i % 25);
        rule.destination.length = static_cast<std::uint8_t>(8 + i / 25 % 25);
        break;
      case Attack::kStraddling: {  // ranges that have no bit in common, of one address: one bucket
        rule.destination = {{10}, 32};
        rule.destination_port = {static_cast<std::uint16_t>(32'767 - i),
                                 static_cast<std::uint16_t>(32'768 + i)};
        break;
      }
      case Attack::kPorts:  // leading bits of ports: 17 by 17 masks without an address
        rule.source_port.low = static_cast<std::uint16_t>(dice.Below(65536) & ~((1u << i % 17) - 1));
        rule.source_port.high = static_cast<std::uint16_t>(rule.source_port.low + ((1u << i % 17) - 1));
        rule.destination_port.low =
            static_cast<std::uint16_t>(dice.Below(65536) & ~((1u << i / 17 % 17) - 1));
        rule.destination_port.high =
            static_cast<std::uint16_t>(rule.destination_port.low + ((1u << i / 17 % 17) - 1));
        break;
      case Attack::kVlans:
        rule.source.length = static_cast<std::uint8_t>(i % 33);
        rule.vlan = static_cast<std::uint16_t>(i % 4096);
        if (i % 2 == 0) rule.vlan_priority = static_cast<std::uint8_t>(i / 2 % 8);
        break;
      case Attack::kIpv6:
      case Attack::kCount:
        rule.source.length = static_cast<std::uint8_t>(dice.Below(129));
        rule.destination.length = static_cast<std::uint8_t>(dice.Below(129));
        break;
    }
    rules.push_back(rule);
  }
  return rules;
}

// What the administrator has for all, and the victim for itself: masks of the middle.
std::vector<Rule> HonestRules(RuleDice& dice) {
  static constexpr std::uint8_t kLengths[] = {0, 8, 16, 24, 28, 30, 32};
  std::vector<Rule> rules;
  for (std::uint32_t i = 0; i < 400; ++i) {
    Rule rule;
    rule.id = i;
    rule.priority = static_cast<std::int32_t>(dice.Below(100));
    rule.l3 = 2;
    rule.vm = i % 2 == 0 ? kVictim : kAnyVm;
    rule.source = {{10, static_cast<std::uint8_t>(dice.Below(256)),
                    static_cast<std::uint8_t>(dice.Below(256)), static_cast<std::uint8_t>(dice.Below(256))},
                   dice.Pick(kLengths)};
    rule.destination = {
        {172, static_cast<std::uint8_t>(dice.Below(256)), static_cast<std::uint8_t>(dice.Below(256)),
         static_cast<std::uint8_t>(dice.Below(256))},
        dice.Pick(kLengths)};
    const std::uint16_t port = dice.Port();
    if (dice.OneIn(2)) rule.destination_port = {port, port};
    rule.action.verb = Verb::kForward;
    rules.push_back(rule);
  }
  return rules;
}

std::uint64_t CostOf(const Work& work) { return work[WorkItem::kHash] + work[WorkItem::kRuleCompare]; }

struct Probe {
  flow::FlowKey key;
  wire::VlanKey vlan = wire::kNoVlan;
};

Work WorkOf(const RuleTable& table, const Probe& probe) {
  Work work;
  table.Classify(probe.key, probe.vlan, work);
  return work;
}

Decision DecisionOf(const RuleTable& table, const Probe& probe) {
  Work work;
  return table.Classify(probe.key, probe.vlan, work);
}

// Packets that a VM can send, each bent bit by bit towards the dearest look-up, from where rules point.
std::vector<Probe> DearestPackets(const RuleTable& table, const std::vector<Rule>& rules, flow::VmId vm,
                                  RuleDice& dice) {
  std::vector<Probe> found;
  for (int start = 0; start < 12; ++start) {
    const Rule& rule = rules[dice.Below(rules.size())];
    Probe best;
    best.key.l3 = rule.l3;
    best.key.vm = vm;
    best.key.ip_protocol = 6;
    best.key.source_address = rule.source.address;
    best.key.destination_address = rule.destination.address;
    best.key.source_port = rule.source_port.low;
    best.key.destination_port = rule.destination_port.low;
    if (rule.vlan <= 4095) best.vlan = wire::VlanKeyOf(rule.vlan, rule.vlan_priority & 7u);
    std::uint64_t cost = CostOf(WorkOf(table, best));
    for (int step = 0; step < 600; ++step) {
      Probe next = best;
      const std::uint64_t bytes = rule.l3 == 3 ? 16 : 4;
      const auto bit = static_cast<std::uint8_t>(1u << dice.Below(8));
      switch (dice.Below(4)) {
        case 0:
          next.key.source_address[dice.Below(bytes)] ^= bit;
          break;
        case 1:
          next.key.destination_address[dice.Below(bytes)] ^= bit;
          break;
        case 2:
          next.key.destination_port = dice.Port();
          break;
        default:
          next.key.source_port = dice.Port();
          break;
      }
      const std::uint64_t dearer = CostOf(WorkOf(table, next));
      if (dearer < cost) continue;
      best = next;
      cost = dearer;
    }
    found.push_back(best);
  }
  return found;
}

RuleTable Loaded(const std::vector<Rule>& rules) {
  RuleTable table;
  table.Load(rules);
  return table;
}

// One batch into what is there.
RuleTable Changed(const std::vector<Rule>& there, const std::vector<Rule>& come) {
  RuleTable table = Loaded(there);
  RuleBatch batch;
  batch.generation = table.generation();
  for (const Rule& rule : come) batch.changes.push_back({RuleOperation::kInsert, rule});
  table.Apply(batch);
  return table;
}

struct Cost {
  double mean = 0;  // of plain packets
  std::uint64_t dearest = 0;
};

// What the victim's packets cost.
Cost CostOfVictim(const RuleTable& table, const std::vector<Rule>& honest, const std::vector<Rule>& all) {
  RuleDice dice(99);
  Cost cost;
  std::vector<Probe> probes = DearestPackets(table, honest, kVictim, dice);
  for (const Probe& probe : probes) cost.dearest = std::max(cost.dearest, CostOf(WorkOf(table, probe)));
  constexpr int kPlain = 300;
  for (int i = 0; i < kPlain; ++i) {
    const Rule& rule = honest[dice.Below(honest.size())];
    Probe probe;
    probe.key = dice.Key();
    probe.key.l3 = 2;
    probe.key.vm = kVictim;
    probe.key.source_address = rule.source.address;
    probe.key.destination_address = rule.destination.address;
    probes.push_back(probe);
    cost.mean += static_cast<double>(CostOf(WorkOf(table, probe))) / kPlain;
  }
  for (const Probe& probe : probes) {
    EXPECT_EQ(DecisionOf(table, probe), ClassifyByLinearScan(all, probe.key, probe.vlan));
  }
  return cost;
}

class TupleExplosion : public ::testing::TestWithParam<Attack> {};

// Both ways to bring rules: with the set, the attacker's first in its order, and one after the other.
TEST_P(TupleExplosion, CostsTheAttackerAlone) {
  RuleDice dice(static_cast<std::uint64_t>(GetParam()) + 1);
  const std::vector<Rule> honest = HonestRules(dice);
  const std::vector<Rule> attack = RulesOf(GetParam(), dice);
  std::vector<Rule> both = attack;
  both.insert(both.end(), honest.begin(), honest.end());

  constexpr std::uint64_t kMostHashes = 3 * TupleSpace<2>::kTuples;
  for (const bool is_loaded : {true, false}) {
    SCOPED_TRACE(is_loaded);
    const RuleTable table = is_loaded ? Loaded(both) : Changed(attack, honest);
    const RuleTable alone = is_loaded ? Loaded(honest) : Changed({}, honest);
    std::uint64_t dearest = 0;
    for (const Probe& probe : DearestPackets(table, attack, kAttacker, dice)) {
      const Work work = WorkOf(table, probe);
      ASSERT_LE(work[WorkItem::kHash], kMostHashes);
      ASSERT_LE(work[WorkItem::kRuleCompare], both.size());
      ASSERT_EQ(DecisionOf(table, probe), ClassifyByLinearScan(both, probe.key, probe.vlan));
      dearest = std::max(dearest, CostOf(work));
    }
    const Cost before = CostOfVictim(alone, honest, honest);
    // What merging spares the victim an attacker can take away, and no more.
    const Cost unmerged = CostOfVictim(Changed({}, honest), honest, honest);
    const Cost after = CostOfVictim(table, honest, both);
    std::printf(
        "hashes and rules: the victim's packets %.2f, dearest %llu; alone %.2f, %llu; attacker's dearest "
        "%llu\n",
        after.mean, static_cast<unsigned long long>(after.dearest), before.mean,
        static_cast<unsigned long long>(before.dearest), static_cast<unsigned long long>(dearest));
    EXPECT_LE(after.mean, 2 * unmerged.mean);
    EXPECT_LE(after.dearest, 2 * unmerged.dearest);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TupleExplosion,
                         ::testing::Values(Attack::kPrefixes, Attack::kNested, Attack::kStraddling,
                                           Attack::kPorts, Attack::kVlans, Attack::kIpv6));

// The limits are what keeps an attacker's own packets, which share a processor with others', cheap.
TEST(TupleExplosion, LimitsBoundTheAttackersPacketsToo) {
  RuleDice dice(7);
  RuleLimits limits;
  limits.rules_per_vm = 64;
  limits.masks_per_vm = 50;
  std::vector<Rule> honest = HonestRules(dice);
  honest.resize(100);
  for (int attack = 0; attack < static_cast<int>(Attack::kCount); ++attack) {
    RuleTable table(limits);
    table.Load(honest);
    std::vector<Rule> taken;
    for (const Rule& rule : RulesOf(static_cast<Attack>(attack), dice)) {
      try {
        table.Apply({table.generation(), {{RuleOperation::kInsert, rule}}});
        taken.push_back(rule);
      } catch (const Refusal&) {
      }
    }
    EXPECT_LE(taken.size(), limits.rules_per_vm);
    for (const Probe& probe : DearestPackets(table, taken, kAttacker, dice)) {
      EXPECT_LE(WorkOf(table, probe)[WorkItem::kRuleCompare], limits.rules_per_vm + honest.size());
    }
  }
}

}  // namespace
}  // namespace foreflow::rules
