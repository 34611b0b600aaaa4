// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/replay_window.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "models/base/rng.h"

namespace foreflow::crypto {
namespace {

using Verdict = ReplayWindow::Verdict;

// Against a set of all that was taken, over random numbers, jumps and pauses. Fresh and replayed are exact; a
// number may be stale only if it is far behind, or if one above it came long ago, and must be if twice as
// long.
TEST(ReplayWindow, AgreesWithASet) {
  constexpr std::size_t kRecords = 256;
  const Nanos time = Millis(100);
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "replay_window_test");
    ReplayWindow window;
    window.Resize(kRecords, time);
    std::set<std::uint64_t> taken;
    std::map<std::uint64_t, Nanos> highest_at;  // each number that was the highest, and when it came
    Nanos now = Seconds(rng.Below(1000));
    std::uint64_t base = rng.Below(2) == 0 ? 0 : std::uint64_t{1} << 62;
    for (int step = 0; step < 2000; ++step) {
      now += rng.Below(50) == 0 ? Millis(rng.Below(300)) : Micros(rng.Below(1000));
      if (rng.Below(4) == 0) base += rng.Below(100) == 0 ? rng.Below(100'000) : rng.Below(8);
      const std::uint64_t back = rng.Below(rng.Below(10) == 0 ? 400 : 40);
      const std::uint64_t number = base < back ? 0 : base - back;
      const Verdict verdict = window.Look(number, now);
      const bool is_behind = !taken.empty() && number < *taken.rbegin();
      const auto above = highest_at.upper_bound(number);
      const bool is_late = above != highest_at.end() && now - above->second >= time;
      const bool is_very_late = above != highest_at.end() && now - above->second >= time * 2;
      const bool is_far = is_behind && *taken.rbegin() - number >= kRecords - 64;
      // Exactly the last one counts too: it may be told late, never fresh.
      const bool is_own_late = taken.count(number) != 0;
      if (verdict == Verdict::kStale) {
        ASSERT_TRUE(is_far || is_late || is_own_late) << step;
      } else {
        ASSERT_FALSE(is_far || is_very_late) << step;
        ASSERT_EQ(verdict == Verdict::kReplayed, taken.count(number) == 1) << step;
      }
      if (verdict == Verdict::kFresh && rng.Below(5) != 0) {
        const bool is_highest = taken.empty() || number > *taken.rbegin();
        ASSERT_EQ(window.Take(number), is_highest);
        taken.insert(number);
        if (is_highest) highest_at[number] = now;
      }
    }
  }
}

TEST(ReplayWindow, NumbersEndBeforeTheyWrap) {
  ReplayWindow window;
  window.Resize(128, Seconds(1));
  EXPECT_EQ(window.Look(~std::uint64_t{0}, Nanos()), Verdict::kStale);
  EXPECT_EQ(window.Look(~std::uint64_t{0} - 1, Nanos()), Verdict::kFresh);
  window.Take(~std::uint64_t{0} - 1);
  EXPECT_EQ(window.Look(~std::uint64_t{0} - 1, Nanos()), Verdict::kReplayed);
  EXPECT_EQ(window.Look(0, Nanos()), Verdict::kStale);
}

}  // namespace
}  // namespace foreflow::crypto
