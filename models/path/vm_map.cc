// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/vm_map.h"

namespace foreflow::path {

VmMap::VmMap(std::uint16_t vms) : vms_(vms), shift_(63) {
  while ((std::size_t{1} << (64 - shift_)) < std::size_t{2} * vms) --shift_;
  places_.resize(std::size_t{1} << (64 - shift_));
}

flow::VmId VmMap::VmOf(const wire::Dissection& packet) {
  const Sender sender = StationOf(packet.source_mac, packet.source_address);
  // Multiplicative hashing (Knuth 6.4): whoever makes up senders can make it slow, but there are only so
  // many.
  const std::uint64_t word = LoadWord(&sender) ^ (LoadWord(&sender, 1) * 0xbf58476d1ce4e5b9u);
  std::size_t at = (word * 0x9e3779b97f4a7c15u) >> shift_;
  for (; places_[at].vm != 0; at = (at + 1) & (places_.size() - 1)) {
    if (Equal(places_[at].sender, sender)) return places_[at].vm;
  }
  if (size_ == vms_) return 0;
  places_[at] = {sender, ++size_};
  return size_;
}

}  // namespace foreflow::path
