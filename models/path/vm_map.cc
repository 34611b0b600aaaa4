// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/vm_map.h"

#include "models/base/hash.h"

namespace foreflow::path {

VmMap::VmMap(std::uint16_t vms) : vms_(vms) {
  senders_.reserve(vms);
  std::size_t places = 2;
  while (places < std::size_t{2} * vms) places *= 2;
  places_.resize(places);
}

flow::VmId VmMap::VmOf(const wire::Dissection& packet) {
  const Sender sender = StationOf(packet.source_mac, packet.source_address);
  const std::size_t mask = places_.size() - 1;
  std::size_t at = Mix64(LoadWord(&sender) ^ Mix64(LoadWord(&sender, 1))) & mask;
  for (; places_[at] != 0; at = (at + 1) & mask) {
    if (Equal(senders_[places_[at] - 1u], sender)) return places_[at];
  }
  if (senders_.size() >= vms_) return 0;
  senders_.push_back(sender);
  places_[at] = static_cast<flow::VmId>(senders_.size());
  return places_[at];
}

}  // namespace foreflow::path
