// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_SUCCESSOR_TABLE_H_
#define FOREFLOW_MODELS_PREDICT_SUCCESSOR_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/work.h"

namespace foreflow::predict {

// Index of a destination in its VM's profile.
using DestinationId = std::uint16_t;

struct NextDestination {
  DestinationId destination = 0;
  std::uint16_t confidence = 0;  // 65535 = 1: share of times it followed
};

// Which destinations follow which, for one VM: first-order Markov over destinations, the few most frequent
// successors of each kept, counts decayed by halving. Bounded, no allocation after construction.
class SuccessorTable {
 public:
  SuccessorTable(std::size_t destinations, std::size_t successors);

  void Observe(DestinationId previous, DestinationId next, Work& work);
  // Forgets a destination whose index is being used again.
  void Forget(DestinationId destination);
  // The most likely successors, most likely first; returns how many were written (<= limit).
  std::size_t Predict(DestinationId current, NextDestination* out, std::size_t limit, Work& work) const;
  std::size_t bytes() const;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SUCCESSOR_TABLE_H_
