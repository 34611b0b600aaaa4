// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_PACE_H_
#define FOREFLOW_MODELS_PREDICT_PACE_H_

#include <cstdint>
#include <limits>

#include "models/base/units.h"

namespace foreflow::predict {

// When a sender turns elsewhere: follows the gaps before packets that go on with what the sender does and
// before those that turn to something else, as exponential means, and says from which silence on turning is
// what to expect. Silences are often the only sign: what comes next may be known long before it comes.
class Pace {
 public:
  static constexpr Nanos kNever{std::numeric_limits<std::int64_t>::max() / 2};

  // A packet, `gap` after the sender's last one.
  void See(Nanos gap, bool turned);
  // The silence after which making room for what comes next costs less, in the mean, than keeping what there
  // was, where either mistake costs the same: with exponential gaps of means s and t and a share p that
  // turns, ln((1 - p) t / (p s)) / (1/s - 1/t). kNever where silence tells nothing, or not yet.
  Nanos Patience() const;
  // The mean gap before packets that turn; kNever before the first.
  Nanos MeanTurn() const { return turn_ == 0 ? kNever : Nanos(turn_); }

 private:
  std::int64_t on_ = 0;     // mean gap before packets that go on, ns; 0: none was seen
  std::int64_t turn_ = 0;   // and before those that turn
  std::int64_t turns_ = 0;  // share that turns, of kOne
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_PACE_H_
