// SPDX-License-Identifier: BSD-3-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/rules/flow_cache.h"
#include "models/rules/id_index.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"

namespace foreflow::rules {
namespace {

using ::testing::HasSubstr;

struct Packet {
  flow::FlowKey key;
  wire::VlanKey vlan = wire::kNoVlan;
};

Decision Classify(const RuleTable& table, const Packet& packet) {
  Work work;
  return table.Classify(packet.key, packet.vlan, work);
}

std::vector<Rule> Sorted(std::vector<Rule> rules) {
  std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.id < b.id; });
  return rules;
}

std::vector<std::uint32_t> Ids(const std::vector<Rule>& rules) {
  std::vector<std::uint32_t> ids;
  for (const Rule& rule : rules) ids.push_back(rule.id);
  return ids;
}

// The header's words on a plain vector.
void ApplyTo(std::vector<Rule>& rules, const RuleBatch& batch) {
  for (const RuleChange& change : batch.changes) {
    const auto found =
        std::find_if(rules.begin(), rules.end(), [&](const Rule& r) { return r.id == change.rule.id; });
    if (change.operation == RuleOperation::kInsert) rules.push_back(change.rule);
    if (change.operation == RuleOperation::kModify) *found = change.rule;
    if (change.operation == RuleOperation::kErase) rules.erase(found);
  }
}

RuleBatch RandomBatch(RuleDice& dice, std::vector<Rule> rules, std::uint64_t generation, std::size_t changes,
                      std::size_t most_rules) {
  RuleBatch batch;
  batch.generation = generation;
  for (std::size_t i = 0; i < changes; ++i) {
    RuleChange change;
    const bool has_room = rules.size() < most_rules;
    if (rules.empty() || (has_room && dice.OneIn(2))) {
      do {
        change.rule = dice.RandomRule(static_cast<std::uint32_t>(dice.Below(4 * most_rules)));
      } while (
          std::any_of(rules.begin(), rules.end(), [&](const Rule& r) { return r.id == change.rule.id; }));
    } else {
      const Rule& present = rules[dice.Below(rules.size())];
      change.operation = dice.OneIn(2) ? RuleOperation::kErase : RuleOperation::kModify;
      change.rule = present;
      if (dice.OneIn(2)) {
        change.rule.action = dice.RandomAction();
      } else if (change.operation == RuleOperation::kModify) {
        change.rule = dice.RandomRule(present.id);
      }
    }
    RuleBatch one;
    one.changes.push_back(change);
    ApplyTo(rules, one);
    batch.changes.push_back(change);
  }
  return batch;
}

// Random rule sets, changed again and again, under a flow cache that is never emptied: each packet's
// decision, from the cache or from the table, is the linear scan's over the rules of that moment.
void CompareUpdates(std::uint64_t first_seed, std::uint64_t cases) {
  std::uint64_t hits = 0;
  std::uint64_t old_hits = 0;
  std::uint64_t done = 0;
  for (std::uint64_t seed = first_seed; done < cases; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleDice dice(seed);
    std::vector<Rule> rules = dice.Rules(dice.Below(16));
    RuleTable table;
    table.Load(rules);
    const std::uint64_t capacity = 1 + dice.Below(300);
    const VmBound bound{1 + dice.Below(2 * capacity), dice.Below(RuleDice::kVms + 1)};
    FlowCache cache(capacity, seed, bound);
    std::vector<Packet> known(100);
    for (Packet& packet : known) packet = {dice.Key(), dice.Vlan()};
    const std::size_t most_rules = 4 + dice.Below(24);
    Work work;
    for (int round = 0; round < 40; ++round) {
      if (dice.OneIn(40)) {
        rules = dice.Rules(dice.Below(16));
        table.Load(rules);
      } else if (round > 0) {
        const RuleBatch batch =
            RandomBatch(dice, rules, table.generation(), dice.OneIn(20) ? 0 : 1 + dice.Below(3), most_rules);
        const std::uint64_t before = table.generation();
        table.Apply(batch);
        ASSERT_GT(table.generation(), before);
        ApplyTo(rules, batch);
        ASSERT_EQ(table.size(), rules.size());
      }
      const std::uint64_t packets = dice.Below(200);
      for (std::uint64_t n = 0; n < packets; ++n, ++done) {
        const Packet& packet = known[dice.Below(known.size())];
        const Decision expected = ClassifyByLinearScan(rules, packet.key, packet.vlan);
        const EntryKey entry = table.EntryKeyOf(packet.key, packet.vlan, work);
        FlowCache::Hit hit;
        Work lookup;
        if (cache.Lookup(entry, table.changes(), Nanos(0), hit, lookup)) {
          ++hits;
          if (lookup[WorkItem::kUpdate] > 1) ++old_hits;  // stamped anew
          ASSERT_EQ(hit.decision, expected);
          ASSERT_TRUE(cache.Contains(entry, table.changes()));
          continue;
        }
        ASSERT_EQ(table.Classify(packet.key, packet.vlan, work), expected);
        ASSERT_EQ(table.Classify(entry.fields, entry.vlan, work), expected);
        const auto cause = dice.OneIn(4) ? InstallCause::kPredicted : InstallCause::kMiss;
        cache.Put({entry, expected, Nanos(0), cause, 0}, table.changes(), work);
      }
      ASSERT_LE(cache.unused_predictions(), cache.unused_prediction_limit());
    }
  }
  EXPECT_GT(hits, cases / 10);
  EXPECT_GT(old_hits, cases / 100);
}

