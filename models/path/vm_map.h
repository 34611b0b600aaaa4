// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_VM_MAP_H_
#define FOREFLOW_MODELS_PATH_VM_MAP_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "models/base/bytes.h"
#include "models/flow/flow_key.h"
#include "models/wire/dissect.h"

namespace foreflow::path {

// Who sends or receives: the MAC where there is one, else the address.
inline std::array<std::uint8_t, 16> StationOf(const std::array<std::uint8_t, 6>& mac,
                                              const std::array<std::uint8_t, 16>& address) {
  std::uint32_t first;
  std::uint16_t last;
  std::memcpy(&first, mac.data(), sizeof(first));
  std::memcpy(&last, mac.data() + sizeof(first), sizeof(last));
  const std::uint64_t whole = first | std::uint64_t{last} << 32;
  std::array<std::uint8_t, 16> station;
  StoreWords(&station, whole != 0 ? whole : LoadWord(&address), whole != 0 ? 0 : LoadWord(&address, 1));
  return station;
}

// Which VM a captured packet is taken to come from: one for each source MAC (source address on links without
// MACs), numbered 1.. in order of first appearance; past `vms` of them, the uplink (0).
class VmMap {
 public:
  // Memory for `vms` senders is taken here.
  explicit VmMap(std::uint16_t vms);
  // Numbers a sender that is new.
  flow::VmId VmOf(const wire::Dissection& packet);
  // Senders numbered so far.
  std::uint16_t size() const { return size_; }

 private:
  using Sender = std::array<std::uint8_t, 16>;  // an address, or a MAC
  struct Place {
    Sender sender{};
    flow::VmId vm = 0;  // 0: free
  };
  std::uint16_t vms_;
  std::uint16_t size_ = 0;
  unsigned shift_;
  std::vector<Place> places_;  // by hash, at most half full, with linear probing
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_VM_MAP_H_
