// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/resident_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "models/base/refusal.h"
#include "models/rules/match.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"

namespace foreflow::rules {
namespace {

using Answer = ResidentRules::Answer;

Rule To(std::uint32_t id, std::int32_t priority, std::array<std::uint8_t, 4> to, std::uint8_t length) {
  Rule rule;
  rule.id = id;
  rule.priority = priority;
  rule.l3 = 2;
  std::copy(to.begin(), to.end(), rule.destination.address.begin());
  rule.destination.length = length;
  return rule;
}

flow::FlowKey KeyTo(std::array<std::uint8_t, 4> to) {
  flow::FlowKey key;
  key.l3 = 2;
  key.ip_protocol = 6;
  std::copy(to.begin(), to.end(), key.destination_address.begin());
  return key;
}

struct Device {
  explicit Device(const std::vector<Rule>& rules, std::size_t slots,
                  std::size_t most_covers = CoverPlan::kMostCovers)
      : plan(rules, most_covers), table(plan, slots) {}
  Answer Find(const flow::FlowKey& key, Nanos now = Nanos(0), wire::VlanKey vlan = wire::kNoVlan) {
    return table.Find(key, vlan, now, rank, work);
  }
  CoverPlan plan;
  ResidentRules table;
  std::uint32_t rank = 0;
  Work work;
};

// Random sets, what is held changed at random, and every answer compared with the linear scan of all rules.
void CheckExactness(std::uint64_t first_seed, std::uint64_t cases) {
  std::uint64_t done = 0, by_rule = 0, by_cover = 0, merged_plans = 0;
  for (std::uint64_t seed = first_seed; done < cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleDice dice(seed);
    std::vector<Rule> rules = dice.Rules(1 + dice.Below(60));
    const std::size_t most_covers = 1 + dice.Below(8);
    Device device(rules, 1 + dice.Below(rules.size() * 2), most_covers);
    for (std::uint32_t rank = 0; rank < device.plan.size(); ++rank) {
      for (std::size_t i = 0; i < device.plan.cover_count(rank); ++i) {
        if (device.plan.covers(rank)[i].shared == CoverPlan::kNone) ++merged_plans;
      }
    }
    std::vector<flow::FlowKey> keys;
    std::vector<wire::VlanKey> vlans;
    std::vector<Decision> truth;
    for (int i = 0; i < 64; ++i) {
      keys.push_back(dice.Key());
      vlans.push_back(dice.Vlan());
      truth.push_back(ClassifyByLinearScan(rules, keys.back(), vlans.back()));
    }
    Nanos now(0);
    constexpr std::int64_t kLatency = 10;
    for (int step = 0; step < 200; ++step) {
      now = now + Nanos(static_cast<std::int64_t>(dice.Below(8)));
      const auto rank = static_cast<std::uint32_t>(dice.Below(rules.size()));
      if (device.table.Holds(rank)) {
        device.table.Evict(rank, device.work);
      } else if (device.table.SlotsFor(rank) <= device.table.free_slots()) {
        device.table.Hold(rank, now + Nanos(kLatency), device.work);
      }
      for (int look = 0; look < 10; ++look, ++done) {
        const std::size_t which = dice.Below(keys.size());
        const Answer answer = device.Find(keys[which], now, vlans[which]);
        if (answer == Answer::kCover) ++by_cover;
        if (answer != Answer::kRule) continue;
        ++by_rule;
        const Rule& rule = device.plan.rule(device.rank);
        ASSERT_EQ((Decision{rule.id, rule.action}), truth[which]) << "step " << step;
        ASSERT_TRUE(device.table.Holds(device.rank));
      }
    }
  }
  EXPECT_GT(by_rule, cases / 20);
  EXPECT_GT(by_cover, cases / 50);
  EXPECT_GT(merged_plans, cases / 10'000);
}

TEST(ResidentRules, AnswerAsTheFullSetWhateverIsHeld) { CheckExactness(1, 1'000'000); }

TEST(ResidentRules, LongMode) {
  if (std::getenv("FOREFLOW_LONG") == nullptr) GTEST_SKIP() << "set FOREFLOW_LONG=1: 10^8 cases";
  CheckExactness(1'000'000, 100'000'000);
}

TEST(ResidentRules, AllHeldAnswerAll) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const std::vector<Rule> rules = dice.Rules(40);
    // Without merged covers nothing is sent to the host in vain.
    Device device(rules, 40, 40);
    for (std::uint32_t rank = 0; rank < 40; ++rank) device.table.Hold(rank, Nanos(0), device.work);
    EXPECT_EQ(device.table.free_slots(), 0u);
    for (int i = 0; i < 200; ++i) {
      const flow::FlowKey key = dice.Key();
      const wire::VlanKey vlan = dice.Vlan();
      const Decision truth = ClassifyByLinearScan(rules, key, vlan);
      const Answer answer = device.Find(key, Nanos(0), vlan);
      ASSERT_EQ(answer, truth.rule == kNoRule ? Answer::kNothing : Answer::kRule);
      if (answer != Answer::kRule) continue;
      ASSERT_EQ(device.plan.rule(device.rank).id, truth.rule);
    }
  }
}

TEST(ResidentRules, ACoverCutsTheChain) {
  // 10.1.1.1 above 10.1.1.0/24 above 10.1.0.0/16: the last needs the middle one's cover only.
  Device device({To(1, 9, {10, 1, 1, 1}, 32), To(2, 8, {10, 1, 1, 0}, 24), To(3, 7, {10, 1, 0, 0}, 16)}, 3);
  EXPECT_EQ(device.table.SlotsFor(2), 2u);
  EXPECT_EQ(device.table.Hold(2, Nanos(0), device.work), 2u);
  EXPECT_EQ(device.table.free_slots(), 1u);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 9, 9})), Answer::kRule);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 7})), Answer::kCover);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 1})), Answer::kCover);
  EXPECT_EQ(device.Find(KeyTo({10, 2, 0, 0})), Answer::kNothing);
  // The cover becomes a rule in its slot, which needs a cover of its own.
  EXPECT_EQ(device.table.SlotsFor(1), 1u);
  EXPECT_EQ(device.table.Hold(1, Nanos(0), device.work), 2u);
  EXPECT_EQ(device.table.free_slots(), 0u);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 7})), Answer::kRule);
  EXPECT_EQ(device.rank, 1u);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 1})), Answer::kCover);
  // Evicted, it leaves its cover behind, and takes its own along.
  EXPECT_EQ(device.table.Evict(1, device.work), 2u);
  EXPECT_EQ(device.table.free_slots(), 1u);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 7})), Answer::kCover);
  EXPECT_EQ(device.table.Evict(2, device.work), 2u);
  EXPECT_EQ(device.table.free_slots(), 3u);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 7})), Answer::kNothing);
}

