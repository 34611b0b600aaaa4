// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/unit.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/shard/test_units.h"

namespace foreflow::shard {
namespace {

constexpr Nanos kOneWay = Millis(1);

void PassAll(const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
  arrivals.emplace_back(datagram.sent + kOneWay, datagram);
}

UnitConfig Small() {
  UnitConfig config;
  config.held_packets = 64;
  config.reassembler.held = 256;
  config.reassembler.slots = 256;
  config.retransmission.numbers = 1024;
  config.retransmission.packets = 64;
  config.gaps.numbers = 1024;
  config.gaps.gaps = 128;
  return config;
}

struct Nowhere final : UnitSink {
  void OnDatagram(const UnitDatagram& datagram) override {
    ++datagrams;
    bytes += datagram.bytes.size;
  }
  void OnPacket(const UnitPacket&) override { ++packets; }
  std::uint64_t datagrams = 0, bytes = 0, packets = 0;
};

std::uint64_t Sum(const Unit::Counts& counts) {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counts) sum += count;
  return sum;
}

// ---- what may happen on the way

// Whatever the network does, and while keys change: what comes out went in, once at most and byte by byte the
// same; and every call, fragment and buffer is accounted for.
TEST(Unit, WhatComesOutWentInOnceAtMost) {
  std::uint64_t delivered_in_all = 0, sent_in_all = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "unit_test");
    UnitConfig config = Small();
    config.has_uuid = rng.Below(2) == 0;
    config.gaps.rule = static_cast<GapRule>(rng.Below(5));
    config.repair = static_cast<RepairRule>(rng.Below(4));
    config.preference = static_cast<Preference>(rng.Below(kPreferences));
    config.path_weights.assign(1 + rng.Below(3), 1);
    config.path_rule = static_cast<PathRule>(rng.Below(3));
    const double loss = rng.Real() * 0.3, late = rng.Real() * 0.3, twice = rng.Real() * 0.2,
                 changed = rng.Real() * 0.2;
    const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
      const unsigned copies = rng.Real() < twice ? 2 : 1;
      for (unsigned i = 0; i < copies; ++i) {
        if (rng.Real() < loss) continue;
        TestUnits::Datagram copy = datagram;
        if (rng.Real() < changed)
          copy.bytes[rng.Below(static_cast<std::uint32_t>(copy.bytes.size()))] ^=
              static_cast<std::uint8_t>(1 + rng.Below(255));
        if (rng.Below(50) == 0) copy.bytes.resize(rng.Below(static_cast<std::uint32_t>(copy.bytes.size())));
        const Nanos more = rng.Real() < late ? Micros(rng.Below(20'000)) : Nanos(rng.Below(1000));
        arrivals.emplace_back(copy.sent + kOneWay + Micros(200) * copy.path + more, copy);
      }
    };
    TestUnits pair(config, network);
    pair.Begin();
    std::map<Raw, unsigned> sent[2];
    std::uint64_t calls[2] = {};
    std::uint8_t epoch = 0;
    for (std::size_t i = 0; i < 300; ++i) {
      const int from = rng.Below(3) == 0 ? 1 : 0;
      const Raw packet = RandomPacket(rng, 1 + rng.Below(1514));
      ++calls[from];
      if (pair.Send(from, packet, 2) == UnitVerdict::kSent) ++sent[from][packet];
      if (rng.Below(40) == 0) {
        ++epoch;
        for (int unit = 0; unit < 2; ++unit) pair.Rekey(unit, epoch);
      }
      pair.RunUntil(pair.now + Micros(rng.Below(500)));
    }
    pair.RunUntil(pair.now + Seconds(2));
    for (int to = 0; to < 2; ++to) {
      const Unit& unit = pair.units[static_cast<std::size_t>(to)];
      for (const TestUnits::Packet& packet : pair.delivered[to]) {
        const auto it = sent[1 - to].find(packet.bytes);
        ASSERT_NE(it, sent[1 - to].end()) << "it never went in";
        ASSERT_GT(it->second, 0u) << "it came out before";
        --it->second;
      }
      delivered_in_all += pair.delivered[to].size();
      sent_in_all += calls[to];
      EXPECT_EQ(unit.Statistics(0).delivered, pair.delivered[to].size());
      EXPECT_EQ(unit.Statistics(0).sent + unit.Statistics(0).refused, calls[to]);
      // Whatever was kept has been given back.
      EXPECT_EQ(unit.packets_under_way(), 0u);
      EXPECT_EQ(unit.held_fragments(0), 0u);
      EXPECT_EQ(unit.held_fragments(), 0u);
      EXPECT_EQ(unit.held_packets(), 0u);
      std::uint64_t fragments = 0;
      for (const std::uint64_t count : unit.fragments()) fragments += count;
      const auto& counts = unit.counts();
      std::uint64_t taken = 0;
      for (const UnitVerdict verdict :
           {UnitVerdict::kDelivered, UnitVerdict::kHeld, UnitVerdict::kDuplicate, UnitVerdict::kAlreadyWhole,
            UnitVerdict::kRepairUnused, UnitVerdict::kTooLate, UnitVerdict::kOldPacket,
            UnitVerdict::kConflict, UnitVerdict::kMixedEpoch, UnitVerdict::kTooMany, UnitVerdict::kTooSmall,
            UnitVerdict::kEcnMixed})
        taken += counts[static_cast<std::size_t>(verdict)];
      EXPECT_EQ(fragments, taken);
      EXPECT_EQ(pair.Count(to, UnitVerdict::kDelivered), pair.delivered[to].size());
      EXPECT_EQ(pair.Count(to, UnitVerdict::kWrongFeedback) + pair.Count(to, UnitVerdict::kWrongProbe) +
                    pair.Count(to, UnitVerdict::kConflict),
                0u)
          << "nothing that verifies contradicts itself";
    }
  }
  EXPECT_GT(delivered_in_all, sent_in_all / 2) << "or the test shows little";
}

