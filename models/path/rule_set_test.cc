// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/rule_set.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/path/lanes.h"
#include "models/rules/table_pair.h"
#include "models/rules/test_rules.h"

namespace foreflow::path {
namespace {

PathConfig RuleSetConfig(Arm arm) {
  PathConfig config;
  config.arm = arm;
  config.vms = rules::RuleDice::kVms;
  config.flow_entries = 32;
  config.install_latency = Nanos(1);
  return config;
}

TEST(RuleSet, EveryPacketIsDecidedByTheRulesInUseThen) {
  for (const Arm arm : {Arm::kOff, Arm::kReactive, Arm::kPredictive}) {
    const std::uint64_t seed = 11 + static_cast<std::uint64_t>(arm);
    SCOPED_TRACE("seed " + std::to_string(seed));
    rules::RuleDice dice(seed);
    PathConfig config = RuleSetConfig(arm);
    config.rules = rules::WithoutMeters(dice.Rules(40));
    PacketPath path(config, nullptr);
    std::vector<flow::FlowKey> keys;
    for (int i = 0; i < 60; ++i) keys.push_back(dice.Key());  // few: entries are hit before and after
    std::vector<rules::Rule> in_use = config.rules;
    std::uint64_t hits = 0;
    std::uint64_t changes = 0;
    std::optional<rules::TablePair> pair;
    std::uint32_t new_id = 1000;
    for (int i = 0; i < 20'000; ++i) {
      if (dice.OneIn(1000)) {
        PathConfig next = config;
        next.rules = rules::WithoutMeters(dice.Rules(1 + dice.Below(60)));
        RuleSet set(next);
        path.SwapRules(set);
        pair.reset();
        in_use = next.rules;
        ++changes;
      } else if (dice.OneIn(200)) {
        rules::RuleBatch batch;
        batch.generation = path.rules().generation();
        const std::size_t at = dice.Below(in_use.size());
        batch.changes.push_back({rules::RuleOperation::kErase, in_use[at]});
        in_use.erase(in_use.begin() + static_cast<std::ptrdiff_t>(at));
        in_use.push_back(rules::WithoutMeters({dice.RandomRule(new_id++)})[0]);
        batch.changes.push_back({rules::RuleOperation::kInsert, in_use.back()});
        if (!pair && dice.OneIn(2)) {
          path.ApplyRules(batch);
        } else {
          path.CheckRules(batch);
          if (!pair) pair.emplace(path.rules());
          pair->Apply(batch);
          path.AdoptRules(pair->published());
          pair->CatchUp();
          if (dice.OneIn(2)) path.AdoptRules(pair->published());
        }
        ++changes;
      }
      Arrival arrival;
      arrival.time = arrival.sent = Micros(i);
      arrival.wire_bytes = 100;
      Parsed parsed;
      parsed.key = keys[dice.Below(keys.size())];
      if (dice.OneIn(8)) parsed.packet.outer_vlan = dice.Vlan();
      parsed.decidable = true;
      arrival.vm = parsed.key.vm;
      Verdict verdict;
      StageWork work;
      const Job job{&arrival, &parsed, &verdict, &work};
      path.Process(&job, 1);
      const rules::Decision expected =
          rules::ClassifyByLinearScan(in_use, parsed.key, parsed.packet.outer_vlan);
      ASSERT_EQ(verdict.verb, expected.action.verb) << "packet " << i;
      ASSERT_EQ(verdict.rule, expected.rule) << "packet " << i;
      if (verdict.reason == Reason::kCacheHit) ++hits;
    }
    EXPECT_GT(changes, 50u);
    if (arm != Arm::kOff) {
      EXPECT_GT(hits, 1000u);
    }
  }
}

TEST(RuleSet, ADeviceThatHoldsAllRulesSendsTheirTrapsAloneToTheHost) {
  const std::uint64_t seed = 21;
  SCOPED_TRACE("seed " + std::to_string(seed));
  rules::RuleDice dice(seed);
  PathConfig config = RuleSetConfig(Arm::kReactive);
  config.flow_entries = 0;
  config.holds_rules = true;
  config.lanes = 2;
  config.rules = rules::WithoutMeters(dice.Rules(40));
  Lanes path(config, nullptr);
  std::uint64_t traps = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (i % 500 == 499) {
      config.rules = rules::WithoutMeters(dice.Rules(1 + dice.Below(60)));
      path.ReplaceRules(config);
    } else if (i % 100 == 99) {
      const std::size_t at = dice.Below(config.rules.size());
      const rules::Rule changed = rules::WithoutMeters({dice.RandomRule(config.rules[at].id)})[0];
      path.ApplyRules({path.rules().generation(), {{rules::RuleOperation::kModify, changed}}});
      config.rules[at] = changed;
    }
    Arrival arrival;
    arrival.time = arrival.sent = Micros(i);
    arrival.wire_bytes = 100;
    Parsed parsed;
    parsed.key = dice.Key();
    parsed.decidable = true;
    arrival.vm = parsed.key.vm;
    Tagged tagged;
    Verdict verdict;
    StageWork work;
    path.HostSide(arrival, parsed, tagged, work);
    path.DeviceSide(arrival, tagged, verdict, work);
    const rules::Decision expected = rules::ClassifyByLinearScan(config.rules, parsed.key);
    ASSERT_EQ(verdict.verb, expected.action.verb) << "packet " << i;
    ASSERT_EQ(verdict.rule, expected.rule) << "packet " << i;
    ASSERT_EQ(verdict.punted, expected.action.verb == rules::Verb::kTrap) << "packet " << i;
    traps += verdict.punted ? 1 : 0;
  }
  EXPECT_GT(traps, 100u);
  EXPECT_EQ(path.counters().punts, traps);
  config.arm = Arm::kPredictive;
  EXPECT_THROW(Lanes(config, nullptr), Refusal);
}

tag::MeterConfig Meter(std::uint64_t rate) {
  tag::MeterConfig meter;
  meter.committed_rate = meter.peak_rate = BitsPerSecond(rate);
  meter.committed_burst = meter.peak_burst = Bytes(1000);
  return meter;
}

TEST(RuleSet, AMeterThatStaysKeepsItsTokensAndAnotherBeginsFull) {
  PathConfig config;
  config.meters = {Meter(8000), Meter(8000)};
  RuleSet used(config);
  for (tag::Meter& meter : used.meters) EXPECT_EQ(meter.Mark(Nanos(), 1000), tag::Colour::kGreen);

  PathConfig next = config;
  next.meters[1] = Meter(9000);
  RuleSet set(next);
  used.Swap(set);
  EXPECT_EQ(used.meters[0].Mark(Nanos(), 1000), tag::Colour::kRed);
  EXPECT_EQ(used.meters[1].Mark(Nanos(), 1000), tag::Colour::kGreen);
}

TEST(RuleSet, GenerationsRiseWhateverIsSwapped) {
  const PathConfig config;
  RuleSet used(config);
  std::uint64_t last = used.rules.generation();
  RuleSet set(config);
  for (int i = 0; i < 5; ++i) {
    used.Swap(set);  // back and forth between the same two
    EXPECT_GT(used.rules.generation(), last);
    last = used.rules.generation();
  }
}

TEST(RuleSet, RefusesAMeterThatIsNotDefined) {
  PathConfig config;
  rules::Rule rule;
  rule.id = 9;
  rule.action.meter = 0;
  config.rules = {rule};
  EXPECT_THROW(RuleSet{config}, Refusal);
  config.meters = {Meter(8000)};
  EXPECT_NO_THROW(RuleSet{config});
}

}  // namespace
}  // namespace foreflow::path
