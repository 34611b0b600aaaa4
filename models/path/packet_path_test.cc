// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/packet_path.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "models/base/refusal.h"
#include "models/path/test_traffic.h"
#include "models/predict/types_model_test.h"
#include "models/tag/queue_by_header.h"

namespace foreflow::path {
namespace {

rules::Rule PermitAll() {
  rules::Rule rule;
  rule.id = 1;
  rule.action.verb = rules::Verb::kForward;
  return rule;
}

rules::Rule DenyPort(std::uint32_t id, std::uint16_t port) {
  rules::Rule rule;
  rule.id = id;
  rule.priority = 10;
  rule.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  rule.ip_protocol = 17;
  rule.destination_port = {port, port};
  return rule;
}

tag::TagRule TagTo(predict::PacketType type, std::uint8_t queue, std::uint32_t id) {
  tag::TagRule rule;
  rule.id = id;
  rule.types = static_cast<std::uint8_t>(1u << static_cast<unsigned>(type));
  rule.action.verb = rules::Verb::kForward;
  rule.action.queue = queue;
  return rule;
}

PathConfig Config(Arm arm) {
  PathConfig config;
  config.arm = arm;
  config.vms = 8;
  config.flow_entries = 4;
  config.install_latency = Micros(50);
  config.rules = {PermitAll(), DenyPort(2, 666)};
  for (std::size_t type = 0; type < predict::kPacketTypes; ++type) {
    config.tag_rules.push_back(TagTo(static_cast<predict::PacketType>(type),
                                     static_cast<std::uint8_t>(type % rules::kQueues),
                                     static_cast<std::uint32_t>(100 + type)));
  }
  config.tag_master_key.fill(7);
  return config;
}

// Services in a fixed round, more of them than the device has entries: LRU's worst case.
Traffic RoundRobin(std::size_t packets, std::uint8_t services) {
  Traffic traffic;
  for (std::size_t i = 0; i < packets; ++i) {
    traffic.Udp(1, static_cast<std::uint8_t>(100 + i % services), 40000, 53,
                Micros(static_cast<int>(i) * 200));
  }
  return traffic;
}

Traffic Random(std::uint64_t seed, std::size_t packets) {
  std::mt19937_64 random(seed);
  Traffic traffic;
  Nanos now;
  for (std::size_t i = 0; i < packets; ++i) {
    now += Nanos(static_cast<std::int64_t>(random() % 400'000));
    const std::uint16_t port = random() % 10 == 0 ? 666 : static_cast<std::uint16_t>(random() % 3 + 80);
    traffic.Udp(static_cast<flow::VmId>(1 + random() % 6), static_cast<std::uint8_t>(1 + random() % 12), port,
                static_cast<std::uint16_t>(random() % 2 ? port : 50000), now,
                static_cast<std::uint16_t>(random() % 1000));
  }
  return traffic;
}

std::vector<Verdict> Decide(const PathConfig& config, const std::vector<Arrival>& arrivals,
                            std::size_t burst = 1, Counters* counters = nullptr) {
  const Future future(arrivals, config.label_horizon);
  PacketPath path(config, &future);
  std::vector<Verdict> verdicts(arrivals.size());
  std::vector<StageWork> work(arrivals.size());
  for (std::size_t i = 0; i < arrivals.size(); i += burst) {
    path.Process(&arrivals[i], std::min(burst, arrivals.size() - i), &verdicts[i], &work[i]);
  }
  if (counters != nullptr) *counters = path.counters();
  return verdicts;
}

std::size_t Punts(const std::vector<Verdict>& verdicts) {
  std::size_t punts = 0;
  for (const Verdict& verdict : verdicts) punts += verdict.punted ? 1 : 0;
  return punts;
}

constexpr Arm kArms[] = {Arm::kOff, Arm::kReactive, Arm::kPredictive, Arm::kOracle, Arm::kAntiOracle};

TEST(PacketPath, FirstPacketIsPuntedAndLaterOnesHitOnceTheEntryIsReady) {
  Traffic traffic;
  traffic.Udp(1, 9, 40000, 53, Micros(0));
  traffic.Udp(1, 9, 40001, 53, Micros(49));  // the entry is still on its way
  traffic.Udp(1, 9, 40002, 53, Micros(50));  // another client port, the same entry
  const auto verdicts = Decide(Config(Arm::kReactive), traffic.arrivals());
  EXPECT_EQ(verdicts[0].reason, Reason::kCacheMiss);
  EXPECT_TRUE(verdicts[0].punted);
  EXPECT_EQ(verdicts[1].reason, Reason::kCacheMiss);
  EXPECT_EQ(verdicts[2].reason, Reason::kCacheHit);
  EXPECT_FALSE(verdicts[2].punted);
  EXPECT_EQ(verdicts[2].rule, 1u);
}

TEST(PacketPath, DenyAndDefaultDropAreToldApart) {
  PathConfig config = Config(Arm::kReactive);
  Traffic traffic;
  traffic.Udp(1, 9, 40000, 666, Micros(0));
  EXPECT_EQ(Decide(config, traffic.arrivals())[0].reason, Reason::kDenyRule);
  config.rules = {DenyPort(2, 1)};
  EXPECT_EQ(Decide(config, traffic.arrivals())[0].reason, Reason::kDefaultDrop);
}

TEST(PacketPath, OffPuntsEverything) {
  Traffic traffic = RoundRobin(50, 3);
  const auto verdicts = Decide(Config(Arm::kOff), traffic.arrivals());
  EXPECT_EQ(Punts(verdicts), verdicts.size());
  for (const Verdict& verdict : verdicts) EXPECT_EQ(verdict.reason, Reason::kNotOffloaded);
}

TEST(PacketPath, BurstsDecideAsSinglePacketsDo) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(seed);
    Traffic traffic = Random(seed, 3000);
    for (const Arm arm : kArms) {
      const auto singly = Decide(Config(arm), traffic.arrivals(), 1);
      const auto in_bursts = Decide(Config(arm), traffic.arrivals(), kBurst);
      for (std::size_t i = 0; i < singly.size(); ++i) ASSERT_EQ(Encode(singly[i]), Encode(in_bursts[i])) << i;
    }
  }
}

// With models that say anything, and governors that let them: so that each of their words is in a verdict.
TEST(PacketPath, BurstsAreReadByModelsAsSinglePacketsAre) {
  const auto table = predict::TypesModel(predict::ModelKind::kAutomaton, {200}, 0, 1);
  const auto gru = predict::TypesModel(predict::ModelKind::kGru, {16}, predict::kSequenceInputs, 2);
  struct Case {
    std::shared_ptr<const predict::Model> table, network;
  };
  for (const Case& tested : {Case{table, nullptr}, Case{nullptr, gru}, Case{table, gru}}) {
    for (const std::uint64_t seed : {1u, 2u}) {
      SCOPED_TRACE(seed);
      Traffic traffic = Random(seed, 3000);
      PathConfig config = Config(Arm::kPredictive);
      config.table = tested.table;
      config.network = tested.network;
      config.conversations = 64;
      config.readings_per_second = 2000;
      config.promotion_costs = config.demotion_costs = {0, 0, 1, 1'000'000};
      Counters counters;
      const auto singly = Decide(config, traffic.arrivals(), 1, &counters);
      const auto in_bursts = Decide(config, traffic.arrivals(), kBurst);
      std::size_t tags = 0;
      for (std::size_t i = 0; i < singly.size(); ++i) {
        ASSERT_EQ(Encode(singly[i]), Encode(in_bursts[i])) << i;
        tags += singly[i].tag_status == tag::TagStatus::kValid ? 1 : 0;
      }
      EXPECT_GT(tags, 300u);
      EXPECT_EQ(counters.types_by_tier[1] > 0, tested.table != nullptr);
      EXPECT_EQ(counters.types_by_tier[2] > 0, tested.network != nullptr);
    }
  }
}

// Models that say anything lose their weight to what learns beside them.
TEST(PacketPath, ModelsThatAreWrongGiveWayToWhatLearns) {
  const auto gru = predict::TypesModel(predict::ModelKind::kGru, {16}, predict::kSequenceInputs, 2);
  Traffic traffic = Random(5, 12000);
  PathConfig config = Config(Arm::kPredictive);
  config.network = gru;
  Counters counters;
  Decide(config, traffic.arrivals(), kBurst, &counters);
  EXPECT_GT(counters.types_by_tier[0], 4 * counters.types_by_tier[2]);
  EXPECT_GT(counters.fallback_asked, counters.types_by_tier[0]);
}

// Whatever an arm predicts, and whoever meddles with the tags, the rules alone permit and drop.
TEST(PacketPath, NoArmAndNoTagChangesWhatIsPermitted) {
  for (const std::uint64_t seed : {11u, 12u, 13u, 14u}) {
    SCOPED_TRACE(seed);
    Traffic traffic = Random(seed, 3000);
    const auto& arrivals = traffic.arrivals();
    for (const Arm arm : kArms) {
      const PathConfig config = Config(arm);
      const Future future(arrivals, config.label_horizon);
      PacketPath path(config, &future);
      std::mt19937_64 random(seed * 31);
      Tagged stolen;
      for (std::size_t i = 0; i < arrivals.size(); ++i) {
        Tagged tagged;
        StageWork work;
        Verdict verdict;
        path.HostSide(arrivals[i], Parse(arrivals[i]), tagged, work);
        switch (random() % 5) {
          case 0:  // forged
            tagged.has_tag = true;
            for (auto& byte : tagged.tag) byte = static_cast<std::uint8_t>(random());
            break;
          case 1:  // altered
            tagged.tag[random() % tagged.tag.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
            break;
          case 2:  // replayed, perhaps from another VM
            if (stolen.has_tag) tagged = stolen;
            break;
          case 3:
            stolen = tagged;
            break;
          default:
            break;
        }
        path.DeviceSide(arrivals[i], tagged, verdict, work);
        const rules::Decision right = rules::ClassifyByLinearScan(config.rules, future.key(i));
        ASSERT_EQ(verdict.verb, right.action.verb) << i;
        ASSERT_EQ(verdict.rule, right.rule) << i;
      }
    }
  }
}

TEST(PacketPath, ForgedTagsAreCountedAndTakeTheHeadersQueue) {
  const PathConfig config = Config(Arm::kReactive);
  Traffic traffic = Random(21, 500);
  const auto& arrivals = traffic.arrivals();
  PacketPath path(config, nullptr);
  for (const Arrival& arrival : arrivals) {
    Tagged tagged;
    StageWork work;
    Verdict verdict;
    path.HostSide(arrival, Parse(arrival), tagged, work);
    tagged.has_tag = true;
    path.DeviceSide(arrival, tagged, verdict, work);
    EXPECT_NE(verdict.tag_status, tag::TagStatus::kValid);
    const flow::FlowKey key = Parse(arrival).key;
    EXPECT_EQ(verdict.queue, tag::QueueByHeader(key, 0));
  }
  EXPECT_EQ(path.counters().tags_by_status[static_cast<std::size_t>(tag::TagStatus::kValid)], 0u);
  EXPECT_EQ(path.counters().tags_by_status[static_cast<std::size_t>(tag::TagStatus::kAbsent)], 0u);
}

TEST(PacketPath, PredictionSavesPuntsWhereDestinationsFollowEachOther) {
  Traffic traffic = RoundRobin(4000, 12);
  Counters counters;
  const std::size_t reactive = Punts(Decide(Config(Arm::kReactive), traffic.arrivals()));
  const std::size_t predictive = Punts(Decide(Config(Arm::kPredictive), traffic.arrivals(), 1, &counters));
  const std::size_t oracle = Punts(Decide(Config(Arm::kOracle), traffic.arrivals()));
  EXPECT_EQ(reactive, 4000u);  // twelve services in turn never fit four entries
  EXPECT_LT(predictive, 400u);
  EXPECT_LE(oracle, 2u);
  EXPECT_GT(counters.predicted_used, 3000u);
}

TEST(PacketPath, AntiOracleCostsAtMostOnePercent) {
  for (const std::uint64_t seed : {31u, 32u, 33u}) {
    SCOPED_TRACE(seed);
    Traffic traffic = Random(seed, 20000);
    PathConfig config = Config(Arm::kReactive);
    config.flow_entries = 24;
    const std::size_t reactive = Punts(Decide(config, traffic.arrivals()));
    config.arm = Arm::kAntiOracle;
    const std::size_t anti = Punts(Decide(config, traffic.arrivals()));
    EXPECT_LE(static_cast<double>(anti), static_cast<double>(reactive) * 1.01);
  }
}

TEST(PacketPath, OraclesNeedTheFuture) {
  EXPECT_THROW(PacketPath(Config(Arm::kOracle), nullptr), Refusal);
  EXPECT_THROW(PacketPath(Config(Arm::kAntiOracle), nullptr), Refusal);
}

TEST(PacketPath, RefusesRulesWhoseMeterDoesNotExist) {
  PathConfig config = Config(Arm::kReactive);
  config.rules[0].action.meter = 0;
  EXPECT_THROW(PacketPath(config, nullptr), Refusal);
}

PathConfig MeteredConfig() {
  PathConfig config = Config(Arm::kOracle);
  config.meters = {{BitsPerSecond(8'000), Bytes(100), BitsPerSecond(8'000), Bytes(100)}};
  return config;
}

TEST(PacketPath, AStandardRulesMeterDrops) {
  PathConfig config = MeteredConfig();
  config.rules[0].action.meter = 0;
  Traffic traffic;
  for (int i = 0; i < 4; ++i) traffic.Udp(1, 9, 40000, 80, Micros(i));
  const auto verdicts = Decide(config, traffic.arrivals());
  EXPECT_EQ(verdicts[0].verb, rules::Verb::kForward);
  EXPECT_EQ(verdicts[3].verb, rules::Verb::kDrop);
  EXPECT_EQ(verdicts[3].reason, Reason::kMeterRed);
}

TEST(PacketPath, ATagRulesMeterOnlyDemotes) {
  PathConfig config = MeteredConfig();
  for (tag::TagRule& rule : config.tag_rules) {
    rule.action.meter = 0;
    rule.action.queue = 0;
  }
  Traffic traffic;
  for (int i = 0; i < 4; ++i) traffic.Udp(1, 9, 40000, 80, Micros(i));
  const auto verdicts = Decide(config, traffic.arrivals());
  EXPECT_EQ(verdicts[0].queue, 0);
  EXPECT_EQ(verdicts[3].colour, tag::Colour::kRed);
  EXPECT_EQ(verdicts[3].verb, rules::Verb::kForward);
  EXPECT_EQ(verdicts[3].queue, rules::kQueues - 1);
}

TEST(PacketPath, LiteralAuthorityLetsATagRuleDecide) {
  PathConfig config = Config(Arm::kOracle);
  for (tag::TagRule& rule : config.tag_rules) rule.action.verb = rules::Verb::kForward;
  Traffic traffic;
  traffic.Udp(1, 9, 40000, 666, Micros(0));
  EXPECT_EQ(Decide(config, traffic.arrivals())[0].verb, rules::Verb::kDrop);
  config.tag_authority = TagAuthority::kLiteral;
  const Verdict verdict = Decide(config, traffic.arrivals())[0];
  EXPECT_EQ(verdict.verb, rules::Verb::kForward);
  EXPECT_EQ(verdict.reason, Reason::kTagRule);
  EXPECT_FALSE(verdict.punted);
}

TEST(PacketPath, UndecidableBytesAreDroppedByReason) {
  PacketPath path(Config(Arm::kPredictive), nullptr);
  const std::uint8_t bytes[] = {0, 0, 0};
  Arrival arrival;
  arrival.vm = 1;
  arrival.captured = {bytes, sizeof bytes};
  arrival.wire_bytes = 60;
  Verdict verdict;
  StageWork work;
  path.Process(&arrival, 1, &verdict, &work);
  EXPECT_EQ(verdict.verb, rules::Verb::kDrop);
  EXPECT_EQ(verdict.reason, Reason::kTruncated);
  arrival.link = wire::Link::kUnknown;
  path.Process(&arrival, 1, &verdict, &work);
  EXPECT_EQ(verdict.reason, Reason::kUnknownLink);
}

}  // namespace
}  // namespace foreflow::path
