// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/pace.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace foreflow::predict {
namespace {

TEST(Pace, FindsTheSilenceOfLeastLossOfExponentialGaps) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE("seed 5");
  std::mt19937_64 random(kSeed);
  const auto draw = [&](double mean) {
    return -mean * std::log((static_cast<double>(random() >> 11) + 0.5) / 9007199254740992.0);
  };
  const double on = 2e6, turn = 10e6, turns = 0.25;
  Pace pace;
  double sum = 0;
  int count = 0;
  for (int i = 0; i < 20'000; ++i) {
    const bool turned = draw(1) < -std::log(1 - turns);
    pace.See(Nanos(static_cast<std::int64_t>(draw(turned ? turn : on))), turned);
    if (i < 100) continue;
    sum += static_cast<double>(pace.Patience().count());
    ++count;
  }
  // The estimate moves with its short memory; its mean is near the closed form.
  const double exact = std::log((1 - turns) * turn / (turns * on)) / (1 / on - 1 / turn);
  EXPECT_NEAR(sum / count, exact, 0.1 * exact);

  // And the closed form is where the loss is least: dropped too early, or prepared too late.
  const auto loss = [&](double silence) {
    return (1 - turns) * std::exp(-silence / on) + turns * (1 - std::exp(-silence / turn));
  };
  EXPECT_LT(loss(exact), loss(0.9 * exact));
  EXPECT_LT(loss(exact), loss(1.1 * exact));
}

TEST(Pace, WaitsForEverWhereSilenceTellsNothing) {
  Pace pace;
  EXPECT_EQ(pace.Patience(), Pace::kNever);
  for (int i = 0; i < 100; ++i) pace.See(Millis(2), false);
  EXPECT_EQ(pace.Patience(), Pace::kNever);  // it has never turned
  for (int i = 0; i < 100; ++i) pace.See(Millis(1), i % 2 == 0);
  EXPECT_EQ(pace.Patience(), Pace::kNever);  // it turns after shorter silences
}

TEST(Pace, DoesNotWaitForWhoAlwaysTurns) {
  Pace pace;
  pace.See(Millis(1), false);
  for (int i = 0; i < 1000; ++i) pace.See(Millis(2), true);
  EXPECT_EQ(pace.Patience(), Nanos(0));
}

TEST(Pace, StandsGapsOfAnyLength) {
  Pace pace;
  for (int i = 0; i < 200; ++i) {
    pace.See(Nanos(INT64_MAX), i % 4 == 0);
    pace.See(Nanos(-5), i % 4 == 1);
    EXPECT_GE(pace.Patience(), Nanos(0));
  }
}

}  // namespace
}  // namespace foreflow::predict
