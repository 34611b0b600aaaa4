// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/drift.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <vector>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

// Scores like log losses of a predictor of eight types: exponential with the given mean, at most 8 bits.
constexpr double kMost = 8;
double Score(Rng& rng, double mean) { return std::min(rng.Exponential(mean), kMost); }

// From all scores since the last alarm, anew each time.
bool NaivePageHinkley(const std::vector<double>& scores, const PageHinkley::Config& config) {
  double excess = 0, least = 0, sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    sum += scores[i];
    excess += scores[i] - sum / static_cast<double>(i + 1) - config.tolerance;
    least = std::min(least, excess);
  }
  return scores.size() >= config.probation && excess - least > config.threshold;
}

TEST(PageHinkley, IsItsDefinition) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "page_hinkley_test");
    const PageHinkley::Config config{0.05, 15, 32};
    PageHinkley detector(config);
    std::vector<double> since;
    std::size_t alarms = 0;
    for (int i = 0; i < 1500; ++i) {
      since.push_back(Score(rng, i % 500 < 250 ? 0.6 : 1.8));
      const bool expected = NaivePageHinkley(since, config);
      ASSERT_EQ(detector.Update(since.back()), expected) << i;
      if (!expected) continue;
      since.clear();
      ++alarms;
    }
    EXPECT_GE(alarms, 3u);
  }
}

TEST(PageHinkley, IsDeafToImprovement) {
  Rng rng(3, "page_hinkley_test");
  PageHinkley detector({0.5, 60, 64});
  for (int i = 0; i < 20000; ++i) ASSERT_FALSE(detector.Update(Score(rng, i < 10000 ? 2.0 : 0.3))) << i;
}

// ADWIN with buckets that hold their scores, and every number computed from them when it is needed.
class NaiveAdwin {
 public:
  NaiveAdwin(double range, double one_in) : range_(range), one_in_(one_in) {}

  bool Update(double score) {
    buckets_.push_back({std::min(score / range_, 1.0)});
    for (std::size_t size = 1;; size *= 2) {
      std::vector<std::size_t> same;
      for (std::size_t i = 0; i < buckets_.size(); ++i) {
        if (buckets_[i].size() == size) same.push_back(i);
      }
      if (same.size() <= 5) break;
      auto& first = buckets_[same[0]];
      first.insert(first.end(), buckets_[same[1]].begin(), buckets_[same[1]].end());
      buckets_.erase(buckets_.begin() + static_cast<std::ptrdiff_t>(same[1]));
    }
    if (++seen_ % 32 != 0) return false;
    bool cut = false;
    while (Differs()) {
      buckets_.erase(buckets_.begin());
      cut = true;
    }
    return cut;
  }

  std::vector<double> All() const {
    std::vector<double> all;
    for (const auto& bucket : buckets_) all.insert(all.end(), bucket.begin(), bucket.end());
    return all;
  }

 private:
  bool Differs() const {
    const std::vector<double> all = All();
    const auto n = static_cast<double>(all.size());
    const double mean = std::accumulate(all.begin(), all.end(), 0.0) / n;
    double variance = 0;
    for (const double each : all) variance += (each - mean) * (each - mean) / n;
    const double log = std::log(2 * std::log(n) * one_in_);
    std::size_t split = 0;
    for (const auto& bucket : buckets_) {
      split += bucket.size();
      if (split < 5 || all.size() - split < 5) continue;
      const auto n0 = static_cast<double>(split), n1 = n - n0;
      const auto at = all.begin() + static_cast<std::ptrdiff_t>(split);
      const double apart =
          std::abs(std::accumulate(all.begin(), at, 0.0) / n0 - std::accumulate(at, all.end(), 0.0) / n1);
      const double m = 1 / (1 / n0 + 1 / n1);
      if (apart > std::sqrt(2 / m * variance * log) + 2 / (3 * m) * log) return true;
    }
    return false;
  }

  double range_;
  double one_in_;
  std::size_t seen_ = 0;
  std::vector<std::vector<double>> buckets_;  // oldest first
};