TEST(RuleUpdates, CacheAndTableAgreeWithLinearScanAfterEveryUpdate) { CompareUpdates(1, 1'000'000); }

TEST(RuleUpdates, LongMode) {
  if (std::getenv("FOREFLOW_LONG") == nullptr) GTEST_SKIP() << "set FOREFLOW_LONG for 10^8 cases";
  CompareUpdates(1u << 20, 100'000'000);
}

// More masks than there are tuples, and rebuilds: thousands of rules come and go.
TEST(RuleUpdates, ManyRulesComeAndGo) {
  RuleDice dice(5);
  std::vector<Rule> rules = dice.Rules(2000);
  RuleTable table;
  table.Load(rules);
  for (int round = 0; round < 60; ++round) {
    const RuleBatch batch = RandomBatch(dice, rules, table.generation(), 100, 2500);
    table.Apply(batch);
    ApplyTo(rules, batch);
    std::vector<flow::FlowKey> keys(RuleTable::kBurst);
    for (flow::FlowKey& key : keys) key = dice.Key();
    std::vector<Decision> decisions(keys.size());
    Work work;
    table.ClassifyBurst(keys.data(), keys.size(), decisions.data(), work);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Decision expected = ClassifyByLinearScan(rules, keys[i]);
      ASSERT_EQ(decisions[i], expected);
      ASSERT_EQ(Classify(table, {keys[i]}), expected);
      const wire::VlanKey vlan = dice.Vlan();
      ASSERT_EQ(Classify(table, {keys[i], vlan}), ClassifyByLinearScan(rules, keys[i], vlan));
    }
  }
  EXPECT_LE(table.tuples(), 3 * TupleSpace<2>::kTuples);
  EXPECT_EQ(Ids(table.Rules()), Ids(Sorted(rules)));
}

// Against a list of all changes, judged one after the other by the linear scan: what holds, and how many are
// looked at.
TEST(RuleUpdates, ChangesConcernWhatTheyDoOneByOne) {
  struct Seen {
    std::uint64_t generation;
    bool came;
    Rule rule;
  };
  std::size_t concerned = 0, unconcerned = 0, unknown = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleDice dice(seed);
    RuleChanges changes;
    std::vector<Seen> all;
    for (int round = 0; round < 1500; ++round) {
      changes.Begin();
      for (std::uint64_t n = dice.Below(5); n > 0; --n) {
        Seen seen{changes.generation(), dice.OneIn(2),
                  dice.RandomRule(static_cast<std::uint32_t>(dice.Below(2000)))};
        seen.came ? changes.Came(seen.rule) : changes.Went(seen.rule.id);
        all.push_back(seen);
      }
      for (int check = 0; check < 4; ++check) {
        const EntryKey key{dice.Key(), dice.Vlan()};
        Decision decision;
        if (!dice.OneIn(4)) decision.rule = static_cast<std::uint32_t>(dice.Below(2000));
        const std::uint64_t since =
            changes.generation() - dice.Below(std::min<std::uint64_t>(changes.generation(), 600) + 1);
        constexpr std::size_t kKept = RuleChanges::kChanges;
        bool holds = all.size() <= kKept || all[all.size() - kKept - 1].generation <= since;
        if (!holds) ++unknown;
        std::uint32_t compared = 0;
        for (auto seen = all.rbegin(); holds && seen != all.rend() && seen->generation > since; ++seen) {
          ++compared;
          holds = seen->came ? ClassifyByLinearScan({seen->rule}, key.fields, key.vlan).rule == kNoRule
                             : seen->rule.id != decision.rule;
        }
        Work work;
        ASSERT_EQ(changes.Holds(key, decision, since, work), holds);
        ASSERT_EQ(work[WorkItem::kRuleCompare], compared);
        ++(holds ? unconcerned : concerned);
      }
    }
  }
  EXPECT_GT(concerned, 5000u);
  EXPECT_GT(unconcerned, 3000u);
  EXPECT_GT(unknown, 100u);
}

