// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/life_table.h"

#include <algorithm>

namespace foreflow::predict {
namespace {

constexpr std::uint32_t kMemory = 4096;   // packets, before counts are halved
constexpr std::int64_t kMeanMemory = 32;  // packets

}  // namespace

std::size_t LifeTable::IntervalOf(std::int64_t ns) {
  if (ns < std::int64_t{1} << kShortest) return 0;
  const int whole = 63 - __builtin_clzll(static_cast<std::uint64_t>(ns));
  if (whole >= kLongest) return kIntervals - 1;
  const std::size_t half = static_cast<std::uint64_t>(ns) >> (whole - 1) & 1;
  return 1 + 2 * static_cast<std::size_t>(whole - kShortest) + half;
}

std::int64_t LifeTable::Begin(std::size_t interval) {
  if (interval == 0) return 0;
  const std::size_t octave = (interval - 1) / 2;
  return static_cast<std::int64_t>((2 + (interval - 1) % 2) << (octave + kShortest - 1));
}

void LifeTable::See(Nanos gap, bool turned) {
  const std::int64_t ns = std::max<std::int64_t>(gap.count(), 0);
  ++(turned ? turn_ : on_)[IntervalOf(ns)];
  const std::int64_t sample = std::clamp<std::int64_t>(ns, 1, std::int64_t{1} << kLongest);
  mean_ = mean_ == 0 ? sample : mean_ + (sample - mean_) / kMeanMemory;
  if (++packets_ < kMemory) return;
  packets_ = 0;
  for (std::size_t i = 0; i < kIntervals; ++i) {
    on_[i] /= 2;
    turn_[i] /= 2;
    packets_ += on_[i] + turn_[i];
  }
}

// The interval and, for half as much, its neighbours: few packets end in one.
LifeTable::Share LifeTable::Around(std::size_t interval) const {
  Share share;
  std::uint64_t later = 0;  // packets whose gap ends after the interval that is looked at
  const std::size_t first = interval == 0 ? 0 : interval - 1;
  for (std::size_t i = kIntervals; i-- > first;) {
    const std::uint32_t here = on_[i] + turn_[i];
    if (i <= interval + 1) {
      const double weight = i == interval ? 2 : 1;
      const std::size_t next = std::min(i + 1, kIntervals - 1);
      // The last interval has no end: as long as it is late.
      const std::int64_t width = next == i ? Begin(i) : Begin(next) - Begin(i);
      share.on += weight * on_[i];
      share.turn += weight * turn_[i];
      share.exposure += weight * (static_cast<double>(later) + here / 2.0) * static_cast<double>(width);
    }
    later += here;
  }
  return share;
}

LifeTable::Hazard LifeTable::After(Nanos silence, const LifeTable& others) const {
  const std::size_t interval = IntervalOf(std::max<std::int64_t>(silence.count(), 0));
  Share share = Around(interval);
  const Share prior = others.Around(interval);
  const double events = prior.on + prior.turn;
  if (events > 0) {
    // As many packets as kPrior, at the others' rate.
    const double scale = kPrior / events;
    share.on += scale * prior.on;
    share.turn += scale * prior.turn;
    share.exposure += scale * prior.exposure;
  }
  if (share.exposure <= 0) return {};
  return {share.on / share.exposure * 1e9, share.turn / share.exposure * 1e9};
}

}  // namespace foreflow::predict
