// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/conformal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <vector>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

TEST(AdaptiveConformal, IsItsDefinition) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "conformal_test");
    const double miss_rate = 0.125, step = 1.0 / 32;
    AdaptiveConformal conformal(8192, 2048);
    std::deque<std::int32_t> window;
    double level = miss_rate;
    for (int i = 0; i < 3000; ++i) {
      std::vector<std::int32_t> sorted(window.begin(), window.end());
      std::sort(sorted.begin(), sorted.end());
      const auto n = static_cast<double>(sorted.size());
      const auto rank = static_cast<std::int64_t>(std::ceil((n + 1) * (1 - level)));
      std::int32_t threshold = INT32_MAX;
      if (level >= 1) {
        threshold = INT32_MIN;
      } else if (level > 0 && rank <= static_cast<std::int64_t>(n)) {
        threshold = sorted[static_cast<std::size_t>(rank - 1)];
      }
      ASSERT_EQ(conformal.Threshold(), threshold) << i;
      // Few different scores: many ties.
      const auto score = static_cast<std::int32_t>(rng.Below(i < 1500 ? 20 : 40)) - 10;
      const bool covered = score <= threshold;
      ASSERT_EQ(conformal.Covers(score), covered);
      conformal.Learn(score, covered);
      level += step * (miss_rate - (covered ? 0 : 1));
      window.push_back(score);
      if (window.size() > AdaptiveConformal::kWindow) window.pop_front();
    }
  }
}

// The bound of Gibbs and Candes (proposition 4.1), which holds for any sequence: here one that somebody who
// sees the threshold has chosen to be missed or covered in turns of his own.
TEST(AdaptiveConformal, LongRunCoverageHoldsAgainstAnAdversary) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "conformal_adversary");
    AdaptiveConformal conformal(6554);
    constexpr int kOutcomes = 20000;
    int misses = 0;
    for (int i = 0; i < kOutcomes; ++i) {
      std::int32_t score = static_cast<std::int32_t>(rng.Below(1000));
      const std::int32_t threshold = conformal.Threshold();
      if (i / 3000 % 2 == 1 && threshold < 1'000'000) score = std::max(threshold, -1'000'000) + 1;
      const bool covered = score <= threshold;
      misses += covered ? 0 : 1;
      conformal.Learn(score, covered);
    }
    const double step = 655.0 / 65536;
    EXPECT_LT(std::abs(misses / double{kOutcomes} - 6554 / 65536.0), (1 + step) / (step * kOutcomes));
  }
}

// A predictor that was right about its source, and wrong from the middle on.
struct Source {
  double right[4];
};
std::size_t DrawClass(const Source& source, Rng& rng) {
  double left = rng.Real();
  std::size_t i = 0;
  while (i < 3 && left >= source.right[i]) left -= source.right[i++];
  return i;
}

TEST(AdaptiveConformal, ClassSetsKeepTheirCoverageAfterAShift) {
  const Source before{{0.7, 0.2, 0.07, 0.03}};
  const Source after{{0.1, 0.1, 0.3, 0.5}};
  for (const double miss_rate : {0.05, 0.1, 0.2}) {
    Rng rng(7, "conformal_classes");
    AdaptiveConformal conformal(static_cast<std::uint16_t>(miss_rate * 65536));
    constexpr int kOutcomes = 20000;
    int covered_in[2] = {0, 0};
    int fixed_after = 0;
    std::int32_t fixed = 0;
    for (int i = 0; i < 2 * kOutcomes; ++i) {
      // What the predictor says never changes: `before`, with some noise.
      std::uint16_t p[4];
      const double noise = rng.Real() * 0.02;
      for (std::size_t c = 0; c < 4; ++c) {
        p[c] = static_cast<std::uint16_t>(65535 * (before.right[c] * (1 - noise) + noise / 4));
      }
      const std::size_t truth = DrawClass(i < kOutcomes ? before : after, rng);
      const std::int32_t score = ClassScore(p[truth]);
      const bool covered = conformal.Covers(score);
      covered_in[i / kOutcomes] += covered ? 1 : 0;
      conformal.Learn(score, covered);
      if (i == kOutcomes - 1) fixed = conformal.Threshold();
      if (i >= kOutcomes) fixed_after += score <= fixed ? 1 : 0;
    }
    EXPECT_NEAR(covered_in[0] / double{kOutcomes}, 1 - miss_rate, 0.01);
    EXPECT_NEAR(covered_in[1] / double{kOutcomes}, 1 - miss_rate, 0.01);
    // Sets that do not adapt lose it.
    EXPECT_LT(fixed_after / double{kOutcomes}, 1 - miss_rate - 0.1);
  }
}

TEST(AdaptiveConformal, IntervalsKeepTheirCoverageAfterAShift) {
  Rng rng(9, "conformal_intervals");
  AdaptiveConformal conformal(6554);
  constexpr int kOutcomes = 20000;
  int covered_in[2] = {0, 0};
  for (int i = 0; i < 2 * kOutcomes; ++i) {
    const double spread = i < kOutcomes ? 1000 : 5000;
    const auto truth = static_cast<std::int32_t>(10000 + rng.Exponential(spread) - rng.Exponential(spread));
    const std::int32_t score = IntervalScore(9000, 11000, truth);
    const std::int32_t q = conformal.Threshold();
    const bool covered = score <= q;
    if (q != INT32_MAX && q != INT32_MIN) {
      ASSERT_EQ(covered, 9000 - q <= truth && truth <= 11000 + q);
    }
    covered_in[i / kOutcomes] += covered ? 1 : 0;
    conformal.Learn(score, covered);
  }
  EXPECT_NEAR(covered_in[0] / double{kOutcomes}, 0.9, 0.01);
  EXPECT_NEAR(covered_in[1] / double{kOutcomes}, 0.9, 0.01);
}

TEST(AdaptiveConformal, ScoresAreSurprises) {
  EXPECT_EQ(ClassScore(65535), 0);
  EXPECT_NEAR(ClassScore(32768), 4096, 2);
  EXPECT_NEAR(ClassScore(656), 4096 * std::log2(65535.0 / 656), 2);
  EXPECT_GT(ClassScore(0), ClassScore(1));
  EXPECT_EQ(IntervalScore(10, 20, 25), 5);
  EXPECT_EQ(IntervalScore(10, 20, 7), 3);
  EXPECT_EQ(IntervalScore(10, 20, 18), -2);
}

}  // namespace
}  // namespace foreflow::predict