TEST(RuleUpdates, UpdatesOfOtherRulesLeaveEntriesAlone) {
  Rule web;
  web.id = 1;
  web.l3 = 2;
  web.destination = {{10, 0, 0, 0}, 8};
  web.action.verb = Verb::kForward;
  RuleTable table;
  table.Load({web});
  flow::FlowKey key;
  key.l3 = 2;
  key.destination_address = {10, 0, 0, 1};
  key.destination_port = 80;
  Work work;
  FlowCache cache(8);
  cache.Put({table.EntryKeyOf(key, work), table.Classify(key, work), Nanos(0), InstallCause::kMiss, 0},
            table.changes(), work);
  Rule other = web;
  other.destination = {{11, 0, 0, 0}, 8};
  for (std::uint32_t i = 0; i < RuleChanges::kChanges; ++i) {
    other.id = 2 + i;
    table.Apply({table.generation(), {{RuleOperation::kInsert, other}}});
  }
  Work lookup;
  FlowCache::Hit hit;
  EXPECT_TRUE(cache.Lookup(table.EntryKeyOf(key, work), table.changes(), Nanos(0), hit, lookup));
  EXPECT_EQ(lookup[WorkItem::kRuleCompare], RuleChanges::kChanges);
  Work again;
  EXPECT_TRUE(cache.Lookup(table.EntryKeyOf(key, work), table.changes(), Nanos(0), hit, again));
  EXPECT_EQ(again[WorkItem::kRuleCompare], 0u);

  // One more than the log holds.
  for (std::uint32_t i = 0; i <= RuleChanges::kChanges; ++i) {
    other.id = 5000 + i;
    table.Apply({table.generation(), {{RuleOperation::kInsert, other}}});
  }
  EXPECT_FALSE(cache.Lookup(table.EntryKeyOf(key, work), table.changes(), Nanos(0), hit, work));
}

// Against a map: ids that come and go, runs of them, and ids whose slots meet.
TEST(IdIndex, FindsWhatAMapFinds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleDice dice(seed);
    const std::uint64_t stride = std::uint64_t{1} << (8 * (seed - 1));
    std::map<std::uint32_t, IdIndex::Position> naive;
    IdIndex index;
    if (seed % 2 == 0) index.Reserve(100);
    for (int step = 0; step < 40'000; ++step) {
      const auto id = static_cast<std::uint32_t>(dice.Below(200) * stride);
      if (dice.OneIn(2)) {
        const auto position = static_cast<IdIndex::Position>(dice.Below(1000));
        index.Set(id, position);
        naive[id] = position;
      } else if (naive.count(id) != 0) {
        index.Erase(id);
        naive.erase(id);
      }
      const auto asked = static_cast<std::uint32_t>(dice.Below(200) * stride);
      const auto found = naive.find(asked);
      ASSERT_EQ(index.Find(asked), found == naive.end() ? IdIndex::kNone : found->second) << "step " << step;
    }
  }
}

TEST(RuleUpdates, ARefusedBatchChangesNothing) {
  RuleDice dice(3);
  const std::vector<Rule> rules = dice.Rules(20);
  RuleTable table;
  table.Load(rules);
  Rule good = dice.RandomRule(1000);
  Rule bad = dice.RandomRule(1001);
  bad.action.queue = 9;
  const std::uint64_t now = table.generation();
  const std::uint32_t present = rules.front().id;
  Rule absent = good;
  absent.id = 999;
  struct Case {
    RuleBatch batch;
    std::string named;
  };
  Rule again = good;
  again.id = present;
  const std::vector<Case> kCases = {
      {{now + 1, {{RuleOperation::kInsert, good}}}, "generation is"},
      {{now, {{RuleOperation::kInsert, good}, {RuleOperation::kInsert, bad}}}, "queue is 9"},
      {{now, {{RuleOperation::kInsert, good}, {RuleOperation::kInsert, good}}}, "not there yet"},
      {{now, {{RuleOperation::kInsert, good}, {RuleOperation::kInsert, again}}}, "not there yet"},
      {{now, {{RuleOperation::kInsert, good}, {RuleOperation::kErase, absent}}}, "rule that is there"},
      {{now, {{RuleOperation::kInsert, good}, {RuleOperation::kModify, absent}}}, "rule that is there"},
      {{now, {{RuleOperation::kInsert, good}, {static_cast<RuleOperation>(3), good}}}, "operation is 3"},
  };
  for (const Case& bad_case : kCases) {
    SCOPED_TRACE(bad_case.named);
    try {
      table.Apply(bad_case.batch);
      FAIL() << "not refused";
    } catch (const Refusal& refusal) {
      EXPECT_THAT(refusal.what(), HasSubstr(bad_case.named));
    }
    EXPECT_EQ(table.generation(), now);
    EXPECT_EQ(Ids(table.Rules()), Ids(Sorted(rules)));
  }
}

