// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_residency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "models/base/refusal.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"

namespace foreflow::rules {
namespace {

// Rules for single hosts, which do not overlap: rank i is of 10.0.0.i.
std::vector<Rule> Hosts(std::uint8_t count) {
  std::vector<Rule> rules;
  for (std::uint8_t host = 0; host < count; ++host) {
    Rule rule;
    rule.id = host;
    rule.l3 = 2;
    rule.destination = {{10, 0, 0, host}, 32};
    rules.push_back(rule);
  }
  return rules;
}

struct Table {
  Table(const CoverPlan& cover_plan, std::unique_ptr<ResidencyPolicy> chosen, std::size_t slots,
        bool knows_future = false, std::uint32_t writes = 1'000'000)
      : plan(cover_plan),
        policy(std::move(chosen)),
        residency(plan, *policy, Config(slots, knows_future, writes)) {}
  static RuleResidency::Config Config(std::size_t slots, bool knows_future, std::uint32_t writes) {
    RuleResidency::Config config;
    config.slots = slots;
    config.knows_future = knows_future;
    config.writes_per_second = writes;
    return config;
  }
  // Whether the table decides the packet.
  bool Packet(std::uint32_t rank, std::uint64_t next_use = 0) {
    now = now + Millis(1);
    const bool is_hit = residency.Holds(rank);
    policy->See(rank, now, next_use);
    if (policy->Swaps() > 0) residency.Exchange(policy->Swaps(), now, work);
    residency.Want(rank, now, work);
    if (!is_hit) residency.Miss(rank, false, now, work);
    return is_hit;
  }
  const CoverPlan& plan;
  std::unique_ptr<ResidencyPolicy> policy;
  RuleResidency residency;
  Nanos now;
  Work work;
};

TEST(RuleResidency, LruHoldsTheLatest) {
  const std::vector<Rule> rules = Hosts(20);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kLru, plan, 1, {}), 5);
  RuleDice dice(3);
  std::vector<std::uint32_t> latest;  // the newest last: a naive LRU
  for (int i = 0; i < 5000; ++i) {
    const auto rank = static_cast<std::uint32_t>(dice.Below(20));
    const auto at = std::find(latest.begin(), latest.end(), rank);
    const bool expected = at != latest.end();
    if (expected) latest.erase(at);
    if (!expected && latest.size() == 5) latest.erase(latest.begin());
    latest.push_back(rank);
    ASSERT_EQ(table.Packet(rank), expected) << "packet " << i;
  }
}

TEST(RuleResidency, LfuKeepsTheMostUsed) {
  const std::vector<Rule> rules = Hosts(6);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kLfu, plan, 1, {}), 2);
  for (int i = 0; i < 3; ++i) table.Packet(0);
  for (const std::uint32_t rank : {1u, 2u, 3u, 4u}) table.Packet(rank);
  EXPECT_TRUE(table.residency.Holds(0));
  EXPECT_TRUE(table.residency.Holds(4));
  EXPECT_FALSE(table.residency.Holds(1));
}

TEST(RuleResidency, RebalanceActsEveryThreeSecondsOnOldCounters) {
  const std::vector<Rule> rules = Hosts(4);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kRebalance, plan, 1, {}), 1);
  table.Packet(0);  // there is room
  // From now on another is used: it waits for the swap at 6 s, on counters of 4 s.
  int misses = 0;
  while (!table.Packet(1)) ++misses;
  EXPECT_NEAR(misses, 3000, 5);
  // What is used from the second after the counters were read is seen three seconds later.
  misses = 0;
  while (!table.Packet(2)) ++misses;
  EXPECT_NEAR(misses, 6000, 5);
}

TEST(RuleResidency, GreedyCountsCovers) {
  // The wide rule, rank 4, needs four covers: for 1.5 times the packets it is not worth five slots.
  std::vector<Rule> rules = Hosts(4);
  Rule wide;
  wide.id = 100;
  wide.priority = -1;
  wide.l3 = 2;
  rules.push_back(wide);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kGreedy, plan, 1, {}), 5);
  for (int i = 0; i < 200; ++i) {
    for (std::uint32_t rank = 0; rank < 4; ++rank) table.Packet(rank);
    table.Packet(4);
    if (i % 2 == 0) table.Packet(4);
  }
  for (std::uint32_t rank = 0; rank < 4; ++rank) EXPECT_TRUE(table.residency.Holds(rank));
  EXPECT_FALSE(table.residency.Holds(4) && table.residency.table().free_slots() > 0);
}

