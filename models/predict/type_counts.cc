// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_counts.h"

namespace foreflow::predict {

ContextTable::ContextTable(unsigned context_bits, unsigned set_bits)
    : context_bits_(context_bits),
      set_bits_(set_bits),
      way_(std::size_t{2} << set_bits),
      tag_(std::size_t{2} << set_bits) {}

// A bijection of context_bits bits (odd factors, shifted xor), whose lower bits are the set.
ContextTable::Place ContextTable::PlaceOf(std::uint32_t context) const {
  const std::uint32_t mask = (1u << context_bits_) - 1;
  std::uint32_t x = (context * 0x9e3779b1u) & mask;
  x ^= x >> (context_bits_ / 2);
  x = (x * 0x85ebca6bu) & mask;
  x ^= x >> (context_bits_ / 2);
  const std::uint32_t set = x & ((1u << set_bits_) - 1);
  return {std::size_t{2} * set, static_cast<std::uint16_t>((x >> set_bits_) + 1)};
}

const ContextCounts* ContextTable::Find(std::uint32_t context) const {
  const Place place = PlaceOf(context);
  if (tag_[place.way] == place.tag) return &way_[place.way];
  if (tag_[place.way + 1] == place.tag) return &way_[place.way + 1];
  return nullptr;
}

ContextCounts* ContextTable::FindOrTake(std::uint32_t context) {
  const Place place = PlaceOf(context);
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
