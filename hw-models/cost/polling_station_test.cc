// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/polling_station.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "models/base/refusal.h"

namespace foreflow::hw {
namespace {

using ::testing::ElementsAre;

struct Offer {
  Picos at;
  Picos service;
};

// When each job leaves, -1 where it was refused: the carrier's loop, with ends before arrivals of the same
// time.
std::vector<std::int64_t> Leaves(const PollingConfig& config, const std::vector<Offer>& offers) {
  constexpr Picos kNever(std::numeric_limits<std::int64_t>::max());
  PollingStation station(config);
  std::vector<std::int64_t> leaves(offers.size(), -1);
  std::vector<std::pair<Picos, std::size_t>> running;  // end, engine
  const auto begin_all = [&](Picos now) {
    for (PollingStation::Burst burst; station.Begin(now, burst);)
      running.emplace_back(burst.done, burst.engine);
  };
  for (std::size_t next = 0; next < offers.size() || !running.empty();) {
    const auto first = std::min_element(running.begin(), running.end());
    const Picos end = first == running.end() ? kNever : first->first;
    if (next < offers.size() && offers[next].at < end) {
      station.Join(offers[next].at, static_cast<std::uint32_t>(next), offers[next].service);
      begin_all(offers[next].at);
      ++next;
      continue;
    }
    for (const std::uint32_t job : station.End(first->second)) leaves[job] = end.count();
    running.erase(first);
    begin_all(end);
  }
  return leaves;
}

TEST(PollingStation, WhatWaitsLeavesTogether) {
  PollingConfig config;
  config.burst = 3;
  config.burst_time = Picos(10);
  // Alone: 0 + 10 + 5. While it is served four more arrive; three are the next burst, 15 + 10 + 5 + 6 + 7;
  // then one.
  EXPECT_THAT(Leaves(config, {{Picos(0), Picos(5)},
                              {Picos(1), Picos(5)},
                              {Picos(2), Picos(6)},
                              {Picos(3), Picos(7)},
                              {Picos(14), Picos(8)}}),
              ElementsAre(15, 43, 43, 43, 61));
}

TEST(PollingStation, CoresShareOneQueue) {
  PollingConfig config;
  config.engines = 2;
  EXPECT_THAT(
      Leaves(config,
             {{Picos(0), Picos(10)}, {Picos(1), Picos(20)}, {Picos(2), Picos(3)}, {Picos(3), Picos(4)}}),
      ElementsAre(10, 21, 17, 17));
}

TEST(PollingStation, AFullQueueRefusesAndCounts) {
  PollingConfig config;
  config.queue_capacity = 2;
  EXPECT_THAT(
      Leaves(config,
             {{Picos(0), Picos(10)}, {Picos(1), Picos(1)}, {Picos(2), Picos(1)}, {Picos(3), Picos(1)}}),
      ElementsAre(10, 12, 12, -1));
  PollingStation station(config);
  station.Join(Picos(0), 0, Picos(10));
  station.Join(Picos(4), 1, Picos(10));
  EXPECT_FALSE(station.Join(Picos(4), 2, Picos(10)));
  PollingStation::Burst burst;
  ASSERT_TRUE(station.Begin(Picos(6), burst));
  EXPECT_FALSE(station.Begin(Picos(6), burst));
  EXPECT_EQ(station.statistics().accepted, 2u);
  EXPECT_EQ(station.statistics().refused, 1u);
  EXPECT_EQ(station.statistics().waited, Picos(6 + 2));
  EXPECT_EQ(station.statistics().busy, Picos(20));
}

TEST(PollingStation, NeedsAnEngineAQueueAndABurst) {
  for (std::size_t PollingConfig::*number :
       {&PollingConfig::engines, &PollingConfig::queue_capacity, &PollingConfig::burst}) {
    PollingConfig config;
    config.*number = 0;
    EXPECT_THROW(PollingStation station(config), Refusal);
  }
}

// The reference: a station whose jobs leave one by one (Lindley). With bursts of one they are the same.
RC_GTEST_PROP(PollingStation, BurstsOfOneAreAnOrdinaryStation, ()) {
  PollingConfig config;
  config.engines = *rc::gen::inRange<std::size_t>(1, 4);
  config.burst = 1;
  config.burst_time = Picos(*rc::gen::inRange(0, 5));
  const auto drawn = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(1, 30), rc::gen::inRange(1, 40)));
  std::vector<Offer> offers;
  Station station({"reference", config.engines, 1024});
  std::vector<std::int64_t> expected;
  Picos now;
  for (const auto& [gap, service] : drawn) {
    now += Picos(gap);
    offers.push_back({now, Picos(service)});
    const Picos whole = Picos(service) + config.burst_time;
    expected.push_back(station.Enter(now, whole, whole).leave.count());
  }
  RC_ASSERT(Leaves(config, offers) == expected);
}

// However jobs come, they are worked on without a pause and none is lost.
RC_GTEST_PROP(PollingStation, OneCoreIsBusyWhileJobsWait, ()) {
  PollingConfig config;
  config.burst = *rc::gen::inRange<std::size_t>(1, 6);
  const auto drawn = *rc::gen::container<std::vector<std::pair<int, int>>>(
      rc::gen::pair(rc::gen::inRange(0, 30), rc::gen::inRange(1, 40)));
  std::vector<Offer> offers;
  Picos now, free;
  for (const auto& [gap, service] : drawn) {
    now += Picos(gap);
    offers.push_back({now, Picos(service)});
    free = std::max(free, now) + Picos(service);  // work is conserved: the last end is Lindley's
  }
  const std::vector<std::int64_t> leaves = Leaves(config, offers);
  RC_ASSERT(std::is_sorted(leaves.begin(), leaves.end()));
  if (!offers.empty()) RC_ASSERT(leaves.back() == free.count());
}

}  // namespace
}  // namespace foreflow::hw
