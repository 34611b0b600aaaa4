// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_counts.h"

namespace foreflow::predict {

ContextTable::ContextTable(unsigned context_bits, unsigned set_bits)
    : context_bits_(context_bits),
      set_bits_(set_bits),
      way_(std::size_t{2} << set_bits),
      tag_(std::size_t{2} << set_bits) {}

ContextCounts* ContextTable::FindOrTake(const Place& place) {
  if (tag_[place.way] == place.tag) return &way_[place.way];
  if (tag_[place.way + 1] == place.tag) return &way_[place.way + 1];

  const std::size_t lesser = way_[place.way + 1].total < way_[place.way].total ? place.way + 1 : place.way;
  ContextCounts& counts = way_[lesser];
  if (counts.total > 1) {
    counts.Halve();
    return nullptr;
  }
  counts = ContextCounts{};
  tag_[lesser] = place.tag;
  return &counts;
}

}  // namespace foreflow::predict
