// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_FLOW_EXPIRY_WHEEL_H_
#define FOREFLOW_MODELS_FLOW_EXPIRY_WHEEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"

namespace foreflow::flow {

// Timers numbered 0 .. timers - 1, each armed for one deadline at a time: a hierarchical timing wheel
// (Varghese and Lauck, SOSP 1987, scheme 7) of four levels of 256. Arming and disarming cost O(1), a timer is
// moved at most three times before it fires, and empty ticks cost nothing. 12 bytes a timer.
//
// A timer fires at the first tick that is not earlier than its deadline, never in the current tick (which may
// have fired already) and at most 2^31 - 1 ticks ahead. Timers of one tick fire in the order they were armed.
class ExpiryWheel {
 public:
  using Timer = std::uint32_t;
  static constexpr Timer kNone = 0xffffffffu;

  // Throws Refusal unless tick > 0 and timers < 2^32 - 1.
  ExpiryWheel(std::size_t timers, Nanos tick, Nanos start);

  // Arms a timer, or arms it anew when it is armed. Every Timer given is below `timers`.
  void Arm(Timer timer, Nanos deadline);
  // Nothing where it is not armed.
  void Disarm(Timer timer);
  // For owners that arm timers later than their deadlines were set. The low half of the tick at which a timer
  // of this deadline fires, were it armed now, and arming by that while the wheel has not reached it.
  std::uint32_t TickFor(Nanos deadline) const;
  void ArmAt(Timer timer, std::uint32_t tick);
  bool IsArmed(Timer timer) const { return links_[timer].next != kUnlinked; }
  // The time at which an armed timer fires.
  Nanos FiresAt(Timer timer) const;

  // The next timer that fires at or before `now`, disarmed, or kNone. Moves the wheel's time to the tick of
  // the timer, or to `now` once none is left. `now` may go back: nothing fires then.
  Timer Next(Nanos now);

  // Whether by `now` every timer fires that has been armed, or might have been by TickFor: it is more than
  // 2^31 - 1 ticks ahead.
  bool IsPastAll(Nanos now) const;

  // Fetches a timer's memory ahead of arming it.
  void Prefetch(Timer timer) const { __builtin_prefetch(&links_[timer], 1); }

  // The time of the last tick that the wheel has reached, and the low half of its number.
  Nanos time() const { return TimeOf(now_); }
  std::uint32_t tick() const { return static_cast<std::uint32_t>(now_); }
  std::size_t bytes() const { return links_.size() * sizeof(Link) + sizeof(*this); }

 private:
  static constexpr Timer kUnlinked = 0xfffffffeu;
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kBits = 8;
  static constexpr unsigned kSlots = 1u << kBits;

  // A circular list in each slot: `prev` of the first is the last.
  struct Link {
    Timer prev = kNone;
    Timer next = kUnlinked;
    std::uint32_t tick = 0;  // the low half of the tick at which the timer fires
  };

  std::uint64_t TickOf(Nanos deadline) const;
  std::uint64_t TargetOf(Nanos now) const;
  Nanos TimeOf(std::uint64_t tick) const;
  void Place(Timer timer);
  Timer Pop(std::uint64_t target);
  void Jump(std::uint64_t target);
  void Unlink(Timer timer);
  std::size_t SlotOf(std::uint32_t tick) const;
  // Distance from slot `from` to the next occupied one of a level, going up and around; kSlots where all are
  // empty.
  unsigned NextOccupied(unsigned level, unsigned from) const;

  std::vector<Link> links_;
  std::array<Timer, kLevels * kSlots> first_;
  std::array<std::array<std::uint64_t, kSlots / 64>, kLevels> occupied_{};
  std::int64_t tick_nanos_;
  std::int64_t start_nanos_;
  std::uint64_t now_ = 0;  // ticks since start
};

}  // namespace foreflow::flow

#endif  // FOREFLOW_MODELS_FLOW_EXPIRY_WHEEL_H_