TEST(RuleResidency, StaticHoldsWhatIsKnown) {
  const std::vector<Rule> rules = Hosts(6);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kStatic, plan, 1, {5, 0, 9, 1, 7, 0}), 3);
  EXPECT_TRUE(table.Packet(0));
  EXPECT_TRUE(table.Packet(2));
  EXPECT_TRUE(table.Packet(4));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(table.Packet(3));
  EXPECT_EQ(table.residency.writes(), 0u);
  EXPECT_THROW(MakePolicy(Residency::kStatic, plan, 1, {}), Refusal);
}

TEST(RuleResidency, PredictionsTakeHalfAndLateOnesGoFirst) {
  const std::vector<Rule> rules = Hosts(40);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kLru, plan, 1, {}), 8);
  for (std::uint32_t rank = 0; rank < 8; ++rank) table.Packet(rank);
  for (std::uint32_t rank = 20; rank < 40; ++rank) {
    table.residency.Predict({rank, true, 65535}, table.now, table.work);
  }
  // Whatever is predicted, the half that was used last stays.
  for (std::uint32_t rank = 4; rank < 8; ++rank) EXPECT_TRUE(table.residency.Holds(rank));
  EXPECT_EQ(table.residency.predicted_wasted(), 16u);
  EXPECT_TRUE(table.Packet(36));  // came true within 1 ms
  table.now = table.now + Millis(100);
  table.Packet(19);
  // The others are late, so none of what was used had to go.
  for (const std::uint32_t rank : {4u, 5u, 6u, 7u, 36u, 19u}) EXPECT_TRUE(table.residency.Holds(rank));
  for (const std::uint32_t rank : {37u, 38u, 39u}) EXPECT_FALSE(table.residency.Holds(rank));
}

TEST(RuleResidency, WhatIsPredictedStays) {
  const std::vector<Rule> rules = Hosts(10);
  const CoverPlan plan(rules);
  Table table(plan, MakePolicy(Residency::kLru, plan, 1, {}), 4);
  for (std::uint32_t rank = 0; rank < 4; ++rank) table.Packet(rank);
  EXPECT_FALSE(table.residency.Predict({0, true, 65535}, table.now, table.work));  // it is there
  table.Packet(5);
  EXPECT_TRUE(table.residency.Holds(0));
  EXPECT_FALSE(table.residency.Holds(1));
}

TEST(RuleResidency, TheLessIsLeftOfTheBudgetTheSurerAPredictionMustBe) {
  const std::vector<Rule> rules = Hosts(200);
  const CoverPlan plan(rules);
  // No token comes back: 1024 at the start.
  Table table(plan, MakePolicy(Residency::kLru, plan, 1, {}), 200, false, 0);
  std::uint32_t rank = 0;
  EXPECT_TRUE(table.residency.Predict({rank++, true, 655}, table.now, table.work));
  for (int i = 0; i < 20; ++i) table.Packet(rank++);
  EXPECT_FALSE(table.residency.Predict({rank, true, 655}, table.now, table.work));
  EXPECT_TRUE(table.residency.Predict({rank, true, 6553}, table.now, table.work));
}

// Rule 4 is wide and needs covers over rules 0 to 3: five slots.
std::vector<Rule> WideOverHosts(std::uint8_t count) {
  std::vector<Rule> rules = Hosts(4);
  Rule wide;
  wide.id = 100;
  wide.priority = -1;
  wide.l3 = 2;
  wide.destination = {{10, 0, 0, 0}, 30};
  rules.push_back(wide);
  for (std::uint8_t host = 0; host < count; ++host) {
    Rule rule;
    rule.id = 200u + host;
    rule.l3 = 2;
    rule.destination = {{10, 0, 1, host}, 32};
    rules.push_back(rule);
  }
  return rules;
}

