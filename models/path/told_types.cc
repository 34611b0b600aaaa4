// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/told_types.h"

#include <algorithm>

namespace foreflow::path {

namespace {

constexpr std::int64_t kPatience = 4;  // horizons
constexpr Nanos kLongestHorizon = Seconds(60);

}  // namespace

std::size_t ToldTypes::Find(const Vm& vm, const rules::EntryKey& entry, std::uint64_t hash) {
  for (std::size_t i = 0; i < vm.count; ++i) {
    if (vm.hashes[i] == hash && vm.places[i].entry == entry) return i;
  }
  return kNone;
}

void ToldTypes::Tell(const rules::EntryKey& entry, std::uint64_t hash, const Word& word, Nanos horizon,
                     Nanos now) {
  Vm& vm = vms_[entry.fields.vm - 1u];
  std::size_t at = Find(vm, entry, hash);
  if (at == kNone && vm.count < kDestinations) at = vm.count++;
  if (at == kNone) {
    const auto first = std::min_element(vm.places.begin(), vm.places.end(),
                                        [](const Place& a, const Place& b) { return a.lapses < b.lapses; });
    at = static_cast<std::size_t>(first - vm.places.begin());
  }
  const Nanos wait = horizon > Nanos() ? std::min(horizon, kLongestHorizon) * kPatience : kPause;
  vm.hashes[at] = hash;
  vm.places[at] = {entry, word, now + wait};
}

const ToldTypes::Word* ToldTypes::See(const rules::EntryKey& entry, std::uint64_t hash, Nanos now,
                                      Work& work) {
  Vm& vm = vms_[entry.fields.vm - 1u];
  if (vm.count == 0) return nullptr;
  work.Add(WorkItem::kProbe, static_cast<std::uint32_t>(vm.count));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>((vm.count + 7) / 8 + 2));
  const std::size_t at = Find(vm, entry, hash);
  if (at == kNone) return nullptr;
  Place& place = vm.places[at];
  if (now > place.lapses) {  // the last one takes its place
    --vm.count;
    vm.hashes[at] = vm.hashes[vm.count];
    place = vm.places[vm.count];
    return nullptr;
  }
  place.lapses = std::max(place.lapses, now + kPause);
  return &place.word;
}

}  // namespace foreflow::path
