// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_FIXED_SHARE_H_
#define FOREFLOW_MODELS_PREDICT_FIXED_SHARE_H_

#include <cstdint>

#include "models/predict/calibrator.h"

namespace foreflow::predict {

// Two predictors as one: their distributions mixed by how well each has done lately (Herbster and Warmuth,
// "Tracking the best expert", Machine Learning 32, 1998: Bayes' rule, then a fixed share of the weight goes
// back). So a model that was trained before and one that learns on cost little more together than whichever
// is better, without anybody having to notice when that changes: over T outcomes in a row of which k times
// the better one changes, the log loss exceeds theirs by less than 1 + 9 k + 0.003 T bits.
//
// One object a VM, 4 B. Integers alone; Learn divides once.
class FixedShare {
 public:
  static constexpr std::uint32_t kOne = 1u << 15;

  // Of both distributions, which sum to 65536 up to rounding. `weight` is the first's.
  static Distribution Mix(const Distribution& one, const Distribution& other, std::uint32_t weight) {
    Distribution mixed{};
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      mixed[i] = (one[i] * weight + other[i] * (kOne - weight) + kOne / 2) / kOne;
    }
    return mixed;
  }
  Distribution Mix(const Distribution& one, const Distribution& other) const {
    return Mix(one, other, weight_);
  }

  // What each had given the truth, 65536 = 1.
  void Learn(std::uint32_t one, std::uint32_t other) {
    // A probability below what the distributions can tell is not evidence without bound.
    const std::uint64_t first = std::uint64_t{one < kLeast ? kLeast : one} * weight_;
    const std::uint64_t second = std::uint64_t{other < kLeast ? kLeast : other} * (kOne - weight_);
    const auto posterior = static_cast<std::uint32_t>(first * kOne / (first + second));
    weight_ = posterior - posterior / kShare + kOne / (2 * kShare);
  }

  // Of the first; kOne = 1.
  std::uint32_t weight() const { return weight_; }

 private:
  static constexpr std::uint32_t kShare = 256;  // 1 / the share
  static constexpr std::uint32_t kLeast = 1;

  std::uint32_t weight_ = kOne / 2;  // below kOne, so that 17 bits of probability times it fit
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_FIXED_SHARE_H_
