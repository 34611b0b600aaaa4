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

// One prediction of where the VM turns next.
struct NextDestination {
  DestinationId destination = 0;
  std::uint16_t confidence = 0;  // 65535 = 1: share of times it followed
};

// Which destinations follow which, for one VM: first-order Markov over destinations, the few most frequent
// successors of each kept, counts decayed by halving. Bounded, no allocation after construction:
// destinations * (4 * successors + 2) bytes.
//
// A successor that finds no free place takes one off the smallest count and a place when that reaches zero
// (Misra and Gries 1982, one counter at a time), so that a count never exceeds how often the successor was
// seen. Space-Saving (Metwally et al. 2005) would hand newcomers the count of those they replace: on
// memoryless traffic each of k successors would seem to follow 1/k of the time, and predictions would be
// acted on that are worth nothing.
class SuccessorTable {
 public:
  static constexpr std::size_t kMaxSuccessors = 16;

  // Throws Refusal unless 1 <= destinations <= 65535 and 1 <= successors <= kMaxSuccessors.
  SuccessorTable(std::size_t destinations, std::size_t successors);

  // `previous`, `next` < destinations.
  void Observe(DestinationId previous, DestinationId next, Work& work);
  // Forgets a destination whose index is being used again, as a predecessor and as a successor.
  void Forget(DestinationId destination);
  // The most likely successors, most likely first; returns how many were written (<= limit).
  std::size_t Predict(DestinationId current, NextDestination* out, std::size_t limit, Work& work) const;
  // Brings nearer what Observe and Predict from here will touch.
  void Prefetch(DestinationId destination) const { __builtin_prefetch(RowOf(destination), 1); }
  // Of the tables.
  std::size_t bytes() const;

 private:
  struct Successor {
    DestinationId destination = 0;
    std::uint8_t generation = 0;  // of the destination, when it was stored
    std::uint8_t count = 0;       // 0: free
  };

  Successor* RowOf(DestinationId destination) { return &successor_[destination * successors_]; }
  const Successor* RowOf(DestinationId destination) const { return &successor_[destination * successors_]; }
  // The place to count `next` in: its own, else a free one, else the smallest count.
  Successor& PlaceOf(Successor* row, DestinationId next);
  bool IsStale(const Successor& successor) const {
    return successor.generation != generation_[successor.destination];
  }

  std::size_t successors_;
  std::vector<Successor> successor_;      // rows of `successors_`
  std::vector<std::uint8_t> total_;       // observations of a row, decayed with its counts
  std::vector<std::uint8_t> generation_;  // of a destination's index: successors of an older one are void
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SUCCESSOR_TABLE_H_