TEST(Unit, OverACleanPathAllComesInOrderAndNothingMore) {
  TestUnits pair(Small(), PassAll);
  pair.Begin();
  Rng rng(3, "clean");
  std::vector<Raw> packets;
  for (std::size_t i = 0; i < 500; ++i) {
    packets.push_back(RandomPacket(rng, 60 + rng.Below(1455)));
    ASSERT_EQ(pair.Send(0, packets.back(), 0), UnitVerdict::kSent);
    pair.RunUntil(pair.now + Micros(50));
  }
  pair.RunUntil(pair.now + Millis(100));
  ASSERT_EQ(pair.delivered[1].size(), packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i) ASSERT_EQ(pair.delivered[1][i].bytes, packets[i]);
  EXPECT_EQ(pair.units[0].sent().resent, 0u);
  EXPECT_EQ(pair.units[0].sent().repairs, 0u);
  EXPECT_EQ(pair.units[1].gaps(0).counts().requests, 0u);
  EXPECT_EQ(pair.units[0].held_packets(), 0u) << "all acknowledged";
  const CongestionReport report = pair.units[0].Report(0, pair.now);
  EXPECT_GE(report.latency, kOneWay * 2);
  EXPECT_LT(report.latency, kOneWay * 2 + Micros(200));
  EXPECT_EQ(report.loss, 0);
}

// ---- time

// Advance called at random times, often or never, changes nothing of what comes out nor when its tick was.
TEST(Unit, HowOftenItIsAdvancedChangesNothing) {
  const auto run = [](unsigned how) {
    UnitConfig config = Small();
    config.gaps.rule = GapRule::kLearned;
    config.repair = RepairRule::kAlways;
    Unit a(config), b(config);
    Rng traffic(5, "traffic"), calls(how, "calls"), network(5, "network");
    struct Out final : UnitSink {
      void OnDatagram(const UnitDatagram& datagram) override {
        digest.Update(datagram.bytes);
        datagrams.emplace_back(datagram.bytes.begin(), datagram.bytes.end());
      }
      void OnPacket(const UnitPacket& packet) override { digest.Update(packet.bytes); }
      crypto::Sha256 digest;
      std::vector<Raw> datagrams;
    } from_a, from_b;
    UnitWork work;
    a.Begin(0, 2, 1, Nanos(), from_a, work);
    b.Begin(0, 1, 2, Nanos(), from_b, work);
    a.InstallReceivingKey(0, 0, kTestCipher, TestKey(1).data());
    a.InstallSendingKey(0, 0, kTestCipher, TestKey(0).data());
    b.InstallReceivingKey(0, 0, kTestCipher, TestKey(0).data());
    b.InstallSendingKey(0, 0, kTestCipher, TestKey(1).data());
    // Each event at its own time; what a unit gave out by then arrives at the next one.
    for (std::size_t i = 0; i < 400; ++i) {
      const Nanos now = Micros(700) * static_cast<std::int64_t>(i) + (i > 300 ? Seconds(3) : Nanos());
      if (how != 0) {
        for (Nanos at = now - Micros(700); at < now; at += Micros(1 + calls.Below(how))) {
          if (at < Nanos()) continue;
          a.Advance(at, from_a, work);
          b.Advance(at, from_b, work);
        }
      }
      a.Advance(now, from_a, work);
      b.Advance(now, from_b, work);
      const std::vector<Raw> to_b = std::move(from_a.datagrams), to_a = std::move(from_b.datagrams);
      from_a.datagrams.clear();
      from_b.datagrams.clear();
      for (Raw datagram : to_b)
        if (network.Below(10) != 0) b.Receive({datagram.data(), datagram.size()}, 0, now, from_b, work);
      for (Raw datagram : to_a)
        if (network.Below(10) != 0) a.Receive({datagram.data(), datagram.size()}, 0, now, from_a, work);
      const Raw packet = RandomPacket(traffic, 60 + traffic.Below(1400));
      a.Send({0, View(packet), 0, 0}, now, from_a, work);
    }
    return std::pair(from_a.digest.Finish(), from_b.digest.Finish());
  };
  const auto never = run(0);
  EXPECT_EQ(run(1), never);
  EXPECT_EQ(run(37), never);
  EXPECT_EQ(run(1000), never);
}

