// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_ETHERNET_H_
#define FOREFLOW_MODELS_WIRE_ETHERNET_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"

namespace foreflow::wire {

// Every codec of this room is a pair: Decode reads a header from [at, end), Encode writes it. Both return
// the byte after the header, or nullptr (and touch nothing) where it does not fit. Neither judges values
// unless it says so: that is the dissector's part.

using Mac = std::array<std::uint8_t, 6>;

constexpr std::uint16_t kEthertypeIpv4 = 0x0800;
constexpr std::uint16_t kEthertypeArp = 0x0806;
constexpr std::uint16_t kEthertypeVlan = 0x8100;  // 802.1Q C-tag
constexpr std::uint16_t kEthertypeIpv6 = 0x86dd;
constexpr std::uint16_t kEthertypeQinq = 0x88a8;     // 802.1ad S-tag
constexpr std::uint16_t kEthertypeOldQinq = 0x9100;  // S-tag before 802.1ad
// Below this the field is an IEEE 802.3 length; up to kEthertypeLengthMax a valid one.
constexpr std::uint16_t kEthertypeMin = 0x0600;
constexpr std::uint16_t kEthertypeLengthMax = 1500;

constexpr bool IsVlan(std::uint16_t ethertype) {
  return ethertype == kEthertypeVlan || ethertype == kEthertypeQinq || ethertype == kEthertypeOldQinq;
}
constexpr bool IsGroup(const Mac& mac) { return (mac[0] & 1) != 0; }

// IEEE 802.3, without preamble and frame check sequence.
struct EthernetHeader {
  static constexpr std::size_t kBytes = 14;
  Mac destination{};
  Mac source{};
  std::uint16_t ethertype = 0;  // of what follows, or its length in 802.3
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, EthernetHeader& header) {
  if (!Holds(at, end, EthernetHeader::kBytes)) return nullptr;
  header.destination = LoadBytes<6>(at);
  header.source = LoadBytes<6>(at + 6);
  header.ethertype = Load16(at + 12);
  return at + EthernetHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const EthernetHeader& header) {
  if (!Holds(at, end, EthernetHeader::kBytes)) return nullptr;
  StoreBytes(at, header.destination);
  StoreBytes(at + 6, header.source);
  Store16(at + 12, header.ethertype);
  return at + EthernetHeader::kBytes;
}

// What follows a VLAN ethertype (IEEE 802.1Q).
struct VlanTag {
  static constexpr std::size_t kBytes = 4;
  std::uint8_t priority = 0;  // 0..7
  bool drop_eligible = false;
  std::uint16_t vid = 0;        // 0..4095
  std::uint16_t ethertype = 0;  // of what follows
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, VlanTag& tag) {
  if (!Holds(at, end, VlanTag::kBytes)) return nullptr;
  const std::uint16_t control = Load16(at);
  tag.priority = static_cast<std::uint8_t>(control >> 13);
  tag.drop_eligible = (control & 0x1000) != 0;
  tag.vid = control & 0x0fff;
  tag.ethertype = Load16(at + 2);
  return at + VlanTag::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const VlanTag& tag) {
  if (!Holds(at, end, VlanTag::kBytes)) return nullptr;
  Store16(at, static_cast<std::uint16_t>((tag.priority & 7u) << 13 | (tag.drop_eligible ? 0x1000u : 0u) |
                                         (tag.vid & 0x0fffu)));
  Store16(at + 2, tag.ethertype);
  return at + VlanTag::kBytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_ETHERNET_H_