TEST(RuleResidency, WhatIsDemandedStaysUnlessMoreASlotIsWantedElsewhere) {
  const std::vector<Rule> rules = WideOverHosts(20);
  const CoverPlan plan(rules);
  const std::uint32_t wide = plan.RankOf(100);
  std::vector<std::uint64_t> demand(plan.size());
  const auto policy = MakePolicy(Residency::kLru, plan, 1, {});
  RuleResidency::Config config;
  config.slots = 6;
  config.writes_per_second = 1'000'000;
  config.demand = &demand;
  RuleResidency residency(plan, *policy, config);
  Nanos now;
  Work work;
  const auto packet = [&](std::uint32_t rank) {
    now = now + Millis(1);
    const bool is_hit = residency.Holds(rank);
    policy->See(rank, now, 0);
    residency.Want(rank, now, work);
    if (!is_hit) residency.Miss(rank, true, now, work);
    return is_hit;
  };
  std::vector<std::uint32_t> host;
  for (std::uint32_t id = 200; id < 220; ++id) host.push_back(plan.RankOf(id));
  for (int i = 0; i < 6; ++i) packet(host[static_cast<std::size_t>(i)]);
  demand[host[0]] = demand[host[1]] = 10;
  // Nobody is expected to use these: the oldest of them go, and what is demanded stays though it is older.
  packet(host[6]);
  packet(host[7]);
  for (const int i : {0, 1, 4, 5, 6, 7}) EXPECT_TRUE(residency.Holds(host[static_cast<std::size_t>(i)])) << i;
  EXPECT_FALSE(residency.Holds(host[2]));

  // As much on five slots is less than on one: it is not written, and nothing goes for it.
  demand[wide] = 10;
  EXPECT_FALSE(packet(wide));
  EXPECT_FALSE(residency.Holds(wide));
  for (const int i : {0, 1, 4, 5, 6, 7}) EXPECT_TRUE(residency.Holds(host[static_cast<std::size_t>(i)])) << i;
  // A little more a slot is not enough either: a write must be worth it.
  demand[wide] = 60;
  packet(wide);
  EXPECT_FALSE(residency.Holds(wide));
  demand[wide] = 65;
  packet(wide);
  EXPECT_TRUE(residency.Holds(wide));

  // So it is with predictions, which may take more than half where they are demanded.
  demand[host[8]] = 15;
  EXPECT_FALSE(residency.Predict({host[8], true, 65535}, now, work) && !residency.Holds(wide));
  demand[host[9]] = 17;
  demand[host[0]] = demand[host[1]] = 70;
  EXPECT_TRUE(residency.Predict({host[9], true, 65535}, now, work));
  EXPECT_TRUE(residency.Holds(host[9]));
}

TEST(RuleResidency, DemandNeverBreaksTheTable) {
  constexpr std::uint64_t kSeed = 17;
  SCOPED_TRACE("seed 17");
  RuleDice dice(kSeed);
  const std::vector<Rule> rules = dice.Rules(120);
  const CoverPlan plan(rules);
  for (const std::size_t slots : {1u, 3u, 10u, 40u}) {
    std::vector<std::uint64_t> demand(plan.size());
    const auto policy = MakePolicy(Residency::kLru, plan, 1, {});
    RuleResidency::Config config;
    config.slots = slots;
    config.writes_per_second = 1'000'000;
    config.demand = &demand;
    RuleResidency residency(plan, *policy, config);
    Nanos now;
    Work work;
    for (int i = 0; i < 5000; ++i) {
      now = now + Micros(100);
      const auto rank = static_cast<std::uint32_t>(dice.Below(plan.size()));
      demand[dice.Below(plan.size())] = dice.Below(3);
      if (dice.OneIn(2)) {
        residency.Predict({rank, dice.OneIn(2), 65535}, now, work);
      } else {
        policy->See(rank, now, 0);
        residency.Want(rank, now, work);
        if (!residency.Holds(rank)) residency.Miss(rank, dice.OneIn(2), now, work);
      }
      ASSERT_LE(residency.table().slots() - residency.table().free_slots(), slots) << "step " << i;
    }
    // All that is held can go again: nothing was lost from the books.
    std::size_t held = 0;
    for (std::uint32_t rank = 0; rank < plan.size(); ++rank) held += residency.Holds(rank) ? 1 : 0;
    EXPECT_GT(held, 0u);
    std::fill(demand.begin(), demand.end(), std::uint64_t{0});
    std::size_t hits = 0;
    for (std::uint32_t rank = 0; rank < plan.size(); ++rank) {
      now = now + Micros(100);
      policy->See(rank, now, 0);
      residency.Want(rank, now, work);
      if (!residency.Holds(rank)) residency.Miss(rank, true, now, work);
      hits += residency.Holds(rank) ? 1 : 0;
    }
    EXPECT_GT(hits, held / 2);
  }
}