// Where nobody calls Advance, what was due comes out before whatever passes it.
TEST(Unit, WhatIsDueComesBeforeWhatPassesIt) {
  TestUnits pair(Small(), PassAll);
  pair.keeps_sent = true;
  pair.Begin();
  pair.now = Seconds(1);
  pair.Send(0, Raw(100, 1));
  const std::vector<TestUnits::Datagram>& sent = pair.sent[0];
  ASSERT_GT(sent.size(), 5u) << "probes each 100 ms";
  for (std::size_t i = 0; i < sent.size(); ++i)
    EXPECT_EQ(sent[i].type == wire::ShardType::kData, i + 1 == sent.size()) << i;
  pair.Deliver(sent.back());
  EXPECT_GT(pair.sent[1].size(), 5u);
}

TEST(Unit, ALongSilenceCostsLittleAndLosesNothing) {
  TestUnits pair(Small(), PassAll);
  pair.Begin();
  const Raw packet(1000, 7);
  ASSERT_EQ(pair.Send(0, packet), UnitVerdict::kSent);
  pair.RunUntil(Seconds(60));
  ASSERT_EQ(pair.Send(0, packet), UnitVerdict::kSent);
  pair.RunUntil(Seconds(61));
  EXPECT_EQ(pair.delivered[1].size(), 2u);
  EXPECT_EQ(pair.units[1].gaps(0).counts().missing, 0u);
  // A probe each 100 ms when idle, and its answer.
  EXPECT_LT(pair.units[0].sent().probes, 700u);
  // A unit that has no peer yet jumps over any time.
  Unit alone(Small());
  Nowhere nowhere;
  UnitWork work;
  alone.Advance(Seconds(1'000'000'000), nowhere, work);
  EXPECT_GT(alone.NextTick(), Seconds(1'000'000'000));
  EXPECT_EQ(nowhere.datagrams, 0u);
}

// Who is told of a loss asks by the next tick, long before any rule would.
TEST(Unit, AClairvoyantAsksWhenItIsTold) {
  UnitConfig config = Small();
  config.gaps.rule = GapRule::kClairvoyant;
  std::uint64_t lost = 0;
  const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
    wire::ShardMessage message;
    EXPECT_EQ(wire::ReadShardMessage(View(datagram.bytes), message), wire::ShardFault::kNone);
    if (datagram.type == wire::ShardType::kData && message.header.number == message.base() && lost == 0) {
      lost = message.header.number;
      return;
    }
    PassAll(datagram, arrivals);
  };
  TestUnits pair(config, network);
  pair.Begin();
  pair.RunUntil(Millis(50));
  pair.Send(0, Raw(500, 1));
  const Nanos would_come = pair.now + kOneWay;
  pair.RunUntil(would_come);
  pair.TellLost(1, lost);
  pair.RunUntil(would_come + Millis(10));
  ASSERT_EQ(pair.delivered[1].size(), 1u);
  EXPECT_LE(pair.delivered[1][0].at, would_come + kOneWay * 2 + config.tick);
}

// ---- size, paths, preferences

TEST(Unit, FindsThePathsMtuAndSplitsForIt) {
  const auto narrow = [](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
    if (datagram.bytes.size() <= 1300) PassAll(datagram, arrivals);
  };
  UnitConfig config = Small();
  config.mtu.timeout = Millis(20);
  TestUnits pair(config, narrow);
  pair.Begin();
  Rng rng(9, "mtu");
  std::size_t sent = 0;
  for (; sent < 3000; ++sent) {
    ASSERT_EQ(pair.Send(0, RandomPacket(rng, sent % 2 == 0 ? 1400 : 1000)), UnitVerdict::kSent);
    pair.RunUntil(pair.now + Micros(500));
  }
  pair.RunUntil(pair.now + Millis(100));
  EXPECT_LE(pair.units[0].path_mtu(0), 1300u);
  EXPECT_GT(pair.units[0].path_mtu(0), 1300u - 16 - 1);
  EXPECT_EQ(pair.delivered[1].size(), sent);
  // 1400 B in two, 1000 B in one.
  EXPECT_EQ(pair.units[0].sent().data - pair.units[0].sent().resent, sent / 2 * 3);
}

TEST(Unit, APreferenceIsForRobustnessOrForBytes) {
  UnitConfig config = Small();
  config.repair = RepairRule::kPreferred;
  TestUnits pair(config, PassAll);
  pair.keeps_sent = true;
  pair.Begin();
  pair.RunUntil(Millis(50));
  const Raw packet(1400, 3);
  pair.Send(0, packet);
  pair.RunUntil(pair.now + Millis(20));
  EXPECT_EQ(pair.units[0].sent().data, 1u) << "whole: nothing says that splitting helps";
  EXPECT_EQ(pair.units[0].sent().repairs, 0u);
  pair.units[0].SetPreference(0, Preference::kRobustness);
  pair.sent[0].clear();
  const Nanos sent_at = pair.now;
  pair.Send(0, packet);
  pair.RunUntil(pair.now + Micros(900));
  std::size_t fragments = 0, repairs = 0;
  for (const TestUnits::Datagram& datagram : pair.sent[0]) {
    if (datagram.type == wire::ShardType::kData) ++fragments;
    if (datagram.type == wire::ShardType::kRepair) {
      ++repairs;
      EXPECT_GE(datagram.sent, sent_at + config.repair_after);
      EXPECT_LE(datagram.sent, sent_at + config.repair_after + config.tick);
    }
  }
  EXPECT_EQ(fragments, 4u);
  EXPECT_EQ(repairs, 1u);
  pair.RunUntil(pair.now + Millis(20));
  EXPECT_EQ(pair.delivered[1].size(), 2u);
  EXPECT_EQ(pair.Count(1, UnitVerdict::kRepairUnused), 1u);
  // Too small for four fragments of least_bytes each.
  pair.sent[0].clear();
  pair.Send(0, Raw(600, 1));
  EXPECT_EQ(pair.sent[0].size(), 2u);
}

// One of the fragments, whichever it is, and no request: the repair alone makes the packet whole.
TEST(Unit, ARepairMakesUpForAnyOneFragment) {
  for (std::size_t lost = 0; lost < 5; ++lost) {
    SCOPED_TRACE(lost);
    UnitConfig config = Small();
    config.preference = Preference::kRobustness;
    config.gaps.rule = GapRule::kNone;
    config.has_tail_probe = false;
    std::size_t seen = 0;
    const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
      const bool is_fragment =
          datagram.type == wire::ShardType::kData || datagram.type == wire::ShardType::kRepair;
      if (is_fragment && seen++ == lost) return;
      PassAll(datagram, arrivals);
    };
    TestUnits pair(config, network);
    pair.Begin();
    Rng rng(lost, "repair");
    const Raw packet = RandomPacket(rng, 1399);
    pair.Send(0, packet, 1);
    pair.RunUntil(Millis(20));
    ASSERT_EQ(pair.delivered[1].size(), 1u);
    EXPECT_EQ(pair.delivered[1][0].bytes, packet);
    EXPECT_EQ(pair.delivered[1][0].ecn, 1);
    EXPECT_EQ(pair.units[0].sent().resent, 0u);
  }
}

TEST(Unit, PathsAreTakenByWeight) {
  UnitConfig config = Small();
  config.held_packets = 4096;
  config.path_weights = {1, 2, 5};
  const auto shares = [&](PathRule rule, Preference preference) {
    config.path_rule = rule;
    config.preference = preference;
    config.repair = RepairRule::kNever;
    TestUnits pair(config, PassAll);
    pair.keeps_sent = true;
    pair.Begin();
    std::map<std::uint16_t, std::set<unsigned>> by_flow;
    std::map<std::uint64_t, std::set<unsigned>> by_packet;
    std::array<std::uint64_t, 3> count{};
    for (unsigned i = 0; i < 4000; ++i) {
      pair.Send(0, Raw(1200, 1), 0, static_cast<std::uint16_t>(i % 256 * 257));
      pair.RunUntil(pair.now + Micros(100));
    }
    for (const TestUnits::Datagram& datagram : pair.sent[0]) {
      if (datagram.type != wire::ShardType::kData) continue;
      wire::ShardMessage message;
      EXPECT_EQ(wire::ReadShardMessage(View(datagram.bytes), message), wire::ShardFault::kNone);
      ++count.at(datagram.path);
      by_flow[datagram.flow].insert(datagram.path);
      by_packet[message.base()].insert(datagram.path);
    }
    const double all = static_cast<double>(count[0] + count[1] + count[2]);
    EXPECT_NEAR(static_cast<double>(count[0]) / all, 1 / 8.0, 0.01);
    EXPECT_NEAR(static_cast<double>(count[2]) / all, 5 / 8.0, 0.01);
    std::size_t most_of_flow = 0, most_of_packet = 0;
    for (const auto& each : by_flow) most_of_flow = std::max(most_of_flow, each.second.size());
    for (const auto& each : by_packet) most_of_packet = std::max(most_of_packet, each.second.size());
    return std::pair(most_of_flow, most_of_packet);
  };
  using Most = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(shares(PathRule::kFlow, Preference::kRobustness), Most(1, 1));
  EXPECT_EQ(shares(PathRule::kPacket, Preference::kRobustness), Most(3, 1));
  EXPECT_EQ(shares(PathRule::kFragment, Preference::kRobustness), Most(3, 3));
}

// Two paths, of which the second is longer and narrower and loses: each has its MTU, its losses and its round
// trip, and packets are cut for the path they go by.
TEST(Unit, KnowsEachPathByItself) {
  for (const PathRule rule : {PathRule::kFlow, PathRule::kPacket, PathRule::kFragment}) {
    SCOPED_TRACE(static_cast<int>(rule));
    UnitConfig config = Small();
    config.held_packets = 512;
    config.retransmission.packets = 512;
    config.retransmission.numbers = 4096;
    config.mtu.timeout = Millis(20);
    config.path_weights = {1, 1};
    config.path_rule = rule;
    Rng rng(5, "two paths");
    std::size_t widest[2] = {};
    const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
      if (datagram.path == 1 && (datagram.bytes.size() > 1300 || rng.Below(20) == 0)) return;
      if (datagram.type == wire::ShardType::kData)
        widest[datagram.path] = std::max(widest[datagram.path], datagram.bytes.size());
      arrivals.emplace_back(datagram.sent + (datagram.path == 0 ? Millis(1) : Millis(3)), datagram);
    };
    TestUnits pair(config, network);
    pair.Begin();
    pair.RunUntil(Millis(500));
    const std::size_t packets = 4000;
    for (std::size_t i = 0; i < packets; ++i) {
      pair.Send(0, RandomPacket(rng, 1400), 0, i % 2 == 0 ? 0 : 0xffff);
      pair.RunUntil(pair.now + Micros(200));
    }
    pair.RunUntil(pair.now + Millis(200));
    const Unit& unit = pair.units[0];
    ASSERT_EQ(unit.paths(), 2u);
    EXPECT_EQ(unit.path_mtu(0, 0), config.mtu.most);
    EXPECT_LE(unit.path_mtu(0, 1), 1300u);
    EXPECT_GT(unit.path_mtu(0, 1), 1300u - config.mtu.grain - 1);
    // What is spread over both is cut for both.
    EXPECT_EQ(widest[0] > 1400, rule != PathRule::kFragment);
    EXPECT_GT(widest[1], 600u);
    EXPECT_EQ(unit.Report(0, pair.now, 0).loss, 0);
    EXPECT_NEAR(unit.Report(0, pair.now, 1).loss, 0.05, 0.05);
    EXPECT_GT(unit.path_use(0, 1).lost, 50u);
    EXPECT_EQ(unit.path_use(0, 0).lost, 0u);
    EXPECT_EQ(unit.path_use(0, 0).datagrams + unit.path_use(0, 1).datagrams,
              unit.sent().data + unit.sent().repairs + unit.sent().feedback + unit.sent().probes +
                  unit.sent().mtu_probes);
    // The way back is either: 1 or 3 ms.
    EXPECT_NEAR(ToSeconds(unit.Report(0, pair.now, 0).latency), 3e-3, 1.1e-3);
    EXPECT_NEAR(ToSeconds(unit.Report(0, pair.now, 1).latency), 5e-3, 1.1e-3);
    EXPECT_GT(unit.Report(0, pair.now, 1).least_latency, unit.Report(0, pair.now, 0).least_latency);
    // 5 % of losses in three sendings leave one packet in some thousand.
    EXPECT_GE(pair.delivered[1].size(), packets - 5);
    const GapDetector::Counts& gaps = pair.units[1].gaps(0).counts();
    EXPECT_GT(gaps.asked, 50u);
    EXPECT_EQ(gaps.spurious, 0u) << "each path keeps its order";
  }
}

// Whatever the round trip, from a cable's to a satellite's: what is not lost is not sent again.
TEST(Unit, WhereNothingIsLostNothingIsSentAgain) {
  for (const std::size_t paths : {1u, 2u}) {
    for (const Nanos one_way : {Nanos(500), Micros(5), Micros(40), Micros(120), Micros(300), Micros(700),
                                Millis(2), Millis(20), Millis(270)}) {
      for (const Nanos every : {Nanos(), Micros(500), Millis(5)}) {
        SCOPED_TRACE(testing::Message()
                     << paths << " paths, " << one_way.count() << " ns, " << every.count());
        UnitConfig config = Small();
        config.path_weights.assign(paths, 1);
        config.path_rule = PathRule::kPacket;
        config.feedback.every = every;
        config.reassembler.slots = 4096;
        config.gaps = GapDetectorConfig();
        config.held_packets = config.retransmission.packets = 2048;
        config.retransmission.numbers = 8192;
        const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
          arrivals.emplace_back(datagram.sent + one_way + one_way / 2 * datagram.path, datagram);
        };
        TestUnits pair(config, network);
        pair.Begin();
        pair.RunUntil(one_way * 6 + Millis(20));
        Rng rng(3, "clean");
        std::uint64_t sent = 0;
        for (unsigned i = 0; i < 100; ++i) {
          // A packet, or some in a row, then silences of all lengths.
          for (unsigned k = rng.Below(4) == 0 ? 20 : 1; k > 0; --k, ++sent)
            ASSERT_EQ(pair.Send(0, RandomPacket(rng, 60 + rng.Below(1400))), UnitVerdict::kSent);
          pair.RunUntil(pair.now + Micros(std::int64_t{1} << rng.Below(13)));
        }
        pair.RunUntil(pair.now + one_way * 8 + Millis(50));
        EXPECT_EQ(pair.delivered[1].size(), sent);
        EXPECT_EQ(pair.units[0].sent().resent, 0u);
        EXPECT_EQ(pair.units[1].gaps(0).counts().requests, 0u);
      }
    }
  }
}

