// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/expectation.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "models/path/packet_path.h"
#include "models/path/test_traffic.h"
#include "models/rules/rule_table.h"

namespace foreflow::path {
namespace {

constexpr std::uint16_t kDeniedPort = 666;

rules::Rule Permit(std::uint32_t id) {
  rules::Rule rule;
  rule.id = id;
  rule.action.verb = rules::Verb::kForward;
  return rule;
}

rules::Rule Deny(std::uint32_t id, std::uint16_t port) {
  rules::Rule rule;
  rule.id = id;
  rule.priority = 10;
  rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  rule.ip_protocol = 17;
  rule.destination_port = {port, port};
  return rule;
}

PathConfig Config(Arm arm) {
  PathConfig config;
  config.arm = arm;
  config.vms = 8;
  config.flow_entries = 400;
  config.install_latency = Micros(50);
  config.rules = {Permit(1), Deny(2, kDeniedPort)};
  config.tag_master_key.fill(7);
  return config;
}

Verdict Decide(PacketPath& path, const Arrival& arrival) {
  Verdict verdict;
  StageWork work;
  path.Process(&arrival, 1, &verdict, &work);
  return verdict;
}

// What is said of a packet before it comes.
Expectation Of(const Arrival& arrival) {
  Expectation expected;
  expected.key = Parse(arrival).key;
  expected.confidence = 60'000;
  return expected;
}

// Twelve services in turn, one every 200 us.
TEST(Expectation, SaysWhereAVmTurnsNextAndWhen) {
  Traffic traffic;
  constexpr std::size_t kPackets = 4001;
  for (std::size_t i = 0; i < kPackets; ++i) {
    traffic.Udp(1, static_cast<std::uint8_t>(100 + i % 12), 40'000, 53, Micros(static_cast<int>(i) * 200));
  }
  PacketPath path(Config(Arm::kPredictive), nullptr);
  for (const Arrival& arrival : traffic.arrivals()) Decide(path, arrival);
  std::array<Expectation, 16> expected;
  ASSERT_EQ(path.Expect(1, expected.data(), expected.size()),
            4u);  // the lookahead: there is no second likeliest
  for (std::size_t step = 1; step <= 4; ++step) {
    SCOPED_TRACE(step);
    const Expectation& one = expected[step - 1];
    EXPECT_EQ(one.key.destination_address[3], 100 + (kPackets - 1 + step) % 12);
    EXPECT_EQ(one.key.destination_port, 53);
    EXPECT_EQ(one.key.vm, 1);
    EXPECT_EQ(one.vlan, wire::kNoVlan);
    EXPECT_GT(one.confidence, 60'000);
    EXPECT_EQ(one.horizon, Micros(200) * static_cast<std::int64_t>(step));
    EXPECT_GT(one.type_confidence, 0);
  }
  std::array<Expectation, 2> fewer;
  ASSERT_EQ(path.Expect(1, fewer.data(), fewer.size()), 2u);
  EXPECT_EQ(fewer[1].key, expected[1].key);
  EXPECT_EQ(path.Expect(1, fewer.data(), 0), 0u);
  for (const flow::VmId vm : {flow::VmId{0}, flow::VmId{2}, flow::VmId{9}}) {
    EXPECT_EQ(path.Expect(vm, expected.data(), expected.size()), 0u) << vm;
  }
  PacketPath reactive(Config(Arm::kReactive), nullptr);
  for (const Arrival& arrival : traffic.arrivals()) Decide(reactive, arrival);
  EXPECT_EQ(reactive.Expect(1, expected.data(), expected.size()), 0u);
}

TEST(Expectation, WhatIsToldIsThereBeforeItsFirstPacket) {
  for (const std::uint16_t port : {std::uint16_t{80}, kDeniedPort}) {
    SCOPED_TRACE(port);
    Traffic traffic;
    traffic.Udp(3, 9, 40'000, port, Millis(1));
    const Arrival& arrival = traffic.arrivals()[0];
    PacketPath told(Config(Arm::kPredictive), nullptr), untold(Config(Arm::kPredictive), nullptr);
    EXPECT_TRUE(told.TakeExpectation(Of(arrival), Micros(900)));
    EXPECT_FALSE(told.TakeExpectation(Of(arrival), Micros(900)));  // it is there
    const Verdict verdict = Decide(told, arrival);
    EXPECT_FALSE(verdict.punted);
    EXPECT_TRUE(verdict.used_prediction);
    const Verdict without = Decide(untold, arrival);
    EXPECT_TRUE(without.punted);
    EXPECT_EQ(verdict.verb, without.verb);
    EXPECT_EQ(verdict.rule, without.rule);
    EXPECT_EQ(verdict.rule, port == kDeniedPort ? 2u : 1u);
    EXPECT_EQ(told.counters().installs_predicted, 1u);
  }
}

TEST(Expectation, WhatCannotPayIsNotMadeReady) {
  Traffic traffic;
  traffic.Udp(3, 9, 40'000, 80, Millis(1));
  const Expectation likely = Of(traffic.arrivals()[0]);
  PacketPath path(Config(Arm::kPredictive), nullptr);
  Expectation other = likely;
  other.confidence = 19'000;  // below config.minimum_confidence
  EXPECT_FALSE(path.TakeExpectation(other, Nanos()));
  other = likely;
  other.horizon = Micros(49);  // it would be ready at 50
  EXPECT_FALSE(path.TakeExpectation(other, Nanos()));
  for (const flow::VmId vm : {flow::VmId{0}, flow::VmId{9}}) {
    other = likely;
    other.key.vm = vm;
    EXPECT_FALSE(path.TakeExpectation(other, Nanos())) << vm;
  }
  for (const Arm arm : {Arm::kOff, Arm::kReactive}) {
    PacketPath blind(Config(arm), nullptr);
    EXPECT_FALSE(blind.TakeExpectation(likely, Nanos()));
  }
  EXPECT_EQ(path.counters().installs_predicted, 0u);
  other = likely;
  other.horizon = Micros(50);
  EXPECT_TRUE(path.TakeExpectation(other, Nanos()));
}

// The device takes no more of it than of its own host's predictions: the budget, and a quarter of the
// entries.
TEST(Expectation, IsBoundedAsPredictionsAre) {
  PathConfig config = Config(Arm::kPredictive);
  config.installs_per_second = 1000;
  Traffic traffic;
  for (std::uint16_t i = 0; i < 300; ++i)
    traffic.Udp(3, 9, 40'000, static_cast<std::uint16_t>(1000 + i), Nanos());
  // Port classes: else they would all be one entry.
  for (std::uint16_t i = 0; i < 300; ++i) {
    config.rules.push_back(Deny(10u + i, static_cast<std::uint16_t>(1000 + i)));
  }
  PacketPath path(config, nullptr);
  std::size_t written = 0;
  for (const Arrival& arrival : traffic.arrivals())
    written += path.TakeExpectation(Of(arrival), Nanos()) ? 1 : 0;
  EXPECT_EQ(written, 32u);  // the burst of the budget
  for (int round = 0; round < 20; ++round) {
    for (const Arrival& arrival : traffic.arrivals()) {
      written += path.TakeExpectation(Of(arrival), Seconds(1 + round)) ? 1 : 0;
    }
  }
  EXPECT_EQ(written, path.counters().installs_predicted);
  EXPECT_EQ(written - path.counters().predicted_wasted, 100u);  // of 400 entries
}

// Whatever is told, and rules changed in between: permit and drop are the linear scan's.
TEST(Expectation, NeverChangesWhatIsPermitted) {
  for (const std::uint64_t seed : {41u, 42u, 43u}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    PathConfig config = Config(Arm::kPredictive);
    config.flow_entries = 24;
    config.install_latency = Nanos(10);
    PacketPath path(config, nullptr);
    std::vector<rules::Rule> rules = config.rules;
    Nanos now;
    std::size_t hits = 0, denied = 0;
    for (std::uint32_t i = 0; i < 4000; ++i) {
      now += Nanos(static_cast<std::int64_t>(random() % 100'000));
      Traffic traffic;
      traffic.Udp(static_cast<flow::VmId>(1 + random() % 6), static_cast<std::uint8_t>(1 + random() % 9),
                  40'000, static_cast<std::uint16_t>(660 + random() % 10), now + Micros(1));
      const Arrival& arrival = traffic.arrivals()[0];
      if (random() % 2 == 0) path.TakeExpectation(Of(arrival), now);
      if (random() % 20 == 0) {
        const rules::Rule rule = Deny(3, static_cast<std::uint16_t>(660 + random() % 10));
        const bool is_there = rules.size() > 2;
        rules.resize(2);
        rules.push_back(rule);
        path.ApplyRules({path.rules().generation(),
                         {{is_there ? rules::RuleOperation::kModify : rules::RuleOperation::kInsert, rule}}});
      }
      const Verdict verdict = Decide(path, arrival);
      const rules::Decision right = rules::ClassifyByLinearScan(rules, Parse(arrival).key);
      ASSERT_EQ(verdict.verb, right.action.verb) << i;
      ASSERT_EQ(verdict.rule, right.rule) << i;
      hits += verdict.used_prediction;
      denied += right.action.verb == rules::Verb::kDrop;
    }
    EXPECT_GT(hits, 500u);
    EXPECT_GT(denied, 300u);
  }
}

}  // namespace
}  // namespace foreflow::path
