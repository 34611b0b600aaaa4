// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_IPV4_H_
#define FOREFLOW_MODELS_WIRE_IPV4_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"

namespace foreflow::wire {

using Ipv4Address = std::array<std::uint8_t, 4>;

// Assigned Internet protocol numbers, of IPv4's protocol and IPv6's next header.
constexpr std::uint8_t kProtocolHopByHop = 0;
constexpr std::uint8_t kProtocolIcmp = 1;
constexpr std::uint8_t kProtocolIgmp = 2;
constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kProtocolRouting = 43;
constexpr std::uint8_t kProtocolFragment = 44;
constexpr std::uint8_t kProtocolAuthentication = 51;
constexpr std::uint8_t kProtocolIcmpv6 = 58;
constexpr std::uint8_t kProtocolNoNext = 59;
constexpr std::uint8_t kProtocolDestination = 60;

// RFC 791, the fixed 20 bytes; HeaderBytes() - 20 bytes of options follow.
struct Ipv4Header {
  static constexpr std::size_t kBytes = 20;
  static constexpr std::size_t kMaxBytes = 60;
  std::uint8_t version = 4;
  std::uint8_t header_words = 5;   // of 4 bytes: 5..15
  std::uint8_t dscp = 0;           // 0..63
  std::uint8_t ecn = 0;            // 0..3
  std::uint16_t total_length = 0;  // header and payload; 0 where the sender's NIC was to segment
  std::uint16_t identification = 0;
  bool reserved = false;  // RFC 3514
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // in 8 bytes: 0..8191
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  std::uint16_t checksum = 0;
  Ipv4Address source{};
  Ipv4Address destination{};

  constexpr std::size_t HeaderBytes() const { return std::size_t{4} * header_words; }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, Ipv4Header& header) {
  if (!Holds(at, end, Ipv4Header::kBytes)) return nullptr;
  header.version = at[0] >> 4;
  header.header_words = at[0] & 15;
  header.dscp = at[1] >> 2;
  header.ecn = at[1] & 3;
  header.total_length = Load16(at + 2);
  header.identification = Load16(at + 4);
  const std::uint16_t fragment = Load16(at + 6);
  header.reserved = (fragment & 0x8000) != 0;
  header.dont_fragment = (fragment & 0x4000) != 0;
  header.more_fragments = (fragment & 0x2000) != 0;
  header.fragment_offset = fragment & 0x1fff;
  header.ttl = at[8];
  header.protocol = at[9];
  header.checksum = Load16(at + 10);
  header.source = LoadBytes<4>(at + 12);
  header.destination = LoadBytes<4>(at + 16);
  return at + Ipv4Header::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const Ipv4Header& header) {
  if (!Holds(at, end, Ipv4Header::kBytes)) return nullptr;
  at[0] = static_cast<std::uint8_t>(header.version << 4 | (header.header_words & 15));
  at[1] = static_cast<std::uint8_t>(header.dscp << 2 | (header.ecn & 3));
  Store16(at + 2, header.total_length);
  Store16(at + 4, header.identification);
  Store16(at + 6, static_cast<std::uint16_t>(
                      (header.reserved ? 0x8000u : 0u) | (header.dont_fragment ? 0x4000u : 0u) |
                      (header.more_fragments ? 0x2000u : 0u) | (header.fragment_offset & 0x1fffu)));
  at[8] = header.ttl;
  at[9] = header.protocol;
  Store16(at + 10, header.checksum);
  StoreBytes(at + 12, header.source);
  StoreBytes(at + 16, header.destination);
  return at + Ipv4Header::kBytes;
}

// Multicast (RFC 5771) or the limited broadcast address.
constexpr bool IsGroup(const Ipv4Address& address) {
  return (address[0] & 0xf0) == 0xe0 ||
         (address[0] == 255 && address[1] == 255 && address[2] == 255 && address[3] == 255);
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_IPV4_H_