TEST(Unit, MarksGoThroughAndAreReported) {
  unsigned count = 0;
  const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
    TestUnits::Datagram marked = datagram;
    if (datagram.type == wire::ShardType::kData && ++count % 2 == 0) marked.ecn = 3;
    PassAll(marked, arrivals);
  };
  TestUnits pair(Small(), network);
  pair.Begin();
  for (std::size_t i = 0; i < 1000; ++i) {
    pair.Send(0, Raw(500, 2), 2);
    pair.RunUntil(pair.now + Micros(100));
  }
  pair.RunUntil(pair.now + Millis(10));
  std::size_t marked = 0;
  for (const TestUnits::Packet& packet : pair.delivered[1]) {
    EXPECT_TRUE(packet.ecn == 2 || packet.ecn == 3);
    if (packet.ecn == 3) ++marked;
  }
  EXPECT_EQ(marked, 500u);
  EXPECT_NEAR(pair.units[0].Report(0, pair.now).marks, 0.5, 0.1);
}

// ---- keys and sessions

TEST(Unit, KeysComeAndGo) {
  UnitConfig config = Small();
  config.most_key_bytes = 10'000;
  TestUnits pair(config, PassAll);
  const Raw packet(1000, 5);
  EXPECT_EQ(pair.Send(0, packet), UnitVerdict::kNoSession);
  pair.Begin();
  EXPECT_TRUE(pair.units[0].IsReady(0));
  EXPECT_EQ(pair.Send(0, Raw()), UnitVerdict::kEmpty);
  EXPECT_EQ(pair.Send(0, Raw(1515, 1)), UnitVerdict::kTooLong);
  while (pair.Send(0, packet) == UnitVerdict::kSent) ASSERT_LT(pair.Count(0, UnitVerdict::kSent), 20u);
  EXPECT_GE(pair.units[0].key_use(0).bytes, 10'000u);
  EXPECT_EQ(pair.Count(0, UnitVerdict::kKeySpent), 1u);
  EXPECT_FALSE(pair.units[0].IsReady(0));
  pair.Rekey(0, 1);
  pair.Rekey(1, 1);
  EXPECT_EQ(pair.Send(0, packet), UnitVerdict::kSent);
  EXPECT_FALSE(pair.units[0].InstallSendingKey(0, 1, kTestCipher, TestKey(9).data())) << "it lives already";
  // What was sealed by the key before is still opened, until that is retired.
  const std::uint64_t sent = pair.Count(0, UnitVerdict::kSent);
  pair.RunUntil(Millis(5));
  EXPECT_EQ(pair.delivered[1].size(), sent);
  pair.Send(0, packet);
  pair.Rekey(1, 2);
  pair.units[1].RetireKeys(0);
  pair.RunUntil(pair.now + Millis(5));
  EXPECT_EQ(pair.delivered[1].size(), sent);
  EXPECT_GT(pair.Count(1, UnitVerdict::kUnknownEpoch), 0u);
  // A session that the receiver cannot have named.
  UnitConfig two = config;
  two.peers = 2;
  Unit unit(two);
  Nowhere nowhere;
  UnitWork work;
  EXPECT_EQ(unit.places(), 2u);
  EXPECT_FALSE(unit.Begin(0, 4, 5, Nanos(), nowhere, work));
  EXPECT_FALSE(unit.Begin(2, 4, 6, Nanos(), nowhere, work));
  EXPECT_TRUE(unit.Begin(1, 4, 5, Nanos(), nowhere, work));
  EXPECT_FALSE(unit.InstallSendingKey(0, 0, kTestCipher, TestKey(0).data())) << "it has not begun";
}

// One side loses all it knew, and both begin a new session: what was under way is given up, and after that
// all is as before.
TEST(Unit, APeerThatStartsAnewIsHeardAgain) {
  UnitConfig config = Small();
  config.preference = Preference::kRobustness;
  unsigned lost = 0;
  const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
    if (datagram.type == wire::ShardType::kData && ++lost % 7 == 0) return;
    PassAll(datagram, arrivals);
  };
  TestUnits pair(config, network);
  pair.Begin();
  Rng rng(4, "restart");
  for (std::uint8_t life = 1; life <= 3; ++life) {
    for (std::size_t i = 0; i < 100; ++i) {
      pair.Send(0, RandomPacket(rng, 1300));
      pair.RunUntil(pair.now + Micros(100));
    }
    pair.Restart(0, kTestSessions[1] + life, kTestSessions[0] + life);
    pair.Restart(1, kTestSessions[0] + life, kTestSessions[1] + life);
    for (int unit = 0; unit < 2; ++unit) pair.Rekey(unit, 0);
    EXPECT_EQ(pair.units[0].held_packets(), 0u);
    EXPECT_EQ(pair.units[1].packets_under_way(), 0u);
  }
  const std::size_t before = pair.delivered[1].size();
  EXPECT_GT(before, 250u);
  pair.RunUntil(pair.now + Millis(100));
  for (std::size_t i = 0; i < 100; ++i) {
    pair.Send(0, RandomPacket(rng, 1300));
    pair.RunUntil(pair.now + Micros(100));
  }
  pair.RunUntil(pair.now + Millis(100));
  EXPECT_EQ(pair.delivered[1].size(), before + 100);
  EXPECT_GT(pair.Count(1, UnitVerdict::kUnknownSession), 0u) << "what was on the wire";
}

