// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/interference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace foreflow::dpdk {
namespace {

using ::testing::ElementsAre;

TEST(Unexplained, KeepsWhatPacketsDoNotAccountFor) {
  const std::vector<Gap> gaps = {{0, 30, 0}, {100, 150, 10}, {200, 290, 10}, {300, 320, 0}};
  // Ten packets of two cycles explain 60 of a round: 50 is theirs, 90 is more than 60 + 20.
  const std::vector<Gap> found = Unexplained(gaps, 2, 20);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].begin, 0u);
  EXPECT_EQ(found[1].begin, 200u);
}

TEST(HitBy, TakesWhatWasUnderWayAndTheBacklog) {
  // A packet every 10, done after 4; the core is gone from 22 to 45 and then serves one in 6.
  const std::vector<Stamp> stamps = {
      {10, 10, 11, 14},                                      // before
      {20, 20, 45, 51},                                      // under way
      {30, 30, 51, 57},                                      // came in the gap
      {40, 40, 57, 63}, {50, 50, 63, 69},                    // after the gap, behind the backlog
      {60, 60, 69, 75}, {70, 70, 75, 79}, {80, 80, 81, 84},  // nothing was before it
      {90, 90, 91, 94},
  };
  EXPECT_THAT(HitBy({{22, 45, 0}}, stamps, 20),
              ElementsAre(false, true, true, true, true, true, true, false, false));
  EXPECT_THAT(HitBy({}, stamps, 20),
              ElementsAre(false, false, false, false, false, false, false, false, false));
}

TEST(HitBy, AFeederThatIsLateEndsNoBacklog) {
  // The feeder was away from 15 to 60: each packet finds an idle worker, but none came when it was due.
  const std::vector<Stamp> stamps = {
      {10, 10, 11, 14}, {20, 60, 61, 64}, {30, 65, 66, 68}, {40, 70, 71, 73}, {75, 75, 76, 78},
  };
  EXPECT_THAT(HitBy({{15, 60, 0}}, stamps, 20), ElementsAre(false, true, true, true, false));
}

TEST(HitBy, WhatWasDroppedIsNotHit) {
  EXPECT_THAT(HitBy({{5, 30, 0}}, {{10, 10, 0, 0}, {20, 20, 31, 35}}, 20), ElementsAre(false, true));
}

// A single server whose absences are planted: nothing that its absences delayed may count as undisturbed.
TEST(HitBy, FindsEveryPacketThatPlantedAbsencesDelayed) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<Gap> gaps;
    for (std::uint64_t at = 1000; at < 50'000; at += 2000 + random() % 9000) {
      gaps.push_back({at, at + 50 + random() % 900, 0});
    }
    std::vector<std::uint64_t> due;
    for (std::uint64_t at = 1; at < 50'000; at += 1 + random() % 24) due.push_back(at);
    const auto serve = [&](const std::vector<Gap>& away) {
      std::vector<Stamp> stamps;
      std::uint64_t free = 0;
      for (const std::uint64_t at : due) {
        std::uint64_t start = std::max(free, at);
        std::uint64_t end = start + 8;
        for (const Gap& gap : away) {
          if (start >= gap.begin && start < gap.end) {
            start = gap.end;
            end = start + 8;
          } else if (start < gap.begin && end > gap.begin) {
            end += gap.end - gap.begin;
          }
        }
        stamps.push_back({at, at, start, end});
        free = end;
      }
      return stamps;
    };
    const std::vector<Stamp> disturbed = serve(gaps);
    const std::vector<Stamp> alone = serve({});
    const std::vector<bool> hit = HitBy(gaps, disturbed, 20);
    std::size_t spared = 0;
    for (std::size_t i = 0; i < due.size(); ++i) {
      EXPECT_TRUE(hit[i] || disturbed[i].sent == alone[i].sent) << i;
      spared += !hit[i];
    }
    EXPECT_GT(spared, due.size() / 10);  // and it does not simply take all
  }
}

}  // namespace
}  // namespace foreflow::dpdk
