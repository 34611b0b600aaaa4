// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_TUNNEL_H_
#define FOREFLOW_MODELS_WIRE_TUNNEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "models/base/bytes.h"
#include "models/base/work.h"
#include "models/wire/dissect.h"
#include "models/wire/ethernet.h"

namespace foreflow::wire {

// Ethernet frames between two tunnel end points: VXLAN (RFC 7348) or Geneve (RFC 8926), over UDP and IPv4 or
// IPv6. End points never fragment: outer packets of IPv4 say so.
enum class TunnelKind : std::uint8_t { kVxlan, kGeneve };

// One end's view of a tunnel; CheckTunnel says what is allowed.
struct Tunnel {
  TunnelKind kind = TunnelKind::kGeneve;
  std::uint32_t vni = 0;  // 24 bits: the virtual network
  Mac source_mac{};
  Mac destination_mac{};
  Layer3 l3 = Layer3::kIpv4;
  std::array<std::uint8_t, 16> source_address{};  // as in Dissection
  std::array<std::uint8_t, 16> destination_address{};
  std::uint8_t ttl = 64;
  // The outer DSCP; otherwise the inner packet's (RFC 2983, the uniform model).
  std::optional<std::uint8_t> dscp;
  // Without it the outer UDP checksum is 0, which IPv6 allows to tunnels only (RFC 6935).
  bool udp_checksum = true;
  std::uint32_t mtu = 1500;  // the longest outer IP packet
};

// Throws Refusal: vni above 24 bits, an l3 that is not IP, ttl 0, dscp above 63, mtu outside 576..65535
// (1280.. for IPv6). `where` names the tunnel.
void CheckTunnel(const Tunnel& tunnel, const std::string& where);

// What Encapsulate puts in front of a frame, the outer Ethernet header included.
std::size_t OuterBytes(const Tunnel& tunnel, std::size_t option_bytes);

// Whether a frame of `wire_bytes` fits into the tunnel's MTU.
bool Fits(const Tunnel& tunnel, std::uint32_t wire_bytes, std::size_t option_bytes);

// Writes the OuterBytes(tunnel, options.size) that go in front of `frame` to `out`. `inner` is the dissection
// of `frame`, `flow_hash` any hash of its flow: 14 bits of it become the source port (RFC 6335's dynamic
// ports), by which the network spreads flows. ECN is copied out (RFC 6040, normal mode). `options` are of
// Geneve: whole ones, at most 252 bytes, none critical; VXLAN has none. A frame that was cut in capture, of
// which less than `wire_bytes` is there, leaves with no UDP checksum. `Fits` must hold. Counts kHeader, and
// kByteCopied over what the checksum is over.
void Encapsulate(const Tunnel& tunnel, const Dissection& inner, BytesView frame, std::uint32_t wire_bytes,
                 std::uint64_t flow_hash, BytesView options, std::uint8_t* out, Work& work);

// What Decapsulate makes of a packet.
enum class TunnelStatus : std::uint8_t {
  kOk,
  kNoTunnel,        // not UDP to a tunnel's port, or a fragment: end points do not reassemble
  kTruncated,       // the capture ends inside the tunnel's headers
  kMalformed,       // no VNI flag, an option that runs past the options, too short for an Ethernet header
  kBadChecksum,     // of the outer UDP datagram
  kUnknownVersion,  // of Geneve
  kControl,         // Geneve's O flag, or a payload other than Ethernet: nothing of a tenant's
  kCriticalOption,  // an option that must be understood: this end point understands no critical ones
  kCongestion,      // marked on the way, to a sender that does not speak ECN: RFC 6040 drops it
  kCount,
};
// The snake_case name; nullptr out of range.
const char* Name(TunnelStatus status);

// What is inside an outer packet. Views into it.
struct Encapsulated {
  TunnelKind kind = TunnelKind::kGeneve;
  std::uint32_t vni = 0;
  BytesView options;
  BytesView frame;                // as far as captured
  std::uint32_t wire_bytes = 0;   // of the frame
  std::uint32_t outer_bytes = 0;  // before the frame
  Dissection inner;
  std::uint8_t ecn = 0;  // that the inner packet is to have: RFC 6040, figure 4
};

// Opens `captured`, whose dissection is `outer`. Writes `inside` where the result is kOk. Counts kHeader,
// kByteParsed, and kByteCopied over what the checksum is over.
TunnelStatus Decapsulate(const Dissection& outer, BytesView captured, std::uint32_t wire_bytes,
                         Encapsulated& inside, Work& work);

// RFC 6040, figure 4, of two ECN fields (0..3); none: the packet is to be dropped.
std::optional<std::uint8_t> DecapsulatedEcn(std::uint8_t inner, std::uint8_t outer);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_TUNNEL_H_