TEST(Adwin, IsItsDefinition) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "adwin_test");
    Adwin detector(kMost, 500);
    NaiveAdwin naive(kMost, 500);
    std::size_t cuts = 0;
    for (int i = 0; i < 6000; ++i) {
      const double score = Score(rng, i / 1500 % 2 == 0 ? 0.6 : 1.4);
      const Shift shift = detector.Update(score);
      ASSERT_EQ(shift != Shift::kNone, naive.Update(score)) << i;
      if (shift != Shift::kNone) {
        ++cuts;
        EXPECT_EQ(shift, i / 1500 % 2 == 0 ? Shift::kDown : Shift::kUp) << i;
      }
      if (i % 100 != 99) continue;
      const std::vector<double> window = naive.All();
      const auto n = static_cast<double>(window.size());
      const double mean = std::accumulate(window.begin(), window.end(), 0.0) / n;
      double variance = 0;
      for (const double each : window) variance += (each - mean) * (each - mean) / n;
      ASSERT_EQ(detector.window(), window.size());
      ASSERT_NEAR(detector.mean(), kMost * mean, 1e-9);
      ASSERT_NEAR(detector.variance(), kMost * kMost * variance, 1e-9);
    }
    EXPECT_GE(cuts, 3u);
  }
}

// What a detector does on known shifts, beside two that are no detectors: one that always fires at a stated
// rate, and one that never does.
struct Outcome {
  double false_alarms = 0;  // per 10 000 scores before the shift
  double detected = 0;      // share of runs with an alarm within kAfter scores of it
  double delay = 0;         // scores from the shift to the alarm, median of those
};
constexpr int kRuns = 200;
constexpr int kBefore = 5000;
constexpr int kAfter = 2000;

Outcome Measure(const std::function<std::function<bool(double)>()>& make, double before, double after) {
  Outcome outcome;
  std::vector<double> delays;
  for (std::uint32_t run = 0; run < kRuns; ++run) {
    Rng rng(11, "drift_test", run);
    const auto detector = make();
    for (int i = 0; i < kBefore; ++i) outcome.false_alarms += detector(Score(rng, before)) ? 1 : 0;
    for (int i = 1; i <= kAfter; ++i) {
      if (!detector(Score(rng, after))) continue;
      delays.push_back(i);
      break;
    }
  }
  outcome.false_alarms *= 10000.0 / (kRuns * kBefore);
  outcome.detected = static_cast<double>(delays.size()) / kRuns;
  if (!delays.empty()) {
    std::nth_element(delays.begin(), delays.begin() + static_cast<std::ptrdiff_t>(delays.size() / 2),
                     delays.end());
    outcome.delay = delays[delays.size() / 2];
  }
  return outcome;
}

TEST(Drift, AlarmsAreRareBeforeAShiftAndSoonAfterIt) {
  const auto page_hinkley = [] {
    return [detector = PageHinkley({})](double score) mutable { return detector.Update(score); };
  };
  const auto adwin = [] {
    return [detector = Adwin(kMost, 1000)](double score) mutable {
      return detector.Update(score) == Shift::kUp;
    };
  };
  const auto always = [] { return [i = 0](double) mutable { return ++i % 100 == 0; }; };
  const auto never = [] { return [](double) { return false; }; };
  std::printf("detector      shift       false/10^4  detected  delay\n");
  const auto row = [](const char* name, double after, const Outcome& outcome) {
    std::printf("%-13s 0.5 -> %.2f %10.2f %9.3f %6.0f\n", name, after, outcome.false_alarms, outcome.detected,
                outcome.delay);
  };
  for (const double after : {0.75, 1.0, 2.0}) {
    const Outcome ph = Measure(page_hinkley, 0.5, after);
    const Outcome ad = Measure(adwin, 0.5, after);
    const Outcome yes = Measure(always, 0.5, after);
    const Outcome no = Measure(never, 0.5, after);
    row("Page-Hinkley", after, ph);
    row("ADWIN", after, ad);
    row("always", after, yes);
    row("never", after, no);
    EXPECT_LT(ph.false_alarms, 1);
    EXPECT_LT(ad.false_alarms, 1);
    EXPECT_EQ(yes.false_alarms, 100);
    EXPECT_EQ(no.detected, 0);
    // A doubled loss is seen always, and earlier than by an alarm that comes anyway could explain.
    if (after < 1) continue;
    EXPECT_EQ(ph.detected, 1);
    EXPECT_EQ(ad.detected, 1);
    EXPECT_LT(ph.delay, after < 2 ? 100 : 50);
    EXPECT_LT(ad.delay, after < 2 ? 200 : 100);
  }
}

}  // namespace
}  // namespace foreflow::predict
