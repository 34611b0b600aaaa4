// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/token_bucket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "models/base/rng.h"

namespace foreflow {
namespace {

TEST(TokenBucket, AllowsABurstAndThenItsRate) {
  TokenBucket bucket(1000, 3);
  const auto takes = [&](Nanos now) {
    int taken = 0;
    while (bucket.Take(now)) ++taken;
    return taken;
  };
  EXPECT_EQ(takes(Seconds(5)), 3);
  EXPECT_EQ(takes(Seconds(5) + Nanos(999'999)), 0);
  EXPECT_EQ(takes(Seconds(5) + Millis(1)), 1);
  EXPECT_EQ(takes(Seconds(1)), 0);  // backwards
  EXPECT_EQ(takes(Seconds(9)), 3);
  bucket.GiveBack();
  EXPECT_EQ(takes(Seconds(9)), 1);
}

TEST(TokenBucket, OfRateZeroGivesItsBurstOnce) {
  TokenBucket bucket(0, 1);
  EXPECT_TRUE(bucket.Take(Seconds(1)));
  EXPECT_FALSE(bucket.Take(Nanos(INT64_MAX)));
}

TEST(TokenBucket, ExtremesDoNotOverflow) {
  TokenBucket bucket(UINT32_MAX, INT32_MAX);
  EXPECT_TRUE(bucket.Take(Nanos(INT64_MIN)));
  EXPECT_TRUE(bucket.Take(Nanos(INT64_MAX)));
}

// Against the same in numbers that are not exact.
TEST(TokenBucket, IsItsDefinition) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "token_bucket_test");
    const std::uint32_t rate = 1 + rng.Below(100'000), burst = 1 + rng.Below(40);
    TokenBucket bucket(rate, burst);
    double tokens = burst;
    Nanos now;
    for (int i = 0; i < 5000; ++i) {
      const auto gap = static_cast<std::int64_t>(rng.Exponential(1e9 / rate));
      now += Nanos(gap);
      tokens = std::min<double>(burst, tokens + static_cast<double>(gap) * 1e-9 * rate);
      if (std::abs(tokens - 1) < 1e-6) continue;  // would not be decided alike
      const bool allowed = tokens >= 1;
      ASSERT_EQ(bucket.Take(now), allowed) << i;
      if (allowed) tokens -= 1;
    }
  }
}

}  // namespace
}  // namespace foreflow
