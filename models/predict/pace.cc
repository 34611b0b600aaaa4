// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/pace.h"

#include <algorithm>

namespace foreflow::predict {
namespace {

constexpr std::int64_t kOne = 1 << 16;
constexpr std::int64_t kMemory = 32;                      // packets that a mean remembers
constexpr std::int64_t kLongest = std::int64_t{1} << 40;  // longer gaps are all alike: 18 minutes
constexpr std::int64_t kLn2 = 45'426;                     // of kOne

// log2 of a number above 0, of kOne: whole part and a straight line between powers of two.
std::int64_t Log2(std::uint64_t number) {
  const int whole = 63 - __builtin_clzll(number);
  const std::uint64_t rest = whole >= 16 ? number >> (whole - 16) : number << (16 - whole);
  return (std::int64_t{whole} << 16) + static_cast<std::int64_t>(rest) - kOne;
}

void Follow(std::int64_t& mean, std::int64_t sample) {
  mean = mean == 0 ? sample : mean + (sample - mean) / kMemory;
}

}  // namespace

void Pace::See(Nanos gap, bool turned) {
  const std::int64_t sample = std::clamp<std::int64_t>(gap.count(), 1, kLongest);
  Follow(turned ? turn_ : on_, sample);
  turns_ += ((turned ? kOne : 0) - turns_) / kMemory;
}

Nanos Pace::Patience() const {
  if (on_ == 0 || turn_ <= on_ || turns_ <= 0) return kNever;
  // Products below 2^57.
  const std::int64_t log = Log2(static_cast<std::uint64_t>((kOne - turns_) * turn_)) -
                           Log2(static_cast<std::uint64_t>(turns_ * on_));
  if (log <= 0) return Nanos(0);
  const auto rate = static_cast<double>(turn_ - on_);
  const double scale = static_cast<double>(on_) * static_cast<double>(turn_) / rate;
  const double patience = static_cast<double>(log) * static_cast<double>(kLn2) / kOne / kOne * scale;
  return patience < static_cast<double>(kLongest) ? Nanos(static_cast<std::int64_t>(patience)) : kNever;
}

}  // namespace foreflow::predict
