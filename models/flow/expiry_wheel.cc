// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/expiry_wheel.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::flow {
namespace {

constexpr std::uint64_t kFarthest = (std::uint64_t{1} << 31) - 1;

}  // namespace

ExpiryWheel::ExpiryWheel(std::size_t timers, Nanos tick, Nanos start)
    : tick_nanos_(tick.count()), start_nanos_(start.count()) {
  if (tick.count() <= 0) {
    throw Refusal("expiry wheel", "tick", std::to_string(tick.count()) + " ns", "1 ns or more");
  }
  if (timers >= kUnlinked) {
    throw Refusal("expiry wheel", "timers", std::to_string(timers), "0 .. " + std::to_string(kUnlinked - 1));
  }
  links_.resize(timers);
  first_.fill(kNone);
}

// Rounded up, so that no timer fires before its deadline. Differences of times are taken without a sign: they
// are exact even where a capture's clock jumps over more than half of the 64-bit range.
inline std::uint64_t ExpiryWheel::TickOf(Nanos deadline) const {
  if (deadline.count() <= start_nanos_) return 0;
  const std::uint64_t since =
      static_cast<std::uint64_t>(deadline.count()) - static_cast<std::uint64_t>(start_nanos_);
  const auto tick = static_cast<std::uint64_t>(tick_nanos_);
  return since / tick + (since % tick != 0 ? 1 : 0);
}

// The tick that a wheel has reached by `now`, which is not before its start.
inline std::uint64_t ExpiryWheel::TargetOf(Nanos now) const {
  return (static_cast<std::uint64_t>(now.count()) - static_cast<std::uint64_t>(start_nanos_)) /
         static_cast<std::uint64_t>(tick_nanos_);
}

Nanos ExpiryWheel::TimeOf(std::uint64_t tick) const {
  return Nanos(static_cast<std::int64_t>(static_cast<std::uint64_t>(start_nanos_) +
                                         tick * static_cast<std::uint64_t>(tick_nanos_)));
}

Nanos ExpiryWheel::FiresAt(Timer timer) const {
  const std::uint32_t ahead = links_[timer].tick - static_cast<std::uint32_t>(now_);
  return TimeOf(now_ + ahead);
}

std::uint32_t ExpiryWheel::TickFor(Nanos deadline) const {
  return static_cast<std::uint32_t>(std::clamp(TickOf(deadline), now_ + 1, now_ + kFarthest));
}

void ExpiryWheel::ArmAt(Timer timer, std::uint32_t tick) {
  if (IsArmed(timer)) Unlink(timer);
  links_[timer].tick = tick;
  Place(timer);
}

void ExpiryWheel::Arm(Timer timer, Nanos deadline) { ArmAt(timer, TickFor(deadline)); }

void ExpiryWheel::Disarm(Timer timer) {
  if (IsArmed(timer)) Unlink(timer);
}

// The level is that of the highest byte in which the tick differs from now: then all timers of one tick are
// in one list at any time, and stay in order when the list moves down.
inline std::size_t ExpiryWheel::SlotOf(std::uint32_t tick) const {
  const std::uint32_t differs = tick ^ static_cast<std::uint32_t>(now_);
  unsigned level = 0;
  while (level + 1 < kLevels && differs >> (kBits * (level + 1)) != 0) ++level;
  return level * kSlots + (tick >> (kBits * level)) % kSlots;
}

inline void ExpiryWheel::Place(Timer timer) {
  const std::size_t slot = SlotOf(links_[timer].tick);
  const Timer first = first_[slot];
  if (first == kNone) {
    links_[timer].prev = links_[timer].next = timer;
    first_[slot] = timer;
    occupied_[slot / kSlots][slot % kSlots / 64] |= std::uint64_t{1} << slot % 64;
    return;
  }
  const Timer last = links_[first].prev;
  links_[timer].prev = last;
  links_[timer].next = first;
  links_[last].next = timer;
  links_[first].prev = timer;
}

inline void ExpiryWheel::Unlink(Timer timer) {
  Link& link = links_[timer];
  const std::size_t slot = SlotOf(link.tick);
  if (link.next == timer) {
    first_[slot] = kNone;
    occupied_[slot / kSlots][slot % kSlots / 64] &= ~(std::uint64_t{1} << slot % 64);
  } else {
    links_[link.prev].next = link.next;
    links_[link.next].prev = link.prev;
    if (first_[slot] == timer) first_[slot] = link.next;
  }
  link.next = kUnlinked;
}

unsigned ExpiryWheel::NextOccupied(unsigned level, unsigned from) const {
  const auto& words = occupied_[level];
  constexpr unsigned kWords = kSlots / 64;
  for (unsigned i = 0; i <= kWords; ++i) {
    std::uint64_t word = words[(from / 64 + i) % kWords];
    if (i == 0) word &= ~std::uint64_t{0} << from % 64;
    if (i == kWords) word &= ~(~std::uint64_t{0} << from % 64);
    if (word == 0) continue;
    const unsigned bit = static_cast<unsigned>(__builtin_ctzll(word));
    return ((from / 64 + i) % kWords * 64 + bit + kSlots - from) % kSlots;
  }
  return kSlots;
}

ExpiryWheel::Timer ExpiryWheel::Next(Nanos now) {
  if (now.count() < start_nanos_) return kNone;
  const std::uint64_t target = TargetOf(now);
  if (target > now_ && target - now_ > kFarthest) Jump(target - kFarthest);
  return Pop(target);
}

bool ExpiryWheel::IsPastAll(Nanos now) const {
  if (now.count() < start_nanos_) return false;
  const std::uint64_t target = TargetOf(now);
  return target > now_ && target - now_ > kFarthest;
}

// Else an owner that arms timers anew as they fire would do so once for each 2^31 ticks of the jump.
void ExpiryWheel::Jump(std::uint64_t target) {
  Timer first = kNone;
  Timer last = kNone;
  for (Timer timer = Pop(target); timer != kNone; timer = Pop(target)) {
    (first == kNone ? first : links_[last].prev) = timer;
    last = timer;
  }
  for (Timer timer = first; timer != kNone;) {
    const Timer next = timer == last ? kNone : links_[timer].prev;
    links_[timer].tick = static_cast<std::uint32_t>(now_);
    Place(timer);
    timer = next;
  }
}

ExpiryWheel::Timer ExpiryWheel::Pop(std::uint64_t target) {
  while (now_ <= target) {
    // The nearest occupied slot: one of a lower level always comes before all those above it.
    unsigned level = 0;
    unsigned ahead = kSlots;
    for (; level < kLevels && ahead == kSlots; ++level) {
      ahead = NextOccupied(level, static_cast<unsigned>(now_ >> (kBits * level)) % kSlots);
    }
    if (ahead == kSlots) break;
    --level;
    const std::uint64_t tick = ((now_ >> (kBits * level)) + ahead) << (kBits * level);
    if (tick > target) break;
    now_ = std::max(now_, tick);
    const std::size_t slot = level * kSlots + (tick >> (kBits * level)) % kSlots;
    const Timer first = first_[slot];
    if (level == 0) {
      Unlink(first);
      return first;
    }
    // The wheel has reached the slot of a higher level: its timers move down, in order.
    first_[slot] = kNone;
    occupied_[level][slot % kSlots / 64] &= ~(std::uint64_t{1} << slot % 64);
    for (Timer timer = first;;) {
      const Timer next = links_[timer].next;
      Place(timer);
      if (next == first) break;
      timer = next;
    }
  }
  now_ = std::max(now_, target);
  return kNone;
}

}  // namespace foreflow::flow
