// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_GOVERNOR_H_
#define FOREFLOW_MODELS_PREDICT_GOVERNOR_H_

#include <cstdint>

namespace foreflow::predict {

// Costs of one kind of speculation, in one unit (cycles).
struct SpeculationCosts {
  std::uint32_t predict = 0;   // to make a prediction
  std::uint32_t validate = 0;  // to find out whether it was right
  std::uint32_t waste = 0;     // work lost by a wrong one
  std::uint32_t saving = 0;    // work saved by a right one
};

// The break-even law: act only while the measured hit rate h exceeds
// h* = (predict + validate + waste) / (saving + waste). h is an exponentially weighted share of outcomes: the
// plain mean of the first kWindow, then a step of 1 / kWindow towards each. While shut, predictions are still
// scored without being acted on, so that the governor can open again.
//
// Opens when h > h* + margin after `probation` outcomes since it was made or last shut; shuts when h <= h*.
// What one open spell can lose against not acting is below (saving + waste) * (h_at_opening - h* + 1 /
// kWindow) * kWindow units, whoever chooses the outcomes: the sum over a spell of (hit - h*) is the sum of (h
// - h*), which is positive while open, plus kWindow times the change of h. A predictor that is always wrong
// never opens it.
class Governor {
 public:
  static constexpr std::uint32_t kWindow = 256;

  // `margin` is added to h* (65535 = 1). `probation` outcomes are observed before it may open.
  Governor(const SpeculationCosts& costs, std::uint16_t margin, std::uint32_t probation);

  // Whether to act on the next prediction.
  bool IsOpen() const { return is_open_; }
  // The outcome of a prediction, acted on or not.
  void Record(bool hit);
  std::uint16_t HitRate() const;    // h, 65535 = 1
  std::uint16_t BreakEven() const;  // h*, 65535 = 1 (saturated)

 private:
  // Shares are counted in units of 2^-32, so that a step of 1 / kWindow does not stop short of 0 or 1 by more
  // than 2^-23.
  static constexpr std::uint64_t kOne = std::uint64_t{1} << 32;

  std::uint64_t break_even_;  // may exceed kOne: then it never opens
  std::uint64_t opens_above_;
  std::uint64_t hit_rate_ = 0;
  std::uint32_t seen_ = 0;  // outcomes, up to kWindow
  std::uint32_t probation_;
  std::uint32_t probation_left_;
  bool is_open_ = false;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_GOVERNOR_H_