// ---- memory

// Two peers send; one of them is never answered. It may hold what the other leaves, and no more.
TEST(Unit, NobodyLosesItsShareToAnother) {
  UnitConfig config = Small();
  config.peers = 2;
  config.held_packets = 32;
  config.preference = Preference::kBandwidth;
  Unit unit(config);
  Nowhere out;
  UnitWork work;
  for (std::uint32_t peer = 0; peer < 2; ++peer) {
    ASSERT_TRUE(unit.Begin(peer, peer, peer, Nanos(), out, work));
    ASSERT_TRUE(unit.InstallSendingKey(peer, 0, kTestCipher, TestKey(0).data()));
    ASSERT_TRUE(unit.InstallReceivingKey(peer, 0, kTestCipher, TestKey(1).data()));
  }
  const Raw packet(1000, 1);
  for (unsigned i = 0; i < 200; ++i) unit.Send({0, View(packet), 0, 0}, Micros(i), out, work);
  EXPECT_EQ(unit.held_packets(0), 32u) << "what nobody else needs";
  for (unsigned i = 0; i < 16; ++i) unit.Send({1, View(packet), 0, 0}, Micros(200), out, work);
  EXPECT_EQ(unit.held_packets(1), 16u);
  EXPECT_EQ(unit.held_packets(0), 16u);
  for (unsigned i = 0; i < 500; ++i) unit.Send({0, View(packet), 0, 0}, Micros(300), out, work);
  EXPECT_EQ(unit.held_packets(1), 16u) << "within its share";
  EXPECT_EQ(unit.held_packets(0), 16u);
}

