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
// h* = (predict + validate + waste) / (saving + waste). h is an exponentially weighted share of outcomes. While
// shut, predictions are still scored without being acted on, so that the governor can open again.
class Governor {
 public:
  // `margin` is added to h* (65535 = 1). `probation` outcomes are observed before it may open.
  Governor(const SpeculationCosts& costs, std::uint16_t margin, std::uint32_t probation);

  bool IsOpen() const;
  void Record(bool hit);
  std::uint16_t HitRate() const;    // h, 65535 = 1
  std::uint16_t BreakEven() const;  // h*, 65535 = 1 (saturated)
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_GOVERNOR_H_
