// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/fixed_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

constexpr std::uint32_t kOne = 65536;

Distribution Random(Rng& rng) {
  Distribution made{};
  std::array<std::uint32_t, kPacketTypes> part{};
  std::uint32_t total = 0;
  for (std::uint32_t& each : part) total += each = 1 + rng.Below(1000);
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = part[i] * kOne / total;
  made[0] += kOne - std::accumulate(made.begin(), made.end(), 0u);
  return made;
}

double Bits(std::uint32_t probability) { return 16 - std::log2(std::max(probability, 1u)); }

// Beside the same rule in doubles.
TEST(FixedShare, FollowsBayesRuleAndSharesBack) {
  Rng rng(5, "fixed_share");
  FixedShare share;
  double weight = 0.5;
  for (int step = 0; step < 20'000; ++step) {
    const Distribution one = Random(rng), other = Random(rng);
    const Distribution mixed = share.Mix(one, other);
    const std::uint32_t sum = std::accumulate(mixed.begin(), mixed.end(), 0u);
    EXPECT_NEAR(sum, kOne, kPacketTypes);
    const std::size_t truth = rng.Below(kPacketTypes);
    EXPECT_NEAR(mixed[truth], weight * one[truth] + (1 - weight) * other[truth], 0.001 * kOne);
    share.Learn(one[truth], other[truth]);
    weight *= one[truth] / (weight * one[truth] + (1 - weight) * other[truth]);
    weight += (0.5 - weight) / 256;
    ASSERT_NEAR(share.weight() / 32768.0, weight, 0.01);
  }
}

// The bound of the header, on outcomes where one is right and the other wrong, in turns.
TEST(FixedShare, LosesLittleToWhicheverIsBetterAndToTheirTurns) {
  constexpr int kTurns = 8, kRows = 1000;
  constexpr std::uint32_t kSure = 60000, kUnsure = 900;
  FixedShare share;
  double loss = 0, best = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int row = 0; row < kRows; ++row) {
      const std::uint32_t one = turn % 2 == 0 ? kSure : kUnsure, other = turn % 2 == 0 ? kUnsure : kSure;
      Distribution first{}, second{};
      first[0] = one;
      second[0] = other;
      loss += Bits(share.Mix(first, second)[0]);
      best += Bits(kSure);
      share.Learn(one, other);
    }
  }
  EXPECT_LT(loss, best + 1 + 9 * (kTurns - 1) + 0.003 * kTurns * kRows);
  EXPECT_GT(loss, best);
}

TEST(FixedShare, NeitherIsEverGivenUp) {
  FixedShare share;
  for (int i = 0; i < 1000; ++i) share.Learn(0, kOne);
  EXPECT_GT(share.weight(), 0u);
  for (int i = 0; i < 1000; ++i) share.Learn(kOne, 0);
  EXPECT_LT(share.weight(), 32768u);
  for (int i = 0; i < 3; ++i) share.Learn(0, kOne);
  EXPECT_LT(share.weight(), 200u);
}

}  // namespace
}  // namespace foreflow::predict