// The most packets of `uses` that a table of `slots` can decide where a rule is written on a miss or not at
// all: every choice of what to write and what to give up for it, by exhaustion.
class Exhaustive {
 public:
  Exhaustive(const CoverPlan& plan, std::size_t slots, const std::vector<std::uint32_t>& uses)
      : plan_(plan), slots_(slots), uses_(uses) {}
  std::size_t MostHits() { return From(0, 0); }

 private:
  using Set = std::uint32_t;  // bit i: rank i
  std::size_t SlotsOf(Set held) const {
    std::set<std::uint32_t> shared;
    std::size_t merged = 0;
    for (std::uint32_t rank = 0; rank < plan_.size(); ++rank) {
      if ((held >> rank & 1) == 0) continue;
      shared.insert(rank);
      for (std::size_t i = 0; i < plan_.cover_count(rank); ++i) {
        const CoverPlan::Cover& cover = plan_.covers(rank)[i];
        if (cover.shared == CoverPlan::kNone) {
          ++merged;
        } else {
          shared.insert(cover.shared);
        }
      }
    }
    return shared.size() + merged;
  }
  std::size_t From(std::size_t at, Set held) {
    if (at == uses_.size()) return 0;
    const auto known = known_.find({at, held});
    if (known != known_.end()) return known->second;
    const Set used = 1u << uses_[at];
    std::size_t most = 0;
    if ((held & used) != 0) {
      most = 1 + From(at + 1, held);
    } else {
      most = From(at + 1, held);
      for (Set kept = held;; kept = (kept - 1) & held) {
        if (SlotsOf(kept | used) <= slots_) most = std::max(most, From(at + 1, kept | used));
        if (kept == 0) break;
      }
    }
    known_[{at, held}] = most;
    return most;
  }
  const CoverPlan& plan_;
  std::size_t slots_;
  const std::vector<std::uint32_t>& uses_;
  std::map<std::pair<std::size_t, Set>, std::size_t> known_;
};

std::size_t HitsOf(const CoverPlan& plan, std::size_t slots, const std::vector<std::uint32_t>& uses,
                   bool knows_future) {
  std::vector<std::uint64_t> next(uses.size(), UINT64_MAX), first(plan.size(), UINT64_MAX);
  for (std::size_t i = uses.size(); i-- > 0;) {
    next[i] = first[uses[i]];
    first[uses[i]] = i;
  }
  Table table(plan, knows_future ? MakeBeladyPolicy(first) : MakePolicy(Residency::kLru, plan, 1, {}), slots,
              knows_future);
  std::size_t hits = 0;
  for (std::size_t i = 0; i < uses.size(); ++i) hits += table.Packet(uses[i], next[i]) ? 1 : 0;
  return hits;
}

TEST(RuleResidency, BeladyIsOptimalWithoutCoversAndNearlyWithThem) {
  std::size_t optimum = 0, belady = 0, lru = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE(seed);
    RuleDice dice(seed);
    const bool has_covers = seed % 2 == 0;
    const std::vector<Rule> rules = has_covers ? dice.Rules(7) : Hosts(7);
    const CoverPlan plan(rules);
    const std::size_t slots = 2 + dice.Below(3);
    std::vector<std::uint32_t> uses;
    while (uses.size() < 24) {
      const auto rank = static_cast<std::uint32_t>(dice.Below(7));
      if (plan.IsWorthHolding(rank)) uses.push_back(rank);
    }
    const std::size_t most = Exhaustive(plan, slots, uses).MostHits();
    const std::size_t hits = HitsOf(plan, slots, uses, true);
    ASSERT_LE(hits, most);
    if (!has_covers) {
      ASSERT_EQ(hits, most);
      continue;
    }
    optimum += most;
    belady += hits;
    lru += HitsOf(plan, slots, uses, false);
  }
  RecordProperty("belady_of_optimum",
                 std::to_string(static_cast<double>(belady) / static_cast<double>(optimum)));
  EXPECT_GT(belady * 100, optimum * 90);
  EXPECT_LT(lru, belady);
}

}  // namespace
}  // namespace foreflow::rules
