// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_counts.h"

namespace foreflow::predict {

ContextTable::ContextTable(unsigned context_bits, unsigned set_bits)
    : context_bits_(context_bits), set_bits_(set_bits), sets_(std::size_t{1} << set_bits) {}

ContextCounts* ContextTable::FindOrTake(const Place& place) {
  Set& set = sets_[place.set];
  if (set.tag[0] == place.tag) return &set.way[0];
  if (set.tag[1] == place.tag) return &set.way[1];

  const std::size_t lesser = set.way[1].total < set.way[0].total ? 1 : 0;
  ContextCounts& counts = set.way[lesser];
  if (counts.total > 1) {
    counts.Halve();
    return nullptr;
  }
  counts = ContextCounts{};
  set.tag[lesser] = place.tag;
  return &counts;
}

}  // namespace foreflow::predict
