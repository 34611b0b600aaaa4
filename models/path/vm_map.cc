// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/vm_map.h"

#include <algorithm>

namespace foreflow::path {

VmMap::VmMap(std::uint16_t vms) : vms_(vms) {
  senders_.reserve(vms);
  by_sender_.reserve(vms);
}

flow::VmId VmMap::VmOf(const wire::Dissection& packet) {
  Sender sender = packet.source_address;
  const bool has_mac = std::any_of(packet.source_mac.begin(), packet.source_mac.end(),
                                   [](std::uint8_t byte) { return byte != 0; });
  if (has_mac) {
    sender = {};
    std::copy(packet.source_mac.begin(), packet.source_mac.end(), sender.begin());
  }
  const auto place =
      std::lower_bound(by_sender_.begin(), by_sender_.end(), sender,
                       [this](flow::VmId id, const Sender& s) { return senders_[id - 1u] < s; });
  if (place != by_sender_.end() && senders_[*place - 1u] == sender) return *place;
  if (senders_.size() >= vms_) return 0;
  senders_.push_back(sender);
  const auto id = static_cast<flow::VmId>(senders_.size());
  by_sender_.insert(place, id);
  return id;
}

}  // namespace foreflow::path
