// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_TOKEN_BUCKET_H_
#define FOREFLOW_MODELS_BASE_TOKEN_BUCKET_H_

#include <algorithm>
#include <cstdint>

#include "models/base/units.h"

namespace foreflow {

// Allows `rate` actions a second, and up to `burst` at once. Starts full. Exact: tokens are held in units of
// 1e-9, which is what a rate of 1 a second earns in 1 ns, so nothing is rounded and nothing drifts.
class TokenBucket {
 public:
  // `rate` a second; 0: the burst is all there ever is. 1 <= burst <= 2^31 - 1.
  constexpr TokenBucket(std::uint32_t rate, std::uint32_t burst)
      : rate_(rate), capacity_(std::int64_t{burst} * kToken), tokens_(capacity_) {}

  // False, and nothing taken, where not as many are left. A time that runs backwards earns nothing.
  constexpr bool Take(Nanos now, std::uint32_t count = 1) {
    if (now > at_) {
      // What fills the bucket from empty; no more, so that the product stays within 64 bits.
      const std::int64_t longest = rate_ == 0 ? 0 : capacity_ / rate_ + 1;
      tokens_ = std::min(capacity_, tokens_ + std::min(Elapsed(now), longest) * rate_);
      at_ = now;
    }
    const std::int64_t wanted = std::int64_t{count} * kToken;
    if (tokens_ < wanted) return false;
    tokens_ -= wanted;
    return true;
  }
  // What is left of the burst, 65535 = all, as of the last Take.
  constexpr std::uint16_t Level() const {
    return static_cast<std::uint16_t>(tokens_ / kToken * 65535 / (capacity_ / kToken));
  }
  // What was taken was not needed; never fills beyond the burst.
  constexpr void GiveBack(std::uint32_t count = 1) {
    tokens_ = std::min(capacity_, tokens_ + std::int64_t{count} * kToken);
  }

 private:
  static constexpr std::int64_t kToken = 1'000'000'000;

  // now > at_; a difference that does not fit saturates.
  constexpr std::int64_t Elapsed(Nanos now) const {
    const std::uint64_t elapsed =
        static_cast<std::uint64_t>(now.count()) - static_cast<std::uint64_t>(at_.count());
    return elapsed > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(elapsed);
  }

  std::int64_t rate_;
  std::int64_t capacity_;
  std::int64_t tokens_;
  Nanos at_;
};

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_TOKEN_BUCKET_H_
