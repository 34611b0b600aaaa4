// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/successor_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

std::vector<NextDestination> All(const SuccessorTable& table, DestinationId from) {
  std::vector<NextDestination> next(SuccessorTable::kMaxSuccessors);
  Work work;
  next.resize(table.Predict(from, next.data(), next.size(), work));
  return next;
}

TEST(SuccessorTable, MostLikelyFirst) {
  SuccessorTable table(10, 4);
  Work work;
  for (int i = 0; i < 2; ++i) table.Observe(1, 5, work);
  for (int i = 0; i < 5; ++i) table.Observe(1, 6, work);
  table.Observe(1, 7, work);
  const std::vector<NextDestination> next = All(table, 1);
  ASSERT_EQ(next.size(), 3u);
  EXPECT_EQ(next[0].destination, 6);
  EXPECT_EQ(next[0].confidence, 65535 * 5 / 8);
  EXPECT_EQ(next[1].destination, 5);
  EXPECT_EQ(next[1].confidence, 65535 * 2 / 8);
  EXPECT_EQ(next[2].destination, 7);
  EXPECT_TRUE(All(table, 2).empty());
  NextDestination one;
  EXPECT_EQ(table.Predict(1, &one, 1, work), 1u);
  EXPECT_EQ(one.destination, 6);
  EXPECT_EQ(table.Predict(1, &one, 0, work), 0u);
}

TEST(SuccessorTable, CertaintySurvivesDecay) {
  SuccessorTable table(2, 1);
  Work work;
  for (int i = 0; i < 10'000; ++i) {
    table.Observe(0, 1, work);
    ASSERT_EQ(All(table, 0).front().confidence, 65535);
  }
}

TEST(SuccessorTable, FollowsAChange) {
  SuccessorTable table(3, 1);
  Work work;
  for (int i = 0; i < 10'000; ++i) table.Observe(0, 1, work);
  for (int i = 0; i < 600; ++i) table.Observe(0, 2, work);
  EXPECT_EQ(All(table, 0).front().destination, 2);
  EXPECT_GT(All(table, 0).front().confidence, 65535 / 4);
}

TEST(SuccessorTable, MemorylessTrafficEarnsNoConfidence) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "successor_table_test");
    SuccessorTable table(1000, 4);
    Work work;
    DestinationId last = 0;
    for (int i = 0; i < 300'000; ++i) {
      const auto next = static_cast<DestinationId>(rng.Below(1000));
      table.Observe(last, next, work);
      last = next;
    }
    // True shares are 0.001. A row has seen some 300: no successor may claim a tenth.
    for (DestinationId from = 0; from < 1000; ++from) {
      for (const NextDestination& next : All(table, from)) ASSERT_LT(next.confidence, 6554);
    }
  }
}

TEST(SuccessorTable, ForgetsOnBothSidesHoweverOften) {
  Work work;
  for (int times = 1; times <= 600; ++times) {
    SuccessorTable table(4, 2);
    table.Observe(0, 1, work);
    table.Observe(1, 2, work);
    for (int i = 0; i < times; ++i) table.Forget(1);
    ASSERT_TRUE(All(table, 0).empty()) << times;
    ASSERT_TRUE(All(table, 1).empty()) << times;
    table.Observe(0, 1, work);
    ASSERT_EQ(All(table, 0).size(), 1u) << times;
    ASSERT_EQ(All(table, 0).front().confidence, 65535 / 2);  // the row still counts what it saw
  }
}

// Against a map with all successors, decayed at the same times: a count never exceeds the true one, and where
// no more successors came than there are places, it is the true one.
RC_GTEST_PROP(SuccessorTable, NeverClaimsMoreThanWasSeen, ()) {
  const auto places = *rc::gen::inRange<std::size_t>(1, 6);
  const auto destinations = *rc::gen::inRange<DestinationId>(1, 12);
  SuccessorTable table(destinations, places);
  struct Row {
    std::map<DestinationId, double> count;
    unsigned total = 0;
    bool has_forgotten = false;
  };
  std::vector<Row> rows(destinations);
  Work work;
  const auto steps = *rc::gen::inRange(0, 2000);
  Rng rng(*rc::gen::arbitrary<std::uint64_t>(), "successors");
  for (int i = 0; i < steps; ++i) {
    if (rng.Below(200) == 0) {
      const auto gone = static_cast<DestinationId>(rng.Below(destinations));
      table.Forget(gone);
      for (Row& row : rows) row.count.erase(gone);
      rows[gone] = Row{};
      continue;
    }
    const auto from = static_cast<DestinationId>(rng.Below(2) % destinations);
    const auto next = static_cast<DestinationId>(rng.Below(destinations));
    table.Observe(from, next, work);
    Row& row = rows[from];
    if (row.total == 255) {
      row.total = 127;
      for (auto& [destination, count] : row.count) count /= 2;
    }
    ++row.total;
    ++row.count[next];
  }
  for (DestinationId from = 0; from < destinations; ++from) {
    const std::vector<NextDestination> all = All(table, from);
    RC_ASSERT(all.size() <= places);
    for (std::size_t i = 0; i < all.size(); ++i) {
      RC_ASSERT(rows[from].count.count(all[i].destination) == 1);
      const double share = rows[from].count[all[i].destination] / rows[from].total;
      RC_ASSERT(all[i].confidence <= share * 65535.0);
      if (i > 0) RC_ASSERT(all[i].confidence <= all[i - 1].confidence);
      // Whole counts lose less than one by all their halvings together (1/2 + 1/4 + ...).
      if (destinations <= places)
        RC_ASSERT(all[i].confidence > share * 65535.0 - 65535.0 / rows[from].total - 1);
    }
  }
}

TEST(SuccessorTable, SizeIsAsStated) {
  EXPECT_EQ(SuccessorTable(1000, 4).bytes(), 18'000u);
  EXPECT_THROW(SuccessorTable(0, 4), Refusal);
  EXPECT_THROW(SuccessorTable(65536, 4), Refusal);
  EXPECT_THROW(SuccessorTable(10, 0), Refusal);
  EXPECT_THROW(SuccessorTable(10, 17), Refusal);
}

}  // namespace
}  // namespace foreflow::predict
