// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/governor.h"

#include <algorithm>

namespace foreflow::predict {

Governor::Governor(const SpeculationCosts& costs, std::uint16_t margin, std::uint32_t probation)
    : probation_(probation), probation_left_(probation) {
  // Sums of three 32-bit costs shifted by 29 stay within 64 bits; the last 3 bits are not needed.
  const std::uint64_t spent = std::uint64_t{costs.predict} + costs.validate + costs.waste;
  const std::uint64_t gained = std::uint64_t{costs.saving} + costs.waste;
  break_even_ = gained == 0 ? 2 * kOne : std::min(((spent << 29) / gained) << 3, 2 * kOne);
  opens_above_ = break_even_ + (std::uint64_t{margin} * kOne) / 65535;
}

void Governor::Record(bool hit) {
  if (seen_ < kWindow) ++seen_;
  const std::uint64_t target = hit ? kOne : 0;
  if (target >= hit_rate_) {
    hit_rate_ += (target - hit_rate_) / seen_;
  } else {
    // Rounded up: it must be able to come down to zero.
    hit_rate_ -= (hit_rate_ + seen_ - 1) / seen_;
  }
  if (probation_left_ > 0) --probation_left_;
  if (is_open_) {
    if (hit_rate_ <= break_even_) {
      is_open_ = false;
      probation_left_ = probation_;
    }
  } else if (probation_left_ == 0 && hit_rate_ > opens_above_) {
    is_open_ = true;
  }
}

std::uint16_t Governor::HitRate() const { return static_cast<std::uint16_t>((hit_rate_ * 65535) >> 32); }

std::uint16_t Governor::BreakEven() const {
  return static_cast<std::uint16_t>((std::min(break_even_, kOne) * 65535) >> 32);
}

}  // namespace foreflow::predict
