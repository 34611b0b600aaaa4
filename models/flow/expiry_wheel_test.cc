// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/expiry_wheel.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "models/base/refusal.h"

namespace foreflow::flow {
namespace {

using Timer = ExpiryWheel::Timer;

// The wheel's contract, by a sorted map.
class NaiveTimers {
 public:
  NaiveTimers(std::int64_t tick, std::int64_t start) : tick_(tick), start_(start) {}

  void Arm(Timer timer, std::int64_t deadline) {
    Disarm(timer);
    std::int64_t tick = deadline <= start_ ? 0 : (deadline - start_ + tick_ - 1) / tick_;
    tick = std::min(std::max(tick, now_ + 1), now_ + 2147483647);
    due_[{tick, ++armed_}] = timer;
  }
  void Disarm(Timer timer) {
    for (auto it = due_.begin(); it != due_.end(); ++it) {
      if (it->second == timer) {
        due_.erase(it);
        return;
      }
    }
  }
  Timer Next(std::int64_t now) {
    if (now < start_) return ExpiryWheel::kNone;
    const std::int64_t target = (now - start_) / tick_;
    if (target - now_ > 2147483647) {
      now_ = target - 2147483647;
      std::map<std::pair<std::int64_t, std::uint64_t>, Timer> moved;
      for (const auto& [key, timer] : due_) {
        // Later than all that was due before, and before all that is armed from now on.
        if (key.first <= now_) moved[{now_, ++armed_}] = timer;
        if (key.first > now_) moved[key] = timer;
      }
      due_ = moved;
    }
    if (!due_.empty() && due_.begin()->first.first <= target) {
      now_ = std::max(now_, due_.begin()->first.first);
      const Timer timer = due_.begin()->second;
      due_.erase(due_.begin());
      return timer;
    }
    now_ = std::max(now_, target);
    return ExpiryWheel::kNone;
  }
  std::int64_t FiresAt(Timer timer) const {
    for (const auto& [key, value] : due_) {
      if (value == timer) return start_ + key.first * tick_;
    }
    return -1;
  }
  std::int64_t time() const { return start_ + now_ * tick_; }

 private:
  std::int64_t tick_;
  std::int64_t start_;
  std::int64_t now_ = 0;
  std::uint64_t armed_ = 0;
  std::map<std::pair<std::int64_t, std::uint64_t>, Timer> due_;
};

// 0 .. 2^33 ticks, each order of magnitude alike.
rc::Gen<std::int64_t> Ticks() {
  return rc::gen::mapcat(rc::gen::inRange(0, 34), [](int bits) {
    return rc::gen::inRange<std::int64_t>(0, (std::int64_t{1} << bits) + 1);
  });
}

RC_GTEST_PROP(ExpiryWheel, FiresEveryTimerAtItsTickInOrder, ()) {
  constexpr Timer kTimers = 12;
  const std::int64_t tick = *rc::gen::element<std::int64_t>(1, 7, 1'000'000);
  const std::int64_t start = *rc::gen::element<std::int64_t>(0, -5'000'000, 1'600'000'000'000'000'000);
  ExpiryWheel wheel(kTimers, Nanos(tick), Nanos(start));
  NaiveTimers naive(tick, start);
  std::int64_t now = start;
  const int steps = *rc::gen::inRange(1, 200);
  for (int step = 0; step < steps; ++step) {
    const Timer timer = *rc::gen::inRange<Timer>(0, kTimers);
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
      case 1: {
        const std::int64_t deadline =
            now + *Ticks() * tick + *rc::gen::inRange<std::int64_t>(-tick, tick + 1);
        if (*rc::gen::arbitrary<bool>()) {
          wheel.Arm(timer, Nanos(deadline));
        } else {
          wheel.ArmAt(timer, wheel.TickFor(Nanos(deadline)));
        }
        naive.Arm(timer, deadline);
        RC_ASSERT(wheel.FiresAt(timer).count() == naive.FiresAt(timer));
        break;
      }
      case 2:
        wheel.Disarm(timer);
        naive.Disarm(timer);
        RC_ASSERT(!wheel.IsArmed(timer));
        break;
      case 3:
        now += *Ticks() * tick;
        break;
      default: {
        // Not always until none is left, so that timers are armed while a tick fires; sometimes back in time.
        const std::int64_t at = *rc::gen::weightedElement<std::int64_t>({{9, now}, {1, now - 3 * tick}});
        RC_ASSERT(wheel.IsPastAll(Nanos(at)) == (at >= start && (at - naive.time()) / tick > 2147483647));
        RC_ASSERT(wheel.tick() == static_cast<std::uint32_t>((naive.time() - start) / tick));
        for (int i = *rc::gen::inRange(1, 15); i > 0; --i) {
          const Timer expected = naive.Next(at);
          RC_ASSERT(wheel.Next(Nanos(at)) == expected);
          RC_ASSERT(wheel.time().count() == naive.time());
          if (expected == ExpiryWheel::kNone) break;
          RC_ASSERT(!wheel.IsArmed(expected));
        }
      }
    }
  }
}

TEST(ExpiryWheel, CrossesTheEndOfTheTickCounter) {
  ExpiryWheel wheel(2, Nanos(1), Nanos(0));
  constexpr std::int64_t kEnd = std::int64_t{1} << 32;
  ASSERT_EQ(wheel.Next(Nanos(kEnd - 2)), ExpiryWheel::kNone);
  wheel.Arm(0, Nanos(kEnd + 5));
  wheel.Arm(1, Nanos(kEnd - 1));
  EXPECT_EQ(wheel.Next(Nanos(kEnd + 4)), 1u);
  EXPECT_EQ(wheel.Next(Nanos(kEnd + 4)), ExpiryWheel::kNone);
  EXPECT_EQ(wheel.Next(Nanos(kEnd + 5)), 0u);
}

TEST(ExpiryWheel, TakesAnyTime) {
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();
  ExpiryWheel wheel(1, Nanos(1), Nanos(kLowest));
  wheel.Arm(0, Nanos(kHighest));  // at the farthest tick
  EXPECT_EQ(wheel.Next(Nanos(kLowest)), ExpiryWheel::kNone);
  EXPECT_EQ(wheel.Next(Nanos(kHighest)), 0u);
  EXPECT_EQ(wheel.Next(Nanos(kHighest)), ExpiryWheel::kNone);
  EXPECT_EQ(wheel.time(), Nanos(kHighest));
}

TEST(ExpiryWheel, RefusesAnImpossibleTick) {
  EXPECT_THROW(ExpiryWheel(1, Nanos(0), Nanos(0)), Refusal);
  EXPECT_THROW(ExpiryWheel(1, Nanos(-1), Nanos(0)), Refusal);
}

}  // namespace
}  // namespace foreflow::flow
