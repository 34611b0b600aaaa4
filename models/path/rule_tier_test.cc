// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/rule_tier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/path/lanes.h"
#include "models/path/packet_path.h"
#include "models/path/test_traffic.h"
#include "models/rules/test_rules.h"

namespace foreflow::path {
namespace {

using rules::Residency;

constexpr Residency kReactive[] = {Residency::kLru, Residency::kLfu, Residency::kRebalance,
                                   Residency::kRandom, Residency::kGreedy};

PathConfig Config(Arm arm, Residency residency, std::uint32_t slots, std::uint32_t flow_entries) {
  PathConfig config;
  config.arm = arm;
  config.vms = rules::RuleDice::kVms;
  config.flow_entries = flow_entries;
  config.rule_slots = slots;
  config.residency = residency;
  config.install_latency = Micros(3);
  return config;
}

TEST(RuleTier, EveryPacketIsDecidedAsByTheFullSet) {
  std::uint64_t seed = 100;
  for (const Arm arm : {Arm::kReactive, Arm::kPredictive}) {
    for (const Residency residency : kReactive) {
      for (const std::uint32_t flow_entries : {0u, 6u}) {
        SCOPED_TRACE("seed " + std::to_string(++seed));
        rules::RuleDice dice(seed);
        PathConfig config = Config(arm, residency, 12, flow_entries);
        config.rules = rules::WithoutMeters(dice.Rules(40));
        PacketPath path(config, nullptr);
        std::vector<flow::FlowKey> keys;
        for (int i = 0; i < 60; ++i) keys.push_back(dice.Key());
        std::vector<rules::Rule> in_use = config.rules;
        std::uint64_t by_rule = 0, by_entry = 0;
        for (int i = 0; i < 10'000; ++i) {
          if (dice.OneIn(2000)) {
            PathConfig next = config;
            next.rules = rules::WithoutMeters(dice.Rules(1 + dice.Below(60)));
            RuleSet set(next);
            path.SwapRules(set);
            in_use = next.rules;
          }
          Arrival arrival;
          arrival.time = Micros(i);
          arrival.sent = Millis(i);
          arrival.wire_bytes = 100;
          Parsed parsed;
          // Some keys far more often than others.
          parsed.key = keys[dice.Below(1 + dice.Below(keys.size()))];
          parsed.packet.outer_vlan = dice.Vlan();
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
          if (verdict.reason == Reason::kRuleHit) ++by_rule;
          if (verdict.reason == Reason::kCacheHit) ++by_entry;
          if (verdict.reason == Reason::kRuleMiss || verdict.reason == Reason::kRuleCover) {
            ASSERT_TRUE(verdict.punted);
          }
        }
        EXPECT_GT(by_rule, 50u);
        EXPECT_EQ(by_entry > 0, flow_entries > 0);
        EXPECT_EQ(path.counters().packets, 10'000u);
      }
    }
  }
}

// A rule for each of `services` hosts, above one that permits all.
std::vector<rules::Rule> RulesFor(std::uint8_t services) {
  std::vector<rules::Rule> rules;
  for (std::uint8_t service = 0; service < services; ++service) {
    rules::Rule rule;
    rule.id = service + 10u;
    rule.priority = 5;
    rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
    rule.destination.address = {10, 0, 0, static_cast<std::uint8_t>(100 + service)};
    rule.destination.length = 32;
    rule.action.verb = rules::Verb::kForward;
    rules.push_back(rule);
  }
  return rules;
}

// Services in a fixed round, each for three packets.
Traffic ServicesInTurn(std::size_t visits, std::uint8_t services) {
  Traffic traffic;
  for (std::size_t i = 0; i < 3 * visits; ++i) {
    traffic.Udp(1, static_cast<std::uint8_t>(100 + i / 3 % services), 40000, 53,
                Micros(static_cast<int>(i) * 20));
  }
  return traffic;
}

// In an order without law.
Traffic Shuffled(std::size_t visits, std::uint8_t services) {
  Traffic traffic;
  rules::RuleDice dice(5);
  std::uint8_t service = 0;
  for (std::size_t i = 0; i < 3 * visits; ++i) {
    if (i % 3 == 0) service = static_cast<std::uint8_t>(dice.Below(services));
    traffic.Udp(1, static_cast<std::uint8_t>(100 + service), 40000, 53, Micros(static_cast<int>(i) * 20));
  }
  return traffic;
}

std::uint64_t Punts(const PathConfig& config, Traffic traffic, std::size_t burst = kBurst) {
  const std::vector<Arrival>& arrivals = traffic.arrivals();
  const Future future(arrivals, config.label_horizon);
  PacketPath path(config, &future);
  std::vector<Verdict> verdicts(arrivals.size());
  std::vector<StageWork> work(arrivals.size());
  std::uint64_t punts = 0;
  for (std::size_t i = 0; i < arrivals.size(); i += burst) {
    const std::size_t count = std::min(burst, arrivals.size() - i);
    path.Process(&arrivals[i], count, &verdicts[i], &work[i]);
  }
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    const rules::Decision expected = rules::ClassifyByLinearScan(config.rules, Parse(arrivals[i]).key);
    EXPECT_EQ(verdicts[i].rule, expected.rule);
    punts += verdicts[i].punted ? 1 : 0;
  }
  EXPECT_EQ(punts, path.counters().punts);
  return punts;
}

TEST(RuleTier, PredictedRulesAreThereBeforeTheirPackets) {
  constexpr std::size_t kVisits = 4000;
  PathConfig config = Config(Arm::kReactive, Residency::kLru, 16, 0);
  config.rules = RulesFor(40);
  const std::uint64_t reactive = Punts(config, ServicesInTurn(kVisits, 40));
  EXPECT_EQ(reactive, kVisits);  // LRU's worst case: the first packet of every visit
  config.arm = Arm::kPredictive;
  const std::uint64_t predictive = Punts(config, ServicesInTurn(kVisits, 40));
  config.arm = Arm::kOracle;
  const std::uint64_t oracle = Punts(config, ServicesInTurn(kVisits, 40));
  EXPECT_LT(oracle, 10u);
  EXPECT_LT(predictive, kVisits / 5);
}

TEST(RuleTier, WrongPredictionsCostLittle) {
  constexpr std::size_t kVisits = 4000;
  for (const Residency residency : kReactive) {
    SCOPED_TRACE(static_cast<int>(residency));
    PathConfig config = Config(Arm::kReactive, residency, 16, 0);
    config.rules = RulesFor(40);
    const std::uint64_t reactive = Punts(config, Shuffled(kVisits, 40));
    config.arm = Arm::kAntiOracle;
    EXPECT_LE(Punts(config, Shuffled(kVisits, 40)), reactive + reactive / 100);
    // Nor where there is nothing to be predicted.
    config.arm = Arm::kPredictive;
    EXPECT_LE(Punts(config, Shuffled(kVisits, 40)), reactive + reactive / 100);
  }
}

TEST(RuleTier, ABurstOfOneGivesTheSame) {
  for (const Residency residency : kReactive) {
    PathConfig config = Config(Arm::kPredictive, residency, 16, 3);
    config.rules = RulesFor(40);
    EXPECT_EQ(Punts(config, ServicesInTurn(1000, 40), 1), Punts(config, ServicesInTurn(1000, 40)));
  }
}

TEST(RuleTier, SendersOfMoreAddressesThanAProfileKeepsAreServedToo) {
  for (const Arm arm : {Arm::kPredictive, Arm::kAntiOracle}) {
    PathConfig config = Config(arm, Residency::kLru, 16, 0);
    config.peers_per_vm = 8;
    config.rules = RulesFor(40);
    Traffic traffic;
    for (int i = 0; i < 2000; ++i) {
      // Not one source address in the profile's memory of them, nor one destination for long.
      traffic.Udp(1, static_cast<std::uint8_t>(100 + i % 40), 40000, 53, Micros(i * 20), 20,
                  static_cast<std::uint8_t>(i % 200));
    }
    EXPECT_GT(Punts(config, traffic), 0u);
  }
}

TEST(RuleTier, StaticNeedsToKnowTheInput) {
  PathConfig config = Config(Arm::kReactive, Residency::kStatic, 16, 0);
  config.rules = RulesFor(40);
  EXPECT_THROW(PacketPath(config, nullptr), Refusal);
  // Sixteen of forty, for ever.
  EXPECT_EQ(Punts(config, ServicesInTurn(4000, 40)), 3 * 4000u * 24 / 40);
}

TEST(RuleTier, ADeviceHoldsSomething) {
  PathConfig config = Config(Arm::kReactive, Residency::kLru, 0, 0);
  EXPECT_THROW(PacketPath(config, nullptr), Refusal);
}

TEST(RuleTier, AVmWritesWithinItsBudget) {
  PathConfig config = Config(Arm::kReactive, Residency::kLru, 16, 0);
  config.rules = RulesFor(40);
  config.vm_installs_per_second = 1000;
  Traffic traffic = ServicesInTurn(4000, 40);
  PacketPath path(config, nullptr);
  Verdict verdict;
  StageWork work;
  for (const Arrival& arrival : traffic.arrivals()) path.Process(&arrival, 1, &verdict, &work);
  // 240 ms and the burst.
  EXPECT_LE(path.counters().installs_on_miss, 240u + 32u);
  EXPECT_GE(path.counters().installs_on_miss, 240u);
}

}  // namespace
}  // namespace foreflow::path