TEST(Unit, WhatDoesNotVerifyChangesNothing) {
  TestUnits pair(Small(), PassAll);
  pair.Begin();
  pair.Send(0, Raw(1000, 1));
  pair.RunUntil(Millis(1) - Nanos(1));
  ASSERT_FALSE(pair.on_wire.empty());
  const std::uint64_t delivered = pair.delivered[1].size();
  Rng rng(6, "forged");
  const TestUnits::Datagram honest = pair.on_wire.begin()->second;
  for (unsigned i = 0; i < 20'000; ++i) {
    TestUnits::Datagram forged = honest;
    forged.bytes[rng.Below(static_cast<std::uint32_t>(forged.bytes.size()))] ^=
        static_cast<std::uint8_t>(1 + rng.Below(255));
    const UnitVerdict verdict = pair.Deliver(forged).verdict;
    ASSERT_TRUE(verdict >= UnitVerdict::kMalformed && verdict <= UnitVerdict::kForged) << Name(verdict);
  }
  EXPECT_EQ(pair.delivered[1].size(), delivered);
  EXPECT_EQ(pair.units[1].packets_under_way(), 0u);
  EXPECT_EQ(pair.units[1].gaps(0).counts().received, 0u);
  pair.RunUntil(Millis(10));
  EXPECT_EQ(pair.delivered[1].size(), 1u);
  EXPECT_EQ(Sum(pair.units[1].counts()), 20'000 + pair.Count(1, UnitVerdict::kDelivered) +
                                             pair.Count(1, UnitVerdict::kProbe) +
                                             pair.Count(1, UnitVerdict::kFeedback));
}

