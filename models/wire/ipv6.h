// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_IPV6_H_
#define FOREFLOW_MODELS_WIRE_IPV6_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"
#include "models/wire/ipv4.h"

namespace foreflow::wire {

using Ipv6Address = std::array<std::uint8_t, 16>;

// RFC 8200, section 3. Extension headers and payload follow, payload_length bytes of them.
struct Ipv6Header {
  static constexpr std::size_t kBytes = 40;
  std::uint8_t version = 6;
  std::uint8_t dscp = 0;             // 0..63
  std::uint8_t ecn = 0;              // 0..3
  std::uint32_t flow_label = 0;      // 20 bits
  std::uint16_t payload_length = 0;  // after this header; 0 in jumbograms and where a NIC was to segment
  std::uint8_t next_header = kProtocolNoNext;
  std::uint8_t hop_limit = 64;
  Ipv6Address source{};
  Ipv6Address destination{};
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, Ipv6Header& header) {
  if (!Holds(at, end, Ipv6Header::kBytes)) return nullptr;
  const std::uint32_t first = Load32(at);
  header.version = static_cast<std::uint8_t>(first >> 28);
  header.dscp = (first >> 22) & 63;
  header.ecn = (first >> 20) & 3;
  header.flow_label = first & 0xfffff;
  header.payload_length = Load16(at + 4);
  header.next_header = at[6];
  header.hop_limit = at[7];
  header.source = LoadBytes<16>(at + 8);
  header.destination = LoadBytes<16>(at + 24);
  return at + Ipv6Header::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const Ipv6Header& header) {
  if (!Holds(at, end, Ipv6Header::kBytes)) return nullptr;
  Store32(at, static_cast<std::uint32_t>(header.version) << 28 | (header.dscp & 63u) << 22 |
                  (header.ecn & 3u) << 20 | (header.flow_label & 0xfffffu));
  Store16(at + 4, header.payload_length);
  at[6] = header.next_header;
  at[7] = header.hop_limit;
  StoreBytes(at + 8, header.source);
  StoreBytes(at + 24, header.destination);
  return at + Ipv6Header::kBytes;
}

// The first two bytes that hop-by-hop, routing, destination (RFC 8200, section 4) and authentication headers
// (RFC 4302) share.
struct Ipv6Extension {
  static constexpr std::size_t kBytes = 2;
  std::uint8_t next_header = kProtocolNoNext;
  std::uint8_t length = 0;  // in units that depend on the kind

  // The whole extension header's size, these two bytes included, where its own number is `kind`.
  constexpr std::size_t ExtensionBytes(std::uint8_t kind) const {
    return kind == kProtocolAuthentication ? (length + 2u) * 4u : (length + 1u) * 8u;
  }
};

// Whether `kind` is a header that Ipv6Extension begins. Fragment headers are apart.
constexpr bool IsIpv6Extension(std::uint8_t kind) {
  return kind == kProtocolHopByHop || kind == kProtocolRouting || kind == kProtocolDestination ||
         kind == kProtocolAuthentication;
}

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, Ipv6Extension& extension) {
  if (!Holds(at, end, Ipv6Extension::kBytes)) return nullptr;
  extension.next_header = at[0];
  extension.length = at[1];
  return at + Ipv6Extension::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const Ipv6Extension& extension) {
  if (!Holds(at, end, Ipv6Extension::kBytes)) return nullptr;
  at[0] = extension.next_header;
  at[1] = extension.length;
  return at + Ipv6Extension::kBytes;
}

// The fragment header: RFC 8200, section 4.5.
struct Ipv6Fragment {
  static constexpr std::size_t kBytes = 8;
  std::uint8_t next_header = kProtocolNoNext;
  std::uint16_t offset = 0;  // in 8 bytes: 0..8191
  bool more = false;
  std::uint32_t identification = 0;
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, Ipv6Fragment& fragment) {
  if (!Holds(at, end, Ipv6Fragment::kBytes)) return nullptr;
  fragment.next_header = at[0];
  const std::uint16_t field = Load16(at + 2);
  fragment.offset = field >> 3;
  fragment.more = (field & 1) != 0;
  fragment.identification = Load32(at + 4);
  return at + Ipv6Fragment::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const Ipv6Fragment& fragment) {
  if (!Holds(at, end, Ipv6Fragment::kBytes)) return nullptr;
  at[0] = fragment.next_header;
  at[1] = 0;
  Store16(at + 2, static_cast<std::uint16_t>(fragment.offset << 3 | (fragment.more ? 1 : 0)));
  Store32(at + 4, fragment.identification);
  return at + Ipv6Fragment::kBytes;
}

// Multicast, RFC 4291.
constexpr bool IsGroup(const Ipv6Address& address) { return address[0] == 0xff; }

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_IPV6_H_
