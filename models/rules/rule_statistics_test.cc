// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_statistics.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace foreflow::rules {
namespace {

struct Counted {
  std::uint64_t packets = 0, bytes = 0;
  Nanos last_use;
};

TEST(RuleStatistics, CountsAsAMapDoes) {
  constexpr std::uint64_t kSeed = 8;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  for (const std::size_t rules : {1u, 2u, 7u, 300u}) {
    RuleStatistics statistics(rules);
    std::map<std::uint32_t, Counted> map;
    std::vector<std::uint32_t> ids = {kNoRule};
    for (std::size_t i = 0; i < rules; ++i) ids.push_back(static_cast<std::uint32_t>(random() % 0xfffffffeu));
    Work work;
    for (int i = 0; i < 20'000; ++i) {
      const std::uint32_t id = ids[random() % ids.size()];
      const auto bytes = static_cast<std::uint32_t>(random() % 1500);
      statistics.Count(id, bytes, Nanos(i), work);
      Counted& counted = map[id];
      ++counted.packets;
      counted.bytes += bytes;
      counted.last_use = Nanos(i);
    }
    EXPECT_EQ(statistics.others().packets, 0u);
    const auto rows = statistics.Rows();
    ASSERT_EQ(rows.size(), map.size());
    auto expected = map.begin();
    for (const RuleStatistics::Row& row : rows) {
      EXPECT_EQ(row.rule, expected->first);
      EXPECT_EQ(row.packets, expected->second.packets);
      EXPECT_EQ(row.bytes, expected->second.bytes);
      EXPECT_EQ(row.last_use, expected->second.last_use);
      EXPECT_EQ(statistics.Of(row.rule).bytes, row.bytes);
      ++expected;
    }
    // In pages, as a report asks for them.
    std::vector<RuleStatistics::Row> pages;
    for (std::uint32_t first = 0;;) {
      const auto page = statistics.Rows(first, 3);
      pages.insert(pages.end(), page.begin(), page.end());
      if (page.size() < 3 || page.back().rule == kNoRule) break;
      first = page.back().rule + 1;
    }
    EXPECT_EQ(pages.size(), rows.size());
  }
}

TEST(RuleStatistics, WhatFindsNoRoomIsCountedTogether) {
  RuleStatistics statistics(2);
  Work work;
  for (std::uint32_t id = 0; id < 10; ++id) statistics.Count(id, 100, Nanos(id), work);
  EXPECT_EQ(statistics.Rows().size(), 3u);
  EXPECT_EQ(statistics.others().packets, 7u);
  EXPECT_EQ(statistics.others().bytes, 700u);
  EXPECT_EQ(statistics.Of(77).packets, 0u);
}

TEST(RuleStatistics, SetsAddUp) {
  RuleStatistics a(4), b(4);
  Work work;
  a.Count(1, 10, Nanos(5), work);
  a.Count(2, 20, Nanos(6), work);
  b.Count(2, 5, Nanos(9), work);
  b.Count(kNoRule, 7, Nanos(1), work);
  a.Add(b);
  EXPECT_EQ(a.Rows().size(), 3u);
  EXPECT_EQ(a.Of(2).packets, 2u);
  EXPECT_EQ(a.Of(2).bytes, 25u);
  EXPECT_EQ(a.Of(2).last_use, Nanos(9));
  EXPECT_EQ(a.Of(kNoRule).packets, 1u);
}

}  // namespace
}  // namespace foreflow::rules