// A tenant's masks are bounded, and the counts survive refusals.
TEST(RuleUpdates, AVmsMasksAndRulesAreBounded) {
  RuleLimits limits;
  limits.masks_per_vm = 3;
  limits.rules_per_vm = 5;
  limits.rules = 8;
  RuleTable table(limits);
  std::uint32_t id = 0;
  const auto rule = [&](flow::VmId vm, std::uint8_t length) {
    Rule r;
    r.id = id++;
    r.l3 = 2;
    r.vm = vm;
    r.destination.length = length;
    return RuleChange{RuleOperation::kInsert, r};
  };
  const auto refusal_of = [&](const RuleBatch& batch) -> std::string {
    try {
      table.Apply(batch);
    } catch (const Refusal& refusal) {
      return refusal.what();
    }
    return "";
  };
  EXPECT_EQ(refusal_of({table.generation(), {rule(1, 8), rule(1, 9), rule(1, 10)}}), "");
  EXPECT_THAT(refusal_of({table.generation(), {rule(2, 8), rule(1, 11)}}),
              HasSubstr("rules of vm 1: number of different masks is 4, allowed: 0..3"));
  EXPECT_EQ(refusal_of({table.generation(), {rule(1, 8), rule(1, 9), rule(2, 20)}}), "");
  EXPECT_THAT(refusal_of({table.generation(), {rule(1, 8)}}), HasSubstr("rules of vm 1: number is 6"));
  Rule gone;
  gone.id = 2;  // the only one of its mask
  EXPECT_EQ(refusal_of({table.generation(), {{RuleOperation::kErase, gone}, rule(1, 12)}}), "");
  EXPECT_THAT(refusal_of({table.generation(), {rule(3, 1), rule(kAnyVm, 1), rule(kAnyVm, 1)}}),
              HasSubstr("rules: number is 9"));
  EXPECT_EQ(table.size(), 6u);
}

// A tenant brings 2000 rules of as many shapes as it can: its own packets pay, no other VM's.
TEST(RuleUpdates, OneVmsMasksCostOthersNothing) {
  RuleDice dice(8);
  std::vector<Rule> rules = dice.Rules(60);
  for (Rule& rule : rules) rule.vm = kAnyVm;
  RuleTable table;
  table.Load(rules);
  std::vector<flow::FlowKey> keys(400);
  for (flow::FlowKey& key : keys) {
    key = dice.Key();
    key.vm = 1;
  }
  const auto work_of = [&] {
    Work work;
    for (const flow::FlowKey& key : keys) table.Classify(key, work);
    return work;
  };
  const Work before = work_of();
  RuleBatch batch;
  batch.generation = table.generation();
  for (std::uint32_t i = 0; i < 2000; ++i) {
    Rule rule = dice.RandomRule(10'000 + i);
    rule.vm = 2;
    rule.l3 = 2;
    rule.priority = 100;
    rule.source = {{10, static_cast<std::uint8_t>(i)}, static_cast<std::uint8_t>(i % 33)};
    rule.destination = {{10}, static_cast<std::uint8_t>(i / 33 % 33)};
    batch.changes.push_back({RuleOperation::kInsert, rule});
  }
  table.Apply(batch);
  const Work after = work_of();
  EXPECT_LE(after[WorkItem::kHash], before[WorkItem::kHash]);
  EXPECT_LE(after[WorkItem::kRuleCompare], before[WorkItem::kRuleCompare]);

  for (flow::FlowKey& key : keys) key.vm = 2;
  for (const flow::FlowKey& key : keys) {
    Work work;
    table.Classify(key, work);
    EXPECT_LE(work[WorkItem::kHash], 3 * TupleSpace<2>::kTuples);
  }
}

}  // namespace
}  // namespace foreflow::rules
