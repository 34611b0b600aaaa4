// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_ARP_H_
#define FOREFLOW_MODELS_WIRE_ARP_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"
#include "models/wire/ethernet.h"
#include "models/wire/ipv4.h"

namespace foreflow::wire {

constexpr std::uint16_t kArpEthernet = 1;
constexpr std::uint16_t kArpRequest = 1;
constexpr std::uint16_t kArpReply = 2;

// RFC 826: the fixed part. Two hardware and two protocol addresses follow, AddressBytes() in all, whose
// lengths the packet says: to be compared with 6 and 4 before they are read as ArpAddresses.
struct ArpHeader {
  static constexpr std::size_t kBytes = 8;
  std::uint16_t hardware_type = kArpEthernet;
  std::uint16_t protocol_type = kEthertypeIpv4;
  std::uint8_t hardware_bytes = 6;
  std::uint8_t protocol_bytes = 4;
  std::uint16_t operation = kArpRequest;

  // What follows the fixed part.
  constexpr std::size_t AddressBytes() const { return 2u * hardware_bytes + 2u * protocol_bytes; }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ArpHeader& header) {
  if (!Holds(at, end, ArpHeader::kBytes)) return nullptr;
  header.hardware_type = Load16(at);
  header.protocol_type = Load16(at + 2);
  header.hardware_bytes = at[4];
  header.protocol_bytes = at[5];
  header.operation = Load16(at + 6);
  return at + ArpHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ArpHeader& header) {
  if (!Holds(at, end, ArpHeader::kBytes)) return nullptr;
  Store16(at, header.hardware_type);
  Store16(at + 2, header.protocol_type);
  at[4] = header.hardware_bytes;
  at[5] = header.protocol_bytes;
  Store16(at + 6, header.operation);
  return at + ArpHeader::kBytes;
}

// The addresses of ARP for IPv4 over Ethernet (hardware_bytes 6, protocol_bytes 4).
struct ArpAddresses {
  static constexpr std::size_t kBytes = 20;
  Mac sender_mac{};
  Ipv4Address sender{};
  Mac target_mac{};
  Ipv4Address target{};
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ArpAddresses& addresses) {
  if (!Holds(at, end, ArpAddresses::kBytes)) return nullptr;
  addresses.sender_mac = LoadBytes<6>(at);
  addresses.sender = LoadBytes<4>(at + 6);
  addresses.target_mac = LoadBytes<6>(at + 10);
  addresses.target = LoadBytes<4>(at + 16);
  return at + ArpAddresses::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ArpAddresses& addresses) {
  if (!Holds(at, end, ArpAddresses::kBytes)) return nullptr;
  StoreBytes(at, addresses.sender_mac);
  StoreBytes(at + 6, addresses.sender);
  StoreBytes(at + 10, addresses.target_mac);
  StoreBytes(at + 16, addresses.target);
  return at + ArpAddresses::kBytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_ARP_H_