TEST(ResidentRules, SayWhatRemovingWouldBringANewcomer) {
  std::size_t compared = 0, shared = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const std::vector<Rule> rules = dice.Rules(60);
    Device device(rules, 40, 4);
    for (int step = 0; step < 300; ++step) {
      const auto rank = static_cast<std::uint32_t>(dice.Below(rules.size()));
      const auto newcomer = static_cast<std::uint32_t>(dice.Below(rules.size()));
      if (!device.table.Holds(rank)) {
        if (device.table.SlotsFor(rank) <= device.table.free_slots()) {
          device.table.Hold(rank, Nanos(0), device.work);
        }
        continue;
      }
      if (device.table.Holds(newcomer)) continue;
      const std::size_t said = device.table.SlotsFreedBy(rank, newcomer);
      const std::size_t free = device.table.free_slots(), needed = device.table.SlotsFor(newcomer);
      device.table.Evict(rank, device.work);
      const std::size_t freed = device.table.free_slots() - free;
      ASSERT_EQ(said, freed + needed - device.table.SlotsFor(newcomer)) << "step " << step;
      ++compared;
      shared += said < freed ? 1 : 0;
    }
  }
  EXPECT_GT(compared, 1000u);
  EXPECT_GT(shared, 10u);
}

TEST(ResidentRules, TakeEffectWhenReady) {
  Device device({To(1, 9, {10, 1, 1, 1}, 32), To(2, 8, {10, 1, 1, 0}, 24)}, 2);
  device.table.Hold(1, Nanos(10), device.work);
  EXPECT_TRUE(device.table.Holds(1));
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 2}), Nanos(9)), Answer::kNothing);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 1}), Nanos(9)), Answer::kNothing);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 2}), Nanos(10)), Answer::kRule);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 1}), Nanos(10)), Answer::kCover);
  // What was a cover stays one until the rule is ready.
  device.table.Hold(0, Nanos(20), device.work);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 1}), Nanos(19)), Answer::kCover);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 1}), Nanos(20)), Answer::kRule);
}

TEST(ResidentRules, MergedCoversAreFewAndLoseLittle) {
  // 64 hosts in two racks above a rule for all: two merged covers take the racks' parts that hosts are in.
  std::vector<Rule> rules;
  for (std::uint8_t host = 0; host < 32; ++host) {
    rules.push_back(To(host + 1u, 9, {10, 1, 1, host}, 32));
    rules.push_back(To(host + 101u, 9, {10, 200, 1, host}, 32));
  }
  rules.push_back(To(1000, 1, {}, 0));
  Device device(rules, 8, 2);
  const auto last = static_cast<std::uint32_t>(rules.size() - 1);
  EXPECT_EQ(device.plan.cover_count(last), 2u);
  EXPECT_TRUE(device.plan.IsWorthHolding(last));
  EXPECT_EQ(device.table.Hold(last, Nanos(0), device.work), 3u);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 31})), Answer::kCover);
  EXPECT_EQ(device.Find(KeyTo({10, 200, 1, 0})), Answer::kCover);
  EXPECT_EQ(device.Find(KeyTo({10, 1, 1, 32})), Answer::kRule);
  EXPECT_EQ(device.Find(KeyTo({10, 100, 1, 1})), Answer::kRule);
  // One alone would be a cover of 10.0.0.0/8; still not of everything.
  EXPECT_TRUE(CoverPlan(rules, 1).IsWorthHolding(last));
  rules.push_back(To(500, 9, {200, 0, 0, 1}, 32));
  EXPECT_FALSE(CoverPlan(rules, 1).IsWorthHolding(last + 1));
}

TEST(ResidentRules, RefusesATableWithoutSlots) {
  const CoverPlan plan({To(1, 9, {10, 1, 1, 1}, 32)});
  EXPECT_THROW(ResidentRules(plan, 0), Refusal);
}

}  // namespace
}  // namespace foreflow::rules
