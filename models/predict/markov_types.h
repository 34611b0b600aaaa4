// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_MARKOV_TYPES_H_
#define FOREFLOW_MODELS_PREDICT_MARKOV_TYPES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/work.h"
#include "models/predict/calibrator.h"
#include "models/predict/packet_type.h"
#include "models/predict/type_counts.h"
#include "models/predict/type_predictor.h"

namespace foreflow::predict {

// Which types followed the last symbols of one VM: counts of contexts of orders 0 to `order`, mixed from the
// shortest to the longest by Witten and Bell's method C ("The zero-frequency problem", 1991). Distributions
// are as counted: who asks calibrates. All memory is taken at construction: 16 KiB at order 3.
class MarkovTypes {
 public:
  static constexpr std::size_t kMostOrder = 3;

  // order <= kMostOrder.
  explicit MarkovTypes(std::size_t order);

  // Where the counts of a context lie, each order's.
  using Places = std::array<ContextTable::Place, kMostOrder>;
  // What the counts say; also where they lie, for Learn.
  Distribution Predict(const Context& context, Places& places, Work& work) const;
  Places PlacesOf(const Context& context) const;
  // `places` are those of this context.
  void Learn(const Context& context, const Places& places, PacketType truth, Work& work);
  // Becomes as it was made.
  void Forget(Work& work);

  // Brings nearer what Predict and Learn of this context will touch.
  void Prefetch(const Context& context) const;
  // Of the tables.
  std::size_t bytes() const;

 private:
  // What a packet's headers suggest, so that a new VM's first packets are not guessed blindly.
  void AddUsualTypes();
  std::size_t Depth(const Context& context) const;

  OverallCounts overall_;
  std::vector<ContextTable> table_;  // by order, from 1
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_MARKOV_TYPES_H_
