// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_DISSECT_H_
#define FOREFLOW_MODELS_WIRE_DISSECT_H_

#include <array>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/base/work.h"

namespace foreflow::wire {

// Where the bytes of a packet begin.
enum class Link : std::uint8_t {
  kEthernet,
  kRawIp,      // IPv4 or IPv6 by its version nibble
  kLinuxSll,   // Linux cooked v1 (16 B)
  kLinuxSll2,  // Linux cooked v2 (20 B)
  kNull,       // BSD loopback: 4 B address family, host order of the capturing machine
  kUnknown,
};

// The layers that Dissect tells apart. kNone: not reached, or (of the third) another ethertype; kOther: IP
// with another protocol.
enum class Layer3 : std::uint8_t { kNone, kArp, kIpv4, kIpv6 };
enum class Layer4 : std::uint8_t { kNone, kTcp, kUdp, kIcmp, kIcmpv6, kOther };

// A VLAN tag in 16 bits, as OpenFlow 1.5 matches it (OFPVID_PRESENT): the priority in the three highest bits,
// then a one, then the VID. 0 stands for no tag.
using VlanKey = std::uint16_t;
constexpr VlanKey kNoVlan = 0;
constexpr VlanKey kVlanPresent = 0x1000;
constexpr VlanKey VlanKeyOf(std::uint16_t vid, std::uint8_t priority) {
  return static_cast<VlanKey>((priority & 7u) << 13 | kVlanPresent | (vid & 0x0fffu));
}

// How far the dissector came. Fields up to the layer named in l3/l4 are valid in every case; in fragments but
// the first one, l4 is kNone and ip_protocol tells what was fragmented.
enum class DissectStatus : std::uint8_t {
  kOk,
  kTruncated,  // the captured bytes end inside a header
  kMalformed,  // lengths or versions contradict each other
  kUnknownLink,
};

// One packet, taken apart in one pass. Offsets are from the first captured byte. Addresses are in network
// order: an IPv4 address is its 4 bytes followed by zeros. header_bytes and payload_bytes are what the packet
// has, so that offsets may lie past the end of a capture that was cut.
struct Dissection {
  DissectStatus status = DissectStatus::kOk;
  Layer3 l3 = Layer3::kNone;
  Layer4 l4 = Layer4::kNone;
  bool is_fragment = false;  // any IP fragment; ports are only known in the first one
  bool is_first_fragment = false;
  bool is_group_addressed = false;     // Ethernet group bit, or IP multicast / limited broadcast
  std::uint8_t ip_protocol = 0;        // last next-header value
  std::uint8_t dscp = 0;               // 0..63
  std::uint8_t ecn = 0;                // 0..3
  std::uint8_t ttl = 0;                // or IPv6's hop limit
  std::uint8_t tcp_flags = 0;          // CWR ECE URG ACK PSH RST SYN FIN, as on the wire
  std::uint16_t ethertype = 0;         // the innermost, host order, of any link; 0 = none, as in 802.3 frames
  std::uint16_t vlan = 0;              // innermost 802.1Q VID, 0 = untagged
  VlanKey outer_vlan = kNoVlan;        // the outermost tag
  std::uint16_t source_port = 0;       // host order; for ICMP the identifier (echo) or 0
  std::uint16_t destination_port = 0;  // for ICMP type << 8 | code
  std::uint16_t tcp_window = 0;        // unscaled
  std::uint32_t tcp_sequence = 0;
  std::uint32_t tcp_acknowledgement = 0;
  std::uint32_t header_bytes = 0;   // all headers together
  std::uint32_t payload_bytes = 0;  // after the last header, by the IP length (not by what was captured)
  std::uint16_t l3_offset = 0;
  std::uint16_t l4_offset = 0;
  std::uint16_t payload_offset = 0;
  std::array<std::uint8_t, 6> source_mac{};
  std::array<std::uint8_t, 6> destination_mac{};
  std::array<std::uint8_t, 16> source_address{};
  std::array<std::uint8_t, 16> destination_address{};
};

// Takes `captured` apart as a packet of `link` that was `wire_bytes` long (>= captured.size where the
// capture was cut). Never reads outside `captured`, never fails otherwise than by status. `packet` is
// overwritten. Counts kHeader and kByteParsed.
void Dissect(Link link, BytesView captured, std::uint32_t wire_bytes, Dissection& packet, Work& work);
inline Dissection Dissect(Link link, BytesView captured, std::uint32_t wire_bytes, Work& work) {
  Dissection packet;
  Dissect(link, captured, wire_bytes, packet, work);
  return packet;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_DISSECT_H_
