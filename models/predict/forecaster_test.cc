// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/forecaster.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

std::vector<double> Walk(std::uint64_t seed, std::size_t count) {
  Rng rng(seed, "forecaster_test");
  std::vector<double> values;
  double at = 100;
  for (std::size_t i = 0; i < count; ++i) values.push_back(at += rng.Real() * 10 - 5);
  return values;
}

// The weights written out: (1 - a)^(n-1) for the first value, a (1 - a)^(n-1-i) for value i.
std::vector<double> FadingWeights(std::size_t count, double weight) {
  std::vector<double> weights;
  for (std::size_t i = 0; i < count; ++i) {
    weights.push_back((i == 0 ? 1 : weight) * std::pow(1 - weight, static_cast<double>(count - 1 - i)));
  }
  return weights;
}

TEST(Forecaster, EwmaIsTheFadingSum) {
  for (const double weight : {0.01, 0.2, 0.9, 1.0}) {
    const std::vector<double> values = Walk(1, 200);
    Ewma ewma(weight);
    EXPECT_EQ(ewma.Forecast(), 0);
    for (std::size_t n = 1; n <= values.size(); ++n) {
      ewma.Update(values[n - 1]);
      const std::vector<double> weights = FadingWeights(n, weight);
      double mean = 0;
      for (std::size_t i = 0; i < n; ++i) mean += weights[i] * values[i];
      ASSERT_NEAR(ewma.Forecast(), mean, 1e-9) << n;
    }
  }
}

TEST(Forecaster, VarianceIsTheFadingMoment) {
  for (const double weight : {0.02, 0.3}) {
    const std::vector<double> values = Walk(2, 200);
    EwmaVariance moments(weight);
    for (std::size_t n = 1; n <= values.size(); ++n) {
      moments.Update(values[n - 1]);
      const std::vector<double> weights = FadingWeights(n, weight);
      double mean = 0;
      for (std::size_t i = 0; i < n; ++i) mean += weights[i] * values[i];
      double variance = 0;
      for (std::size_t i = 0; i < n; ++i) variance += weights[i] * (values[i] - mean) * (values[i] - mean);
      ASSERT_NEAR(moments.mean(), mean, 1e-9) << n;
      ASSERT_NEAR(moments.variance(), variance, 1e-8) << n;
    }
  }
}

// A line with a season is forecast exactly, any number of steps ahead, once the trend has been found.
TEST(Forecaster, HoltWintersContinuesALineWithASeason) {
  constexpr std::size_t kPeriod = 6;
  const double season[kPeriod] = {5, -3, 0, 2, -8, 4};
  const auto truth = [&](std::size_t i) { return 20 + 0.75 * static_cast<double>(i) + season[i % kPeriod]; };
  HoltWinters<kPeriod> forecaster({0.3, 0.2, 0.1});
  for (std::size_t i = 0; i < 3000; ++i) forecaster.Update(truth(i));
  for (std::uint32_t steps = 1; steps <= 20; ++steps) {
    EXPECT_NEAR(forecaster.Forecast(steps), truth(2999 + steps), 1e-6) << steps;
  }
}

// The textbook's recursion (error form left out), with all levels, trends and seasons kept by time.
TEST(Forecaster, HoltWintersIsTheTextbooksRecursion) {
  constexpr std::size_t m = 4;
  const double a = 0.35, b = 0.15, c = 0.25;
  const std::vector<double> x = Walk(3, 300);
  std::vector<double> level(x.size()), trend(x.size()), season(x.size());
  double sum = 0;
  for (std::size_t i = 0; i < m; ++i) sum += x[i];
  for (std::size_t i = 0; i < m; ++i) season[i] = x[i] - sum / m;
  level[m - 1] = sum / m;
  HoltWinters<m> forecaster({a, b, c});
  for (std::size_t t = 0; t < x.size(); ++t) {
    forecaster.Update(x[t]);
    if (t < m) continue;
    level[t] = a * (x[t] - season[t - m]) + (1 - a) * (level[t - 1] + trend[t - 1]);
    trend[t] = b * (level[t] - level[t - 1]) + (1 - b) * trend[t - 1];
    season[t] = c * (x[t] - level[t]) + (1 - c) * season[t - m];
    for (std::uint32_t h = 1; h <= 2 * m; ++h) {
      ASSERT_NEAR(forecaster.Forecast(h), level[t] + h * trend[t] + season[t - m + 1 + (h - 1) % m], 1e-9);
    }
  }
}

TEST(Forecaster, HoltIsALevelAndATrend) {
  HoltWinters<1> forecaster({0.5, 0.5, 0.5});
  EXPECT_EQ(forecaster.Forecast(), 0);
  forecaster.Update(10);
  EXPECT_EQ(forecaster.Forecast(3), 10);
  forecaster.Update(14);  // level 12, trend 1
  EXPECT_EQ(forecaster.Forecast(1), 13);
  EXPECT_EQ(forecaster.Forecast(3), 15);
}

TEST(Forecaster, ForecastsTheMeanUntilTheFirstSeasonIsWhole) {
  HoltWinters<3> forecaster({});
  forecaster.Update(1);
  forecaster.Update(4);
  EXPECT_DOUBLE_EQ(forecaster.Forecast(), 2.5);
  forecaster.Update(7);
  EXPECT_DOUBLE_EQ(forecaster.Forecast(1), 1);
  EXPECT_DOUBLE_EQ(forecaster.Forecast(2), 4);
  EXPECT_DOUBLE_EQ(forecaster.Forecast(3), 7);
}

}  // namespace
}  // namespace foreflow::predict
