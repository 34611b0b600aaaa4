// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_CALIBRATOR_H_
#define FOREFLOW_MODELS_PREDICT_CALIBRATOR_H_

#include <array>
#include <cstdint>

#include "models/predict/packet_type.h"

namespace foreflow::predict {

// Probabilities of the types, 65536 = 1, up to rounding.
using Distribution = std::array<std::uint32_t, kPacketTypes>;

// Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017), fitted as outcomes
// come in: probabilities become p^b / sum p^b, where the sharpness b = 1 / T is one of a fixed grid of 17
// steps of 2^(1/4) between 1/4 and 4. Log loss is convex in b, so it is enough to score the present step and
// its two neighbours: after each kRound outcomes the step moves to the neighbour whose loss was lower by
// kMinimumGain. All in integers (fixed_log.h).
class Calibrator {
 public:
  static constexpr std::uint32_t kRound = 128;

  // Writes what sums to 65535 exactly; `best` takes what rounding leaves.
  void Apply(const Distribution& raw, PacketType best,
             std::array<std::uint16_t, kPacketTypes>& probability) const;
  // `raw` as Apply had it for this packet.
  void Learn(const Distribution& raw, PacketType truth);
  // b, 256 = 1.
  std::uint32_t sharpness() const { return kSharpness[step_]; }

 private:
  static constexpr std::array<std::uint16_t, 17> kSharpness = {64,  76,  91,  108, 128, 152, 181, 215, 256,
                                                               304, 362, 431, 512, 609, 724, 861, 1024};
  // 0.004 bits an outcome, in units of 2^-12.
  static constexpr std::int64_t kMinimumGain = 16 * kRound;

  std::int64_t gain_sharper_ = 0;  // log loss now less log loss one step sharper, 2^-12 bits
  std::int64_t gain_softer_ = 0;
  std::uint32_t seen_ = 0;
  std::uint8_t step_ = 8;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_CALIBRATOR_H_
