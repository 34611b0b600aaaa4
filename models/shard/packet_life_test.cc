// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/packet_life.h"

#include <gtest/gtest.h>

#include <map>

#include "models/shard/test_pair.h"

namespace foreflow::shard {
namespace {

constexpr Nanos kDelay = Millis(1);
constexpr Nanos kWait = Micros(300);

// Packets of one fragment, over a network that loses and does nothing else; asked for after kWait.
UnitPairConfig Lossy() {
  UnitPairConfig config;
  config.unit.gaps.rule = GapRule::kFixed;
  config.unit.gaps.wait = kWait;
  config.unit.has_tail_probe = false;
  config.forth.paths[0].delay = config.back.paths[0].delay = kDelay;
  config.forth.paths[0].loss = 0.05;
  return config;
}

// Frames of `bytes`, one a millisecond; then looks at each life.
template <typename Look>
void ForEachLife(const UnitPairConfig& config, std::size_t frames, std::size_t bytes, const Look& look) {
  PacketLives lives(config);
  UnitPair pair(config, &lives);
  Rng rng(5, "packet_life_test");
  for (std::size_t i = 0; i < frames; ++i)
    pair.Input(View(RandomPacket(rng, bytes)), Millis(static_cast<std::int64_t>(i)));
  pair.Finish();
  ASSERT_EQ(lives.lives().size(), frames);
  for (std::size_t i = 0; i < frames; ++i) look(pair.frames()[i], lives.lives()[i]);
  const Unit::Sent& sent = pair.unit(0).sent();
  std::map<SendCause, std::uint64_t> causes;
  for (const PacketLife& life : lives.lives())
    for (const PacketLife::Datagram& datagram : life.datagrams) ++causes[datagram.cause];
  EXPECT_EQ(causes[SendCause::kCut], sent.data - sent.resent);
  EXPECT_EQ(causes[SendCause::kAsked] + causes[SendCause::kTailProbe], sent.resent);
  EXPECT_EQ(causes[SendCause::kRepair], sent.repairs);
}

TEST(PacketLives, TellWhenAndWhyWhatWasLostIsSentAgain) {
  std::size_t hurt = 0;
  ForEachLife(Lossy(), 400, 1000, [&](const UnitPair::Frame& frame, const PacketLife& life) {
    ASSERT_FALSE(life.datagrams.empty());
    const PacketLife::Datagram& first = life.datagrams[0];
    EXPECT_EQ(life.total, 1u);
    EXPECT_EQ(first.number, frame.base);
    EXPECT_EQ(first.cause, SendCause::kCut);
    EXPECT_EQ(first.sent, frame.in);
    if (first.fate == impair::Fate::kPassed) {
      ASSERT_EQ(first.arrivals.size(), 1u);
      EXPECT_EQ(first.arrivals[0].at, frame.in + kDelay);
      EXPECT_EQ(first.arrivals[0].verdict, UnitVerdict::kDelivered);
      EXPECT_EQ(frame.out, frame.in + kDelay);
      EXPECT_TRUE(life.requests.empty());
      EXPECT_EQ(life.datagrams.size(), 1u);
      return;
    }
    EXPECT_EQ(first.fate, impair::Fate::kRandomLoss);
    EXPECT_TRUE(first.arrivals.empty());
    if (frame.fate == FrameFate::kLost) return;  // among the last ones
    ++hurt;
    ASSERT_GE(life.requests.size(), 1u);
    ASSERT_GE(life.datagrams.size(), 2u);
    const PacketLife::Request& request = life.requests[0];
    const PacketLife::Datagram& again = life.datagrams[1];
    EXPECT_EQ(request.number, frame.base);
    EXPECT_EQ(request.nth, 1u);
    EXPECT_EQ(request.cause, AskCause::kGap);
    // The wait, up to the next tick.
    EXPECT_GE(request.missing, kWait);
    EXPECT_LE(request.missing, kWait + Micros(50));
    EXPECT_EQ(request.heard, request.sent + kDelay);
    EXPECT_EQ(again.cause, SendCause::kAsked);
    EXPECT_EQ(again.original, frame.base);
    EXPECT_EQ(again.sent, request.heard);
  });
  EXPECT_GT(hurt, 10u);
}

TEST(PacketLives, TellOfRepairsAndOfTails) {
  UnitPairConfig config = Lossy();
  config.unit.preference = Preference::kRobustness;
  config.unit.repair = RepairRule::kAlways;
  config.unit.gaps.rule = GapRule::kNone;
  config.unit.has_tail_probe = true;
  std::size_t repaired = 0, probed = 0;
  ForEachLife(config, 400, 1000, [&](const UnitPair::Frame& frame, const PacketLife& life) {
    EXPECT_GT(life.total, 1u);
    EXPECT_TRUE(life.requests.empty()) << "nobody asks";
    for (const PacketLife::Datagram& datagram : life.datagrams) {
      EXPECT_NE(datagram.cause, SendCause::kAsked);
      probed += datagram.cause == SendCause::kTailProbe ? 1 : 0;
      if (datagram.cause != SendCause::kRepair) continue;
      EXPECT_GE(datagram.sent, frame.in + config.unit.repair_after);
      for (const PacketLife::Arrival& arrival : datagram.arrivals)
        repaired += arrival.verdict == UnitVerdict::kDelivered ? 1 : 0;
    }
  });
  EXPECT_GT(repaired, 10u);
  EXPECT_GT(probed, 0u);
}

TEST(PacketLives, TellOfCopiesAndOfChangedBytes) {
  UnitPairConfig config = Lossy();
  impair::PathConfig& path = config.forth.paths[0];
  path.loss = 0;
  path.duplicate = 0.2;
  path.duplicate_after = Micros(10);
  path.corrupt = 0.2;
  std::size_t copies = 0, forged = 0;
  ForEachLife(config, 200, 1000, [&](const UnitPair::Frame&, const PacketLife& life) {
    for (const PacketLife::Datagram& datagram : life.datagrams) {
      EXPECT_LE(datagram.arrivals.size(), 2u);
      copies += datagram.arrivals.size() == 2 ? 1 : 0;
      for (const PacketLife::Arrival& arrival : datagram.arrivals) {
        if (arrival.verdict == UnitVerdict::kDelivered) {
          EXPECT_FALSE(arrival.is_changed);
        }
        if (arrival.verdict == UnitVerdict::kForged) {
          EXPECT_TRUE(arrival.is_changed);
        }
        forged += arrival.verdict == UnitVerdict::kForged ? 1 : 0;
      }
    }
  });
  EXPECT_GT(copies, 10u);
  EXPECT_GT(forged, 10u);
}

}  // namespace
}  // namespace foreflow::shard
