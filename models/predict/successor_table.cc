// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/successor_table.h"

#include <algorithm>
#include <array>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::predict {

namespace {

// 2^40 / n, rounded up: with it a quotient of numbers below 2^24 by n is exact, and costs no division.
constexpr std::array<std::uint64_t, 256> MakeReciprocals() {
  std::array<std::uint64_t, 256> reciprocal{};
  for (std::uint64_t n = 1; n < reciprocal.size(); ++n)
    reciprocal[n] = ((std::uint64_t{1} << 40) + n - 1) / n;
  return reciprocal;
}
constexpr std::array<std::uint64_t, 256> kReciprocal = MakeReciprocals();

// count / total, 65535 = 1, for count <= total.
std::uint16_t ShareOf(std::uint8_t count, std::uint8_t total) {
  return static_cast<std::uint16_t>((count * std::uint64_t{65535} * kReciprocal[total]) >> 40);
}

}  // namespace

SuccessorTable::SuccessorTable(std::size_t destinations, std::size_t successors) : successors_(successors) {
  if (destinations == 0 || destinations > UINT16_MAX) {
    throw Refusal("successor table", "destinations", std::to_string(destinations), "1..65535");
  }
  if (successors == 0 || successors > kMaxSuccessors) {
    throw Refusal("successor table", "successors", std::to_string(successors),
                  "1.." + std::to_string(kMaxSuccessors));
  }
  successor_.resize(destinations * successors);
  total_.assign(destinations, 0);
  generation_.assign(destinations, 0);
}

void SuccessorTable::Observe(DestinationId previous, DestinationId next, Work& work) {
  work.Add(WorkItem::kUpdate);
  work.Add(WorkItem::kCacheLine, 2);
  Successor* row = RowOf(previous);
  if (total_[previous] == UINT8_MAX) {
    total_[previous] /= 2;
    for (std::size_t i = 0; i < successors_; ++i) row[i].count /= 2;
  }
  ++total_[previous];

  Successor& place = PlaceOf(row, next);
  if (place.count > 0 && place.destination != next) {
    --place.count;
    if (place.count > 0) return;
  }
  place.destination = next;
  place.generation = generation_[next];
  ++place.count;
}

SuccessorTable::Successor& SuccessorTable::PlaceOf(Successor* row, DestinationId next) {
  Successor* best = row;
  for (Successor* place = row; place != row + successors_; ++place) {
    if (place->count > 0 && IsStale(*place)) place->count = 0;
    if (place->count > 0 && place->destination == next) return *place;
    if (place->count < best->count) best = place;
  }
  return *best;
}

void SuccessorTable::Forget(DestinationId destination) {
  std::fill_n(RowOf(destination), successors_, Successor{});
  total_[destination] = 0;
  if (++generation_[destination] != 0) return;
  // The generation has come round: void by hand what might be taken for the new one, once in 256 times.
  for (Successor& successor : successor_) {
    if (successor.destination == destination) successor.count = 0;
  }
}

std::size_t SuccessorTable::Predict(DestinationId current, NextDestination* out, std::size_t limit,
                                    Work& work) const {
  work.Add(WorkItem::kTableStep);
  work.Add(WorkItem::kCacheLine, 2);
  const Successor* row = RowOf(current);
  // Insertion into a sorted list; among equals the one in the earlier place comes first.
  std::array<const Successor*, kMaxSuccessors> sorted;
  std::size_t count = 0;
  for (const Successor* place = row; place != row + successors_; ++place) {
    if (place->count == 0 || IsStale(*place)) continue;
    std::size_t at = count++;
    for (; at > 0 && sorted[at - 1]->count < place->count; --at) sorted[at] = sorted[at - 1];
    sorted[at] = place;
  }
  count = std::min(count, limit);
  for (std::size_t i = 0; i < count; ++i) {
    out[i].destination = sorted[i]->destination;
    out[i].confidence = ShareOf(sorted[i]->count, total_[current]);
  }
  return count;
}

std::size_t SuccessorTable::bytes() const {
  return successor_.size() * sizeof(Successor) + total_.size() + generation_.size();
}

}  // namespace foreflow::predict