// ---- work

// What the cipher did is what the datagrams carry: counted from their bytes.
TEST(Unit, CountsTheWorkOfEachEngine) {
  TestUnits pair(Small(), PassAll);
  pair.keeps_sent = true;
  pair.Begin();
  for (std::size_t i = 0; i < 50; ++i) {
    pair.Send(0, Raw(100 + i * 20, 1));
    pair.RunUntil(pair.now + Micros(100));
  }
  pair.RunUntil(pair.now + Millis(20));
  pair.on_wire.clear();
  std::uint64_t sealed = 0, text = 0;
  for (const auto& sent : pair.sent) {
    for (const TestUnits::Datagram& datagram : sent) {
      wire::ShardMessage message;
      ASSERT_EQ(wire::ReadShardMessage(View(datagram.bytes), message), wire::ShardFault::kNone);
      // Those of the last millisecond have not arrived.
      const unsigned times = datagram.sent + kOneWay < pair.now ? 2 : 1;
      sealed += times;
      text += message.sealed.size * times;
    }
  }
  const Work& cipher = pair.work[UnitEngine::kCipher];
  EXPECT_EQ(cipher[WorkItem::kSeal], sealed);
  EXPECT_EQ(cipher[WorkItem::kByteCiphered], text);
  for (const UnitEngine other : {UnitEngine::kSplit, UnitEngine::kReassembly, UnitEngine::kTimers}) {
    EXPECT_EQ(pair.work[other][WorkItem::kSeal], 0u);
    EXPECT_GT(pair.work[other][WorkItem::kHeader] + pair.work[other][WorkItem::kUpdate] +
                  pair.work[other][WorkItem::kProbe],
              0u)
        << Name(other);
  }
}

