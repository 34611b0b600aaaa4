// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_CONFORMAL_H_
#define FOREFLOW_MODELS_PREDICT_CONFORMAL_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow::predict {

// Adaptive conformal inference (Gibbs and Candes, "Adaptive conformal inference under distribution shift",
// NeurIPS 2021): turns a score into a set that holds the truth with a stated frequency, whatever the
// predictor and however the traffic changes. A score says how badly an answer fits a prediction, any integer:
// for class sets the surprise -log2 p of a class (ClassScore), for an interval how far the truth lies outside
// it (IntervalScore). The set is all answers that score at most Threshold(): the quantile of the latest
// kWindow scores of truths at level 1 - a. After each outcome a moves by step * (miss rate - miss). So over
// any T outcomes in a row the share of misses differs from the stated one by less than (1 + step) / (step *
// T), by summation alone.
//
// All in integers. An outcome costs a binary search and a move of at most kWindow scores.
class AdaptiveConformal {
 public:
  static constexpr std::size_t kWindow = 256;

  // `miss_rate` (0..65535, 65536 = 1) of the truths may fall outside the set; `step` likewise.
  explicit AdaptiveConformal(std::uint16_t miss_rate, std::uint16_t step = kUsualStep)
      : miss_rate_(miss_rate), step_(step), level_(std::int64_t{miss_rate} << 16) {}

  // Everything scores at most INT32_MAX, nothing at most INT32_MIN; answers must score in between.
  std::int32_t Threshold() const;
  bool Covers(std::int32_t score) const { return score <= Threshold(); }

  // The truth scored `score`. `covered`: whether the set that was given out held it, which is what Covers
  // said then.
  void Learn(std::int32_t score, bool covered);

  // a, 2^-32: below 0 everything is in the set, above 1 nothing.
  std::int64_t level() const { return level_; }

 private:
  static constexpr std::uint16_t kUsualStep = 655;  // 0.01

  std::uint16_t miss_rate_;
  std::uint16_t step_;
  std::uint16_t size_ = 0;
  std::uint16_t oldest_ = 0;
  std::int64_t level_;
  std::array<std::int32_t, kWindow> ring_{};
  std::array<std::int32_t, kWindow> sorted_{};
};

// The surprise of a class with this probability (65535 = 1) in 2^-12 bits, 0..65535; a probability of 0 is
// taken for half of the least.
std::int32_t ClassScore(std::uint16_t probability);

// How far `truth` lies outside [low, high], negative inside: conformalised quantile regression (Romano,
// Patterson, Candes, NeurIPS 2019). With threshold q the interval is [low - q, high + q]. All within +-2^30.
constexpr std::int32_t IntervalScore(std::int32_t low, std::int32_t high, std::int32_t truth) {
  return low - truth > truth - high ? low - truth : truth - high;
}

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_CONFORMAL_H_
