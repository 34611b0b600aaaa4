// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/life_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace foreflow::predict {
namespace {

constexpr double kOn = 2e-3, kPause = 8e-3, kTurns = 0.25;  // s, s, share

// Gaps of mean kOn before packets that go on; of mean kOn and then kPause before those that turn.
class Sender {
 public:
  explicit Sender(std::uint64_t seed) : random_(seed) {}
  void Feed(LifeTable& table) {
    const bool turned = Draw(1) < -std::log(1 - kTurns);
    const double gap = Draw(kOn) + (turned ? Draw(kPause) : 0);
    table.See(Nanos(static_cast<std::int64_t>(gap * 1e9)), turned);
  }

 private:
  double Draw(double mean) {
    return -mean * std::log((static_cast<double>(random_() >> 11) + 0.5) / 9007199254740992.0);
  }
  std::mt19937_64 random_;
};

// The closed form of that sender's hazards.
LifeTable::Hazard Exact(double silence) {
  const double on = std::exp(-silence / kOn), pause = std::exp(-silence / kPause);
  const double still_on = (1 - kTurns) * on;
  const double still_turning = kTurns * (kPause * pause - kOn * on) / (kPause - kOn);
  const double turning = kTurns * (pause - on) / (kPause - kOn);
  return {still_on / kOn / (still_on + still_turning), turning / (still_on + still_turning)};
}

TEST(LifeTable, FindsTheHazardsOfAKnownSender) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE("seed 5");
  Sender sender(kSeed);
  LifeTable table, others;
  for (int i = 0; i < 4000; ++i) sender.Feed(table);
  for (const double silence : {0.5e-3, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3}) {
    SCOPED_TRACE(silence);
    const LifeTable::Hazard found = table.After(Nanos(static_cast<std::int64_t>(silence * 1e9)), others);
    const LifeTable::Hazard exact = Exact(silence);
    const double all = exact.on + exact.turn;
    EXPECT_NEAR(found.on, exact.on, 0.15 * all);
    EXPECT_NEAR(found.turn, exact.turn, 0.15 * all);
  }
  EXPECT_NEAR(static_cast<double>(table.MeanGap().count()), 1e9 * (kOn + kTurns * kPause), 2e6);
}

TEST(LifeTable, WhatOthersShowedStandsInForWhatIsNotKnownYet) {
  Sender sender(6);
  LifeTable fresh, others;
  for (int i = 0; i < 4000; ++i) sender.Feed(others);
  const LifeTable::Hazard theirs = others.After(Millis(4), LifeTable());
  const LifeTable::Hazard adopted = fresh.After(Millis(4), others);
  EXPECT_NEAR(adopted.on, theirs.on, 1e-6 * theirs.on);
  EXPECT_NEAR(adopted.turn, theirs.turn, 1e-6 * theirs.turn);
  // A sender that never turns is believed after some packets.
  for (int i = 0; i < 1000; ++i) fresh.See(Millis(4), false);
  EXPECT_LT(fresh.After(Millis(4), others).turn, 0.02 * fresh.After(Millis(4), others).on);
}

TEST(LifeTable, SaysNothingOfSilencesThatNobodyKept) {
  LifeTable table;
  const LifeTable others;
  EXPECT_EQ(table.After(Millis(1), others).on, 0);
  for (int i = 0; i < 10; ++i) table.See(Micros(50), i % 2 == 0);
  EXPECT_EQ(table.After(Seconds(5), others).on, 0);
  EXPECT_EQ(table.After(Seconds(5), others).turn, 0);
  EXPECT_GT(table.After(Micros(40), others).on, 0);
}

TEST(LifeTable, FollowsASenderThatChanges) {
  LifeTable table;
  const LifeTable others;
  for (int i = 0; i < 20'000; ++i) table.See(Millis(1), false);
  for (int i = 0; i < 40'000; ++i) table.See(Millis(1), true);
  EXPECT_LT(table.After(Millis(1), others).on, 0.01 * table.After(Millis(1), others).turn);
}

TEST(LifeTable, TakesAnyGap) {
  LifeTable table;
  const LifeTable others;
  for (const std::int64_t gap : {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, INT64_MAX}) {
    for (int i = 0; i < 5000; ++i) table.See(Nanos(gap), i % 2 == 0);
  }
  for (const std::int64_t silence : {INT64_MIN, std::int64_t{0}, std::int64_t{1} << 20, INT64_MAX}) {
    const LifeTable::Hazard found = table.After(Nanos(silence), others);
    EXPECT_TRUE(std::isfinite(found.on) && found.on >= 0);
    EXPECT_TRUE(std::isfinite(found.turn) && found.turn >= 0);
  }
}

}  // namespace
}  // namespace foreflow::predict