// ---- names, refusals

TEST(Unit, VerdictsHaveDistinctNames) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kUnitVerdicts; ++i) names.insert(Name(static_cast<UnitVerdict>(i)));
  EXPECT_EQ(names.size(), kUnitVerdicts);
  EXPECT_EQ(Name(static_cast<UnitVerdict>(kUnitVerdicts)), nullptr);
  std::set<UnitVerdict> of_fates, of_statuses;
  for (std::size_t i = 0; i < kFragmentFates; ++i) of_fates.insert(VerdictOf(static_cast<FragmentFate>(i)));
  EXPECT_EQ(of_fates.size(), 12u);
  for (std::size_t i = 1; i < kOpenStatuses; ++i)
    EXPECT_STREQ(Name(VerdictOf(static_cast<OpenStatus>(i))), Name(static_cast<OpenStatus>(i)));
}

TEST(Unit, RefusesWhatCannotBe) {
  const auto refused = [](void (*change)(UnitConfig&)) -> std::string {
    UnitConfig config = Small();
    change(config);
    try {
      Unit unit(config);
    } catch (const Refusal& refusal) {
      return refusal.what();
    }
    return "";
  };
  EXPECT_EQ(refused([](UnitConfig&) {}), "");
  EXPECT_EQ(refused([](UnitConfig& c) { c.peers = 0; }),
            "packet dynamics unit: peers is 0, allowed: 1 .. 256");
  EXPECT_EQ(refused([](UnitConfig& c) { c.tick = Nanos(1); }),
            "packet dynamics unit: tick is 1 ns, allowed: 1000 .. 10000000 ns");
  EXPECT_NE(refused([](UnitConfig& c) { c.most_packet_bytes = 65'535; }), "") << "it fits no path";
  EXPECT_NE(refused([](UnitConfig& c) { c.most_packet_bytes = 0; }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.held_packets = 0; }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.path_weights.clear(); }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.path_weights.assign(17, 1); }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.path_weights = {1, 0}; }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.robust_fragments = 0; }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.repair_after = Seconds(2); }), "");
  EXPECT_NE(refused([](UnitConfig& c) { c.size.most_fragments = 17; }), "") << "more than the peer takes";
  EXPECT_NE(refused([](UnitConfig& c) { c.size.least_bytes = 63; }), "") << "smaller than the peer takes";
  EXPECT_NE(refused([](UnitConfig& c) { c.feedback.most_bytes = 1200; }), "") << "it fits no path";
  EXPECT_NE(refused([](UnitConfig& c) { c.most_key_bytes = 0; }), "");
}

}  // namespace
}  // namespace foreflow::shard
