// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/expectation.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "models/path/packet_path.h"
#include "models/path/test_traffic.h"
#include "models/path/told_types.h"
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

PathConfig ExpectationConfig(Arm arm) {
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
  PacketPath path(ExpectationConfig(Arm::kPredictive), nullptr);
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
  PacketPath reactive(ExpectationConfig(Arm::kReactive), nullptr);
  for (const Arrival& arrival : traffic.arrivals()) Decide(reactive, arrival);
  EXPECT_EQ(reactive.Expect(1, expected.data(), expected.size()), 0u);
}

TEST(Expectation, WhatIsToldIsThereBeforeItsFirstPacket) {
  for (const std::uint16_t port : {std::uint16_t{80}, kDeniedPort}) {
    SCOPED_TRACE(port);
    Traffic traffic;
    traffic.Udp(3, 9, 40'000, port, Millis(1));
    const Arrival& arrival = traffic.arrivals()[0];
    PacketPath told(ExpectationConfig(Arm::kPredictive), nullptr),
        untold(ExpectationConfig(Arm::kPredictive), nullptr);
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
  PacketPath path(ExpectationConfig(Arm::kPredictive), nullptr);
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
    PacketPath blind(ExpectationConfig(arm), nullptr);
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
  PathConfig config = ExpectationConfig(Arm::kPredictive);
  config.installs_per_second = 1000;
  Traffic traffic;
  constexpr std::uint16_t kEach = 30;
  for (flow::VmId vm = 1; vm <= config.vms; ++vm) {
    for (std::uint16_t i = 0; i < kEach; ++i)
      traffic.Udp(vm, 9, 40'000, static_cast<std::uint16_t>(1000 + i), Nanos());
  }
  // Port classes: else they would all be one entry.
  for (std::uint16_t i = 0; i < kEach; ++i) {
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

// Of what never comes, 32 are on credit, and as many wait to be proved meanwhile; then no more are written.
// Once what is told comes true again, it is believed again.
TEST(Expectation, WhatDoesNotComeTrueIsBelievedNoLonger) {
  PathConfig config = ExpectationConfig(Arm::kPredictive);
  config.peers_per_vm = 4000;
  PacketPath path(config, nullptr);
  Nanos now;
  std::size_t written = 0;
  const auto tell = [&](std::uint8_t net, std::uint8_t to) {
    now += Millis(10);
    Traffic traffic;
    traffic.Udp(3, to, 40'000, 80, now + Millis(1), 20, net);
    const bool is_written = path.TakeExpectation(Of(traffic.arrivals()[0]), now);
    written += is_written ? 1 : 0;
    return traffic;
  };
  for (std::size_t i = 0; i < 1000; ++i) {
    tell(static_cast<std::uint8_t>(1 + i / 200), static_cast<std::uint8_t>(1 + i % 200));
  }
  EXPECT_EQ(written, 63u);
  EXPECT_EQ(path.counters().told_destinations_hit, 0u);
  EXPECT_EQ(path.counters().told_destinations_scored, 1000u - 32u);
  for (std::size_t i = 0; i < 200; ++i) {
    Traffic traffic = tell(100, static_cast<std::uint8_t>(1 + i));
    Decide(path, traffic.arrivals()[0]);
  }
  EXPECT_EQ(path.counters().told_destinations_hit, 200u);
  EXPECT_GT(written, 63u + 100u);
}

tag::TagRule StreamsAhead() {
  tag::TagRule rule;
  rule.id = 100;
  rule.types = static_cast<std::uint8_t>(1u << static_cast<unsigned>(predict::PacketType::kStream));
  rule.minimum_confidence = 32'768;
  rule.action.verb = rules::Verb::kForward;
  rule.action.queue = 1;  // the header's is 2
  return rule;
}

Expectation StreamOf(const Arrival& arrival) {
  Expectation expected = Of(arrival);
  expected.confidence = 0;  // nothing is said of its entry
  expected.type = predict::PacketType::kStream;
  expected.type_confidence = 65'535;
  return expected;
}

// Packets 1 ms apart of one VM, then of another, whose streams had been told before they came.
TEST(Expectation, AToldTypeChoosesTheQueueOnceToldTypesHaveComeTrue) {
  PathConfig config = ExpectationConfig(Arm::kPredictive);
  config.tag_rules = {StreamsAhead()};
  Traffic traffic;
  constexpr std::size_t kEach = 400;
  for (std::size_t i = 0; i < 2 * kEach; ++i) {
    traffic.Udp(i < kEach ? 1 : 2, 9, 40'000, 8080, Millis(1 + static_cast<int>(i)));
  }
  PacketPath told(config, nullptr), untold(config, nullptr);
  for (std::size_t i = 0; i < 2 * kEach; ++i) {
    SCOPED_TRACE(i);
    const Arrival& arrival = traffic.arrivals()[i];
    if (i % kEach == 0) {
      EXPECT_FALSE(told.TakeExpectation(StreamOf(arrival), arrival.time - Micros(500)));
    }
    const Verdict verdict = Decide(told, arrival);
    const Verdict without = Decide(untold, arrival);
    if (i < 200) {
      ASSERT_EQ(Encode(verdict), Encode(without));  // no label yet that could prove it
    }
    if (i == kEach) {
      EXPECT_EQ(without.queue, 2);
      EXPECT_EQ(verdict.queue, 1);
      EXPECT_EQ(verdict.tag_status, tag::TagStatus::kValid);
      EXPECT_EQ(verdict.predicted, predict::PacketType::kStream);
      EXPECT_EQ(verdict.confidence, 65'535);
    }
    ASSERT_EQ(verdict.verb, without.verb);
    ASSERT_EQ(verdict.rule, without.rule);
  }
  EXPECT_GT(told.counters().tags_as_told, 200u);
  EXPECT_GT(told.counters().told_types_scored, 200u);
  // The first of each VM begins a burst after idling, and has no queue of its own.
  EXPECT_EQ(told.counters().told_types_hit + 2, told.counters().told_types_scored);
  EXPECT_EQ(untold.counters().told_types_scored, 0u);
}

// Said of packets that are no streams: nothing is done, or, where it had been true for long, soon no more.
TEST(Expectation, AFalseTypeCostsWhatItsGovernorAllows) {
  for (const bool was_true : {false, true}) {
    SCOPED_TRACE(was_true);
    PathConfig config = ExpectationConfig(Arm::kPredictive);
    config.tag_rules = {StreamsAhead()};
    PacketPath path(config, nullptr);
    Nanos now;
    if (was_true) {
      for (int i = 0; i < 600; ++i) {
        now += Millis(1);
        Traffic traffic;
        traffic.Udp(1, 9, 40'000, 8080, now);
        const Arrival& arrival = traffic.arrivals()[0];
        path.TakeExpectation(StreamOf(arrival), now);
        Decide(path, arrival);
      }
      EXPECT_GT(path.counters().tags_as_told, 300u);
    }
    const std::uint64_t before = path.counters().tags_as_told;
    std::uint64_t late = before;
    for (int i = 0; i < 3000; ++i) {  // each to another port of another host: one packet is no stream
      now += Millis(10);
      Traffic traffic;
      traffic.Udp(1, static_cast<std::uint8_t>(10 + i % 200), static_cast<std::uint16_t>(20'000 + i), 8080,
                  now);
      const Arrival& arrival = traffic.arrivals()[0];
      path.TakeExpectation(StreamOf(arrival), now);
      EXPECT_EQ(Decide(path, arrival).verb, rules::Verb::kForward);
      if (i == 1500) late = path.counters().tags_as_told;
    }
    EXPECT_EQ(path.counters().tags_as_told, late);  // no more
    const std::uint64_t wrong = late - before;
    if (was_true) {
      // h falls below h* = 2 % after 256 ln 50 outcomes, and those that wait for their label.
      EXPECT_GT(wrong, 500u);
      EXPECT_LT(wrong, 1050u);
    } else {
      EXPECT_EQ(wrong, 0u);
      EXPECT_GT(path.counters().told_types_scored, 2500u);
    }
  }
}

// The word of a destination that does not come lapses, and so does one whose packets stay away.
TEST(Expectation, AToldTypeLapses) {
  ToldTypes told(2);
  rules::EntryKey entry;
  entry.fields.vm = 2;
  Work work;
  const auto sees = [&](Nanos now) { return told.See(entry, 7, now, work) != nullptr; };
  EXPECT_FALSE(sees(Nanos()));
  EXPECT_EQ(work[WorkItem::kProbe], 0u);
  const ToldTypes::Word word{predict::PacketType::kBulk, 40'000};
  told.Tell(entry, 7, word, Millis(10), Nanos());
  EXPECT_FALSE(sees(Micros(40'001)));  // four horizons
  told.Tell(entry, 7, word, Millis(10), Seconds(1));
  EXPECT_TRUE(sees(Seconds(1) + Millis(40)));
  EXPECT_TRUE(sees(Seconds(2) + Millis(40)));
  EXPECT_FALSE(sees(Seconds(3) + Millis(41)));
  told.Tell(entry, 7, word, Nanos(), Seconds(4));
  EXPECT_TRUE(sees(Seconds(5)));
  // Another VM's is another, and of more than there is room for the first that lapses goes.
  for (std::uint16_t i = 0; i < ToldTypes::kDestinations; ++i) {
    rules::EntryKey other = entry;
    other.fields.destination_port = static_cast<std::uint16_t>(1 + i);
    told.Tell(other, 100u + i, word, Seconds(100), Seconds(5));
    other.fields.vm = 1;
    told.Tell(other, 100u + i, word, Seconds(100), Seconds(5));
  }
  EXPECT_FALSE(sees(Seconds(5)));
  entry.fields.destination_port = 1;
  EXPECT_NE(told.See(entry, 100, Seconds(5), work), nullptr);
}

// Whatever is told, and rules changed in between: permit and drop are the linear scan's.
TEST(Expectation, NeverChangesWhatIsPermitted) {
  for (const std::uint64_t seed : {41u, 42u, 43u}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    PathConfig config = ExpectationConfig(Arm::kPredictive);
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
