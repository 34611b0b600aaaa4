// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_FLOW_FLOW_KEY_H_
#define FOREFLOW_MODELS_FLOW_FLOW_KEY_H_

#include <array>
#include <cstdint>
#include <cstring>

#include "models/base/bytes.h"
#include "models/wire/dissect.h"

namespace foreflow::flow {

// The virtual port a packet comes from: 0 is the shared uplink (unprofiled), 1.. are VMs.
using VmId = std::uint16_t;

// One direction of a flow, as one VM sends it. Addresses are in network order, ports in host order, as in
// wire::Dissection. For packets without IP, addresses hold the MACs and source_port the ethertype. 40 bytes
// without padding, so that it may be hashed and compared as bytes.
struct FlowKey {
  std::array<std::uint8_t, 16> source_address{};
  std::array<std::uint8_t, 16> destination_address{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  VmId vm = 0;
  std::uint8_t ip_protocol = 0;  // 0 for packets without IP
  std::uint8_t l3 = 0;           // wire::Layer3

  bool operator==(const FlowKey& other) const;
  bool operator!=(const FlowKey& other) const { return !(*this == other); }
};
static_assert(sizeof(FlowKey) == 40, "FlowKey is compared and hashed as bytes");

// As words: memcmp of a length that is known is still a call.
inline bool FlowKey::operator==(const FlowKey& other) const {
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < sizeof(FlowKey) / 8; ++i) different |= LoadWord(this, i) ^ LoadWord(&other, i);
  return different == 0;
}

// A key's last word, the 8 bytes from source_port on.
constexpr std::uint64_t LastWordOf(std::uint16_t source_port, std::uint16_t destination_port, VmId vm,
                                   std::uint8_t ip_protocol, std::uint8_t l3) {
  return source_port | std::uint64_t{destination_port} << 16 | std::uint64_t{vm} << 32 |
         std::uint64_t{ip_protocol} << 48 | std::uint64_t{l3} << 56;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as FlowKey lies in memory");

// Of FlowKey::l3.
constexpr bool IsIp(std::uint8_t l3) {
  return l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv4) ||
         l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv6);
}

// The flow of a packet that `vm` sends. Fields that the dissector did not reach are zero.
inline FlowKey KeyOf(const wire::Dissection& packet, VmId vm) {
  FlowKey key;
  const auto l3 = static_cast<std::uint8_t>(packet.l3);
  if (IsIp(l3)) {
    key.source_address = packet.source_address;
    key.destination_address = packet.destination_address;
    StoreWord(&key.source_port,
              LastWordOf(packet.source_port, packet.destination_port, vm, packet.ip_protocol, l3));
  } else {
    std::memcpy(key.source_address.data(), packet.source_mac.data(), packet.source_mac.size());
    std::memcpy(key.destination_address.data(), packet.destination_mac.data(), packet.destination_mac.size());
    StoreWord(&key.source_port, LastWordOf(packet.ethertype, 0, vm, 0, l3));
  }
  return key;
}

// The same for both directions of a conversation, whoever sends: the endpoint that is lower in byte order
// comes first, vm left out, the type of an ICMP reply replaced by that of its request.
FlowKey Canonical(const FlowKey& key);
// The same; `swapped` tells whether the key's source is second there.
FlowKey Canonical(const FlowKey& key, bool& swapped);

}  // namespace foreflow::flow

#endif  // FOREFLOW_MODELS_FLOW_FLOW_KEY_H_
