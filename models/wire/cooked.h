// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_COOKED_H_
#define FOREFLOW_MODELS_WIRE_COOKED_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"

namespace foreflow::wire {

// The pseudo link headers that capturing puts in front of packets without (common) Ethernet headers:
// https://www.tcpdump.org/linktypes.html

// How the capturing machine got the packet (packet_type), in both cooked forms; 0: it was for that machine,
// 3: for another one, 4: that machine sent it.
constexpr std::uint16_t kCookedBroadcast = 1;
constexpr std::uint16_t kCookedMulticast = 2;

// LINKTYPE_LINUX_SLL.
struct SllHeader {
  static constexpr std::size_t kBytes = 16;
  std::uint16_t packet_type = 0;
  std::uint16_t hardware_type = 0;        // ARPHRD_*
  std::uint16_t address_bytes = 0;        // of `address`; more than 8 are cut by the capturing machine
  std::array<std::uint8_t, 8> address{};  // the sender's
  std::uint16_t ethertype = 0;
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, SllHeader& header) {
  if (!Holds(at, end, SllHeader::kBytes)) return nullptr;
  header.packet_type = Load16(at);
  header.hardware_type = Load16(at + 2);
  header.address_bytes = Load16(at + 4);
  header.address = LoadBytes<8>(at + 6);
  header.ethertype = Load16(at + 14);
  return at + SllHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const SllHeader& header) {
  if (!Holds(at, end, SllHeader::kBytes)) return nullptr;
  Store16(at, header.packet_type);
  Store16(at + 2, header.hardware_type);
  Store16(at + 4, header.address_bytes);
  StoreBytes(at + 6, header.address);
  Store16(at + 14, header.ethertype);
  return at + SllHeader::kBytes;
}

// LINKTYPE_LINUX_SLL2: the same in another order. Its reserved bytes are not looked at.
struct Sll2Header {
  static constexpr std::size_t kBytes = 20;
  std::uint16_t ethertype = 0;
  std::uint32_t interface = 0;  // its index on the capturing machine
  std::uint16_t hardware_type = 0;
  std::uint8_t packet_type = 0;
  std::uint8_t address_bytes = 0;
  std::array<std::uint8_t, 8> address{};
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, Sll2Header& header) {
  if (!Holds(at, end, Sll2Header::kBytes)) return nullptr;
  header.ethertype = Load16(at);
  header.interface = Load32(at + 4);
  header.hardware_type = Load16(at + 8);
  header.packet_type = at[10];
  header.address_bytes = at[11];
  header.address = LoadBytes<8>(at + 12);
  return at + Sll2Header::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const Sll2Header& header) {
  if (!Holds(at, end, Sll2Header::kBytes)) return nullptr;
  Store16(at, header.ethertype);
  Store16(at + 2, 0);
  Store32(at + 4, header.interface);
  Store16(at + 8, header.hardware_type);
  at[10] = header.packet_type;
  at[11] = header.address_bytes;
  StoreBytes(at + 12, header.address);
  return at + Sll2Header::kBytes;
}

// LINKTYPE_NULL and LINKTYPE_LOOP: an address family in the byte order of whichever machine captured.
// Families are below 2^16 on every system, so the order shows in the value: Decode puts it right, Encode
// writes network order.
struct NullHeader {
  static constexpr std::size_t kBytes = 4;
  std::uint32_t family = 0;

  constexpr bool IsIpv4() const { return family == 2; }
  // NetBSD and OpenBSD 24, FreeBSD 28, Darwin 30, Linux 10.
  constexpr bool IsIpv6() const { return family == 24 || family == 28 || family == 30 || family == 10; }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, NullHeader& header) {
  if (!Holds(at, end, NullHeader::kBytes)) return nullptr;
  const std::uint32_t value = Load32(at);
  header.family = value > 0xffff ? boost::endian::endian_reverse(value) : value;
  return at + NullHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const NullHeader& header) {
  if (!Holds(at, end, NullHeader::kBytes)) return nullptr;
  Store32(at, header.family);
  return at + NullHeader::kBytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_COOKED_H_
