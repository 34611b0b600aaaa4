// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/conformal.h"

#include <algorithm>

#include "models/predict/fixed_log.h"

namespace foreflow::predict {

// The k-th least of n scores, k = ceil((n + 1) (1 - a)): with one score more than those seen, which may rank
// anywhere among them alike, the chance of a miss is at most a.
std::int32_t AdaptiveConformal::Threshold() const {
  constexpr std::int64_t kOne = std::int64_t{1} << 32;
  if (level_ >= kOne) return INT32_MIN;
  if (level_ <= 0) return INT32_MAX;
  const std::int64_t rank = ((size_ + 1) * (kOne - level_) + kOne - 1) >> 32;
  return rank > size_ ? INT32_MAX : sorted_[static_cast<std::size_t>(rank - 1)];
}

void AdaptiveConformal::Learn(std::int32_t score, bool covered) {
  level_ += std::int64_t{step_} * (covered ? miss_rate_ : miss_rate_ - 65536);
  auto end = sorted_.begin() + size_;
  if (size_ == kWindow) {
    const auto gone = std::lower_bound(sorted_.begin(), end, ring_[oldest_]);
    const auto place = std::lower_bound(sorted_.begin(), end, score);
    if (place > gone) {
      std::copy(gone + 1, place, gone);
      *(place - 1) = score;
    } else {
      std::copy_backward(place, gone, gone + 1);
      *place = score;
    }
  } else {
    const auto place = std::lower_bound(sorted_.begin(), end, score);
    std::copy_backward(place, end, end + 1);
    *place = score;
    ++size_;
  }
  ring_[oldest_] = score;
  oldest_ = static_cast<std::uint16_t>((oldest_ + 1u) % kWindow);
}

std::int32_t ClassScore(std::uint16_t probability) {
  constexpr std::uint32_t kWhole = Log2(2 * 65535);
  return static_cast<std::int32_t>(kWhole - Log2(probability == 0 ? 1u : 2u * probability));
}

}  // namespace foreflow::predict
