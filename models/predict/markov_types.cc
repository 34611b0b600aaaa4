// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/markov_types.h"

#include <algorithm>

#include "models/predict/features.h"

namespace foreflow::predict {
namespace {

constexpr unsigned kSymbolBits = 6;
static_assert(kSymbols == 1u << kSymbolBits);

// Sets (2 ways each) of the tables of order 1, 2 and 3: 1, 5 and 10 KiB.
constexpr std::array<unsigned, MarkovTypes::kMostOrder> kSetBits = {5, 8, 9};

}  // namespace

MarkovTypes::MarkovTypes(std::size_t order) {
  table_.reserve(order);
  for (std::size_t k = 1; k <= order; ++k) {
    table_.emplace_back(static_cast<unsigned>(k) * kSymbolBits, kSetBits[k - 1]);
  }
  AddUsualTypes();
}

void MarkovTypes::AddUsualTypes() {
  if (table_.empty()) return;
  for (std::uint32_t symbol = 0; symbol < kSymbols; ++symbol) {
    table_[0].FindOrTake(symbol)->Add(UsualType(static_cast<Symbol>(symbol)));
  }
}

std::size_t MarkovTypes::Depth(const Context& context) const {
  return std::min<std::size_t>(table_.size(), context.length);
}

Distribution MarkovTypes::Predict(const Context& context, Places& places, Work& work) const {
  std::array<ContextCounts, kMostOrder> counts;
  std::uint32_t key = 0;
  std::uint32_t found = 0;
  const std::size_t depth = Depth(context);
  for (std::size_t k = 0; k < depth; ++k) {
    key = key << kSymbolBits | context.symbol[k];
    places[k] = table_[k].PlaceOf(key);
    counts[k] = table_[k].CountsAt(places[k]);
    found += counts[k].total != 0 ? 1 : 0;
  }
  work.Add(WorkItem::kTableStep, static_cast<std::uint32_t>(depth));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(depth));
  work.Add(WorkItem::kMultiplyAdd, kPacketTypes * (1 + found));
  Distribution mixed;
  mixed.fill(65536 / kPacketTypes);
  overall_.MixInto(mixed);
  for (std::size_t k = 0; k < depth; ++k) counts[k].MixInto(mixed);
  return mixed;
}

MarkovTypes::Places MarkovTypes::PlacesOf(const Context& context) const {
  Places places{};
  std::uint32_t key = 0;
  for (std::size_t k = 0; k < Depth(context); ++k) {
    key = key << kSymbolBits | context.symbol[k];
    places[k] = table_[k].PlaceOf(key);
  }
  return places;
}

void MarkovTypes::Learn(const Context& context, const Places& places, PacketType truth, Work& work) {
  overall_.Add(truth);
  work.Add(WorkItem::kUpdate);
  for (std::size_t k = 0; k < Depth(context); ++k) {
    ContextCounts* const counts = table_[k].FindOrTake(places[k]);
    if (counts != nullptr) counts->Add(truth);
    work.Add(WorkItem::kUpdate);
    work.Add(WorkItem::kCacheLine);
  }
}

void MarkovTypes::Forget(Work& work) {
  overall_ = OverallCounts{};
  for (ContextTable& table : table_) table.Clear();
  AddUsualTypes();
  constexpr std::size_t kLine = 64;
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(bytes() / kLine));
}

void MarkovTypes::Prefetch(const Context& context) const {
  const Places places = PlacesOf(context);
  for (std::size_t k = 0; k < Depth(context); ++k) table_[k].Prefetch(places[k]);
}

std::size_t MarkovTypes::bytes() const {
  std::size_t sum = table_.capacity() * sizeof(ContextTable);
  for (const ContextTable& table : table_) sum += table.bytes();
  return sum;
}

}  // namespace foreflow::predict
