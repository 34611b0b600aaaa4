// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_CHANNEL_MODEL_H_
#define FOREFLOW_MODELS_SHARD_CHANNEL_MODEL_H_

#include <vector>

#include "models/base/units.h"

namespace foreflow::shard {

// What is known of how late numbers come: `share` of those that are not lost come more than `after` behind
// the first later number.
struct LatenessPoint {
  Nanos after;  // 0 ..
  double share = 0;
};

// A path whose law is known. Losses are Gilbert's and Elliott's: a chain of two states that makes a step each
// number, and loses with the state's share (Elliott 1963). Delays do not depend on the state.
struct ChannelModel {
  double to_bad = 0;     // of a step in the good state: 0 .. 1
  double to_good = 1;    // of a step in the bad state: above 0 .. 1
  double loss_good = 0;  // 0 .. 1
  double loss_bad = 0;   // 0 .. 1
  // In order of time, from 0 on; shares 0 .. 1 that do not rise; straight between points, 0 after the last.
  // Empty: nothing comes late.
  std::vector<LatenessPoint> lateness;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_CHANNEL_MODEL_H_
