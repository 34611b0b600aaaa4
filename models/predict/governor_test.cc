// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/governor.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

// h* = (10 + 5 + 35) / (165 + 35) = 0.25.
constexpr SpeculationCosts kQuarter{10, 5, 35, 165};
constexpr std::uint16_t kTwoPercent = 1311;

TEST(Governor, BreakEvenIsTheClosedForm) {
  struct Row {
    SpeculationCosts costs;
    double break_even;
  };
  const Row rows[] = {{kQuarter, 0.25},
                      {{0, 0, 0, 100}, 0},
                      {{30, 0, 0, 9000}, 30.0 / 9000},
                      {{100, 0, 0, 100}, 1},
                      {{200, 0, 0, 100}, 1},  // saturated
                      {{0, 0, 0, 0}, 1},      // nothing to gain
                      {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, 1},
                      {{0, 0, UINT32_MAX, UINT32_MAX}, 0.5}};
  for (const Row& row : rows) {
    EXPECT_NEAR(Governor(row.costs, 0, 0).BreakEven() / 65535.0, row.break_even, 1.0 / 65535);
  }
}

TEST(Governor, OpensAboveAndShutsBelow) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "governor_test");
    Governor governor(kQuarter, kTwoPercent, 32);
    const auto run = [&](double share, int outcomes) {
      for (int i = 0; i < outcomes; ++i) governor.Record(rng.Real() < share);
    };
    EXPECT_FALSE(governor.IsOpen());
    // Six standard deviations of h (sqrt(p (1 - p) / (2 * 256)) at most) on either side of the thresholds.
    run(0.45, 3000);
    EXPECT_TRUE(governor.IsOpen());
    EXPECT_NEAR(governor.HitRate() / 65535.0, 0.45, 6 * 0.022);
    run(0.10, 3000);
    EXPECT_FALSE(governor.IsOpen());
    EXPECT_NEAR(governor.HitRate() / 65535.0, 0.10, 6 * 0.014);
    run(0.45, 3000);
    EXPECT_TRUE(governor.IsOpen());
  }
}

TEST(Governor, WaitsForItsProbation) {
  Governor governor(kQuarter, kTwoPercent, 32);
  for (int i = 0; i < 31; ++i) governor.Record(true);
  EXPECT_FALSE(governor.IsOpen());
  governor.Record(true);
  EXPECT_TRUE(governor.IsOpen());
  while (governor.IsOpen()) governor.Record(false);
  EXPECT_LE(governor.HitRate(), governor.BreakEven());
  // Hits enough to be above at once: probation holds it back all the same.
  int until_open = 0;
  for (; !governor.IsOpen(); ++until_open) governor.Record(true);
  EXPECT_EQ(until_open, 32);
}

TEST(Governor, MarginIsHysteresis) {
  Governor governor(kQuarter, kTwoPercent, 1);
  // Outcomes at a steady 26 % lie above h* and below h* + margin: a shut governor stays shut, an open one
  // open.
  const auto steady = [&] {
    for (int i = 0; i < 50 * 100; ++i) governor.Record(i % 50 < 1 || i % 4 == 0);
  };
  for (int i = 0; i < 1000; ++i) governor.Record(false);
  steady();
  EXPECT_FALSE(governor.IsOpen());
  for (int i = 0; i < 1000; ++i) governor.Record(true);
  EXPECT_TRUE(governor.IsOpen());
  steady();
  EXPECT_GT(governor.HitRate(), governor.BreakEven());
  EXPECT_TRUE(governor.IsOpen());
}

TEST(Governor, AlwaysWrongNeverActs) {
  Governor governor(kQuarter, 0, 0);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_FALSE(governor.IsOpen());
    governor.Record(false);
  }
  EXPECT_EQ(governor.HitRate(), 0);
}

TEST(Governor, WhatCannotPayNeverOpens) {
  Governor governor({100, 0, 50, 100}, 0, 0);  // h* = 1
  for (int i = 0; i < 100'000; ++i) {
    governor.Record(true);
    ASSERT_FALSE(governor.IsOpen());
  }
}

// The bound of the header, against outcomes chosen to hurt: as many hits as it takes to open, then misses.
RC_GTEST_PROP(Governor, AnOpenSpellLosesBoundedWork, ()) {
  const SpeculationCosts costs{*rc::gen::inRange(0u, 100u), *rc::gen::inRange(0u, 100u),
                               *rc::gen::inRange(0u, 1000u), *rc::gen::inRange(1u, 2000u)};
  const auto margin = *rc::gen::inRange<std::uint16_t>(0, 5000);
  Governor governor(costs, margin, *rc::gen::inRange(0u, 200u));
  const double stake = double{1} * costs.saving + costs.waste;
  const double break_even = (double{1} * costs.predict + costs.validate + costs.waste) / stake;
  double spell = 0;
  double at_opening = 0;
  const auto runs = *rc::gen::container<std::vector<std::uint16_t>>(rc::gen::inRange<std::uint16_t>(0, 700));
  bool hit = false;
  for (const std::uint16_t run : runs) {
    hit = !hit;
    for (std::uint16_t i = 0; i < run; ++i) {
      const bool was_open = governor.IsOpen();
      governor.Record(hit);
      if (!was_open && governor.IsOpen()) {
        spell = 0;
        at_opening = governor.HitRate() / 65535.0;
      }
      if (!was_open) continue;
      spell += stake * ((hit ? 1.0 : 0.0) - break_even);
      const double bound = stake * (at_opening - break_even + 1.0 / Governor::kWindow) * Governor::kWindow;
      RC_ASSERT(spell >= -bound - stake * 0.02);
    }
  }
}

}  // namespace
}  // namespace foreflow::predict
