// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/score_history.h"

#include <gtest/gtest.h>

#include <vector>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

TEST(ScoreHistory, HoldsEverythingInItsPlace) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "score_history_test");
    ScoreHistory history;
    std::vector<Nanos> times;
    Nanos now = Seconds(1000);
    for (int i = 0; i < 5000; ++i) {
      now += Nanos(static_cast<std::int64_t>(rng.Exponential(i < 2500 ? 1e5 : 1e7)));
      times.push_back(now);
      ScoreHistory::Cell& cell = history.At(now);
      ++cell.predicted[rng.Below(kTiers)];
      cell.loss += 7;
    }
    ASSERT_LE(history.size(), ScoreHistory::kCells);
    ASSERT_GT(history.size(), ScoreHistory::kCells / 2);
    EXPECT_EQ(history.start(), times[0]);
    std::vector<std::uint64_t> expected(history.size());
    for (const Nanos time : times)
      ++expected[static_cast<std::size_t>((time - times[0]) / history.cell_length())];
    for (std::size_t i = 0; i < history.size(); ++i) {
      EXPECT_EQ(history[i].predicted[0] + history[i].predicted[1] + history[i].predicted[2], expected[i])
          << i;
      EXPECT_EQ(history[i].loss, 7 * expected[i]) << i;
    }
  }
}

}  // namespace
}  // namespace foreflow::predict
