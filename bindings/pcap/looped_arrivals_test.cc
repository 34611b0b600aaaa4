// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/looped_arrivals.h"

#include <gtest/gtest.h>

#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

std::vector<path::Arrival> At(const std::vector<std::int64_t>& times) {
  std::vector<path::Arrival> arrivals;
  for (const std::int64_t time : times) {
    path::Arrival arrival;
    arrival.time = Nanos(time);
    arrival.sent = Nanos(2 * time);
    arrival.wire_bytes = static_cast<std::uint32_t>(arrivals.size());
    arrivals.push_back(arrival);
  }
  return arrivals;
}

TEST(LoopedArrivals, APassBeginsOneMeanGapAfterTheLast) {
  const auto arrivals = At({0, 10'000, 60'000});  // mean gap 30 us; on the sender's clock 60
  const LoopedArrivals looped("file", arrivals, 3);
  ASSERT_EQ(looped.size(), 9u);
  const std::int64_t expected[] = {0, 10'000, 60'000, 90'000, 100'000, 150'000, 180'000, 190'000, 240'000};
  for (std::uint64_t i = 0; i < looped.size(); ++i) {
    EXPECT_EQ(looped[i].time.count(), expected[i]) << i;
    EXPECT_EQ(looped[i].sent.count(), 2 * expected[i]) << i;
    EXPECT_EQ(looped[i].wire_bytes, i % 3) << i;
  }
}

TEST(LoopedArrivals, PassesOfAClockThatStandsStillAreAMicrosecondApart) {
  const auto arrivals = At({0, 0});
  const LoopedArrivals looped("file", arrivals, 2);
  EXPECT_EQ(looped[1].time, Nanos(0));
  EXPECT_EQ(looped[2].time, Micros(1));
  const auto alone = At({0});
  EXPECT_EQ(LoopedArrivals("file", alone, 1000)[999].time, Micros(999));
}

TEST(LoopedArrivals, NothingLoopedIsNothing) {
  const std::vector<path::Arrival> none;
  EXPECT_EQ(LoopedArrivals("file", none, 1000).size(), 0u);
}

TEST(LoopedArrivals, RefusesWhatNoClockCounts) {
  const std::int64_t year = Seconds(365LL * 24 * 3600).count();
  const auto decades = At({0, 50 * year});  // 100 years a pass on this clock, 200 on the sender's
  EXPECT_NO_THROW(LoopedArrivals("file", decades, 1));
  EXPECT_THROW(LoopedArrivals("file", decades, 2), Refusal);
  const auto year_long = At({0, year});
  EXPECT_NO_THROW(LoopedArrivals("file", year_long, 73));
  EXPECT_THROW(LoopedArrivals("file", year_long, 74), Refusal);
}

}  // namespace
}  // namespace foreflow::pcap
