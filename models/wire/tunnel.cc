// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/tunnel.h"

#include <algorithm>

#include "models/base/refusal.h"
#include "models/wire/checksum.h"
#include "models/wire/geneve.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"
#include "models/wire/udp.h"
#include "models/wire/vxlan.h"

namespace foreflow::wire {
namespace {

constexpr std::uint32_t kMaxVni = 0xffffff;
constexpr std::uint16_t kFirstDynamicPort = 49152;
constexpr std::uint8_t kCongestionExperienced = 3;
constexpr std::uint8_t kEct1 = 1;
static_assert(VxlanHeader::kBytes == GeneveHeader::kBytes, "see TunnelBytes");

constexpr std::size_t TunnelBytes(std::size_t option_bytes) {
  return UdpHeader::kBytes + GeneveHeader::kBytes + option_bytes;
}

constexpr std::size_t IpBytes(Layer3 l3) {
  return l3 == Layer3::kIpv6 ? Ipv6Header::kBytes : Ipv4Header::kBytes;
}

template <std::size_t kBytes>
std::array<std::uint8_t, kBytes> First(const std::array<std::uint8_t, 16>& address) {
  return LoadBytes<kBytes>(address.data());
}

InternetSum Pseudo(Layer3 l3, const std::array<std::uint8_t, 16>& source,
                   const std::array<std::uint8_t, 16>& destination, std::uint16_t length) {
  return l3 == Layer3::kIpv6 ? PseudoHeader(source, destination, kProtocolUdp, std::uint32_t{length})
                             : PseudoHeader(First<4>(source), First<4>(destination), kProtocolUdp, length);
}

bool IsWhole(BytesView options, bool& has_critical) {
  const std::uint8_t* at = options.begin();
  GeneveOption option;
  while (at != options.end()) {
    at = Decode(at, options.end(), option);
    if (!Holds(at, options.end(), option.BodyBytes())) return false;
    has_critical = has_critical || option.IsCritical();
    at += option.BodyBytes();
  }
  return true;
}

}  // namespace

void CheckTunnel(const Tunnel& tunnel, const std::string& where) {
  const bool is_ipv6 = tunnel.l3 == Layer3::kIpv6;
  if (tunnel.vni > kMaxVni) throw Refusal(where, "vni", std::to_string(tunnel.vni), "0..16777215");
  if (!is_ipv6 && tunnel.l3 != Layer3::kIpv4) {
    throw Refusal(where, "l3", std::to_string(static_cast<unsigned>(tunnel.l3)), "IPv4, IPv6");
  }
  if (tunnel.ttl == 0) throw Refusal(where, "ttl", "0", "1..255");
  if (tunnel.dscp && *tunnel.dscp > 63) throw Refusal(where, "dscp", std::to_string(*tunnel.dscp), "0..63");
  const std::uint32_t least = is_ipv6 ? 1280 : 576;
  if (tunnel.mtu < least || tunnel.mtu > 65535) {
    throw Refusal(where, "mtu", std::to_string(tunnel.mtu), std::to_string(least) + "..65535");
  }
}

std::size_t OuterBytes(const Tunnel& tunnel, std::size_t option_bytes) {
  return EthernetHeader::kBytes + IpBytes(tunnel.l3) + TunnelBytes(option_bytes);
}

bool Fits(const Tunnel& tunnel, std::uint32_t wire_bytes, std::size_t option_bytes) {
  return OuterBytes(tunnel, option_bytes) - EthernetHeader::kBytes + wire_bytes <= tunnel.mtu;
}

void Encapsulate(const Tunnel& tunnel, const Dissection& inner, BytesView frame, std::uint32_t wire_bytes,
                 std::uint64_t flow_hash, BytesView options, std::uint8_t* out, Work& work) {
  const std::uint8_t* const end = out + OuterBytes(tunnel, options.size);
  const auto datagram_bytes = static_cast<std::uint16_t>(TunnelBytes(options.size) + wire_bytes);
  const bool is_ipv6 = tunnel.l3 == Layer3::kIpv6;
  const bool has_ip = inner.l3 == Layer3::kIpv4 || inner.l3 == Layer3::kIpv6;
  const std::uint8_t dscp = tunnel.dscp ? *tunnel.dscp : has_ip ? inner.dscp : std::uint8_t{0};
  const std::uint8_t ecn = has_ip ? inner.ecn : std::uint8_t{0};

  EthernetHeader ethernet;
  ethernet.destination = tunnel.destination_mac;
  ethernet.source = tunnel.source_mac;
  ethernet.ethertype = is_ipv6 ? kEthertypeIpv6 : kEthertypeIpv4;
  std::uint8_t* at = Encode(out, end, ethernet);
  if (is_ipv6) {
    Ipv6Header ip;
    ip.dscp = dscp;
    ip.ecn = ecn;
    // RFC 6438: the label carries the flow's entropy for networks that do not look at ports.
    ip.flow_label = static_cast<std::uint32_t>(flow_hash >> 14) & 0xfffff;
    ip.payload_length = datagram_bytes;
    ip.next_header = kProtocolUdp;
    ip.hop_limit = tunnel.ttl;
    ip.source = tunnel.source_address;
    ip.destination = tunnel.destination_address;
    at = Encode(at, end, ip);
  } else {
    // Not to be fragmented: so it needs no identification (RFC 6864).
    Ipv4Header ip;
    ip.dscp = dscp;
    ip.ecn = ecn;
    ip.total_length = static_cast<std::uint16_t>(Ipv4Header::kBytes + datagram_bytes);
    ip.dont_fragment = true;
    ip.ttl = tunnel.ttl;
    ip.protocol = kProtocolUdp;
    ip.source = First<4>(tunnel.source_address);
    ip.destination = First<4>(tunnel.destination_address);
    Encode(at, end, ip);
    ip.checksum = InternetChecksum({at, Ipv4Header::kBytes});
    at = Encode(at, end, ip);
  }

  std::uint8_t* const datagram = at;
  UdpHeader udp;
  udp.source_port = static_cast<std::uint16_t>(kFirstDynamicPort | (flow_hash & 0x3fff));
  udp.destination_port = tunnel.kind == TunnelKind::kVxlan ? kVxlanPort : kGenevePort;
  udp.length = datagram_bytes;
  at = Encode(at, end, udp);
  if (tunnel.kind == TunnelKind::kVxlan) {
    VxlanHeader vxlan;
    vxlan.vni = tunnel.vni;
    Encode(at, end, vxlan);
  } else {
    GeneveHeader geneve;
    geneve.option_words = static_cast<std::uint8_t>(options.size / 4);
    geneve.vni = tunnel.vni;
    std::copy(options.begin(), options.end(), Encode(at, end, geneve));
  }
  work.Add(WorkItem::kHeader, 4);

  if (!tunnel.udp_checksum || frame.size < wire_bytes) return;
  udp.checksum = Pseudo(tunnel.l3, tunnel.source_address, tunnel.destination_address, datagram_bytes)
                     .Add({datagram, static_cast<std::size_t>(end - datagram)})
                     .Add(frame.First(wire_bytes))
                     .Checksum();
  if (udp.checksum == 0) udp.checksum = 0xffff;
  Encode(datagram, end, udp);
  work.Add(WorkItem::kByteCopied, datagram_bytes);
}

const char* Name(TunnelStatus status) {
  static constexpr std::array<const char*, static_cast<std::size_t>(TunnelStatus::kCount)> kNames = {
      "ok",      "no_tunnel",       "truncated", "malformed", "bad_checksum", "unknown_version",
      "control", "critical_option", "congestion"};
  const auto index = static_cast<std::size_t>(status);
  return index < kNames.size() ? kNames[index] : nullptr;
}

TunnelStatus Decapsulate(const Dissection& outer, BytesView captured, std::uint32_t wire_bytes,
                         Encapsulated& inside, Work& work) {
  const bool is_udp = outer.status == DissectStatus::kOk && outer.l4 == Layer4::kUdp && !outer.is_fragment;
  if (!is_udp) return TunnelStatus::kNoTunnel;
  const bool is_vxlan = outer.destination_port == kVxlanPort;
  if (!is_vxlan && outer.destination_port != kGenevePort) return TunnelStatus::kNoTunnel;

  const BytesView datagram = captured.From(outer.l4_offset);
  UdpHeader udp;
  const std::uint8_t* at = Decode(datagram.begin(), datagram.end(), udp);
  if (at == nullptr) return TunnelStatus::kTruncated;
  if (udp.length < TunnelBytes(0) + EthernetHeader::kBytes) return TunnelStatus::kMalformed;
  const bool is_whole = datagram.size >= udp.length;
  if (udp.checksum != 0 && is_whole) {
    work.Add(WorkItem::kByteCopied, udp.length);
    if (Pseudo(outer.l3, outer.source_address, outer.destination_address, udp.length)
            .Add(datagram.First(udp.length))
            .Checksum() != 0) {
      return TunnelStatus::kBadChecksum;
    }
  }

  const std::uint8_t* const end = datagram.First(udp.length).end();
  Encapsulated found;
  work.Add(WorkItem::kHeader);
  if (is_vxlan) {
    VxlanHeader vxlan;
    at = Decode(at, end, vxlan);
    if (at == nullptr) return TunnelStatus::kTruncated;
    if (!vxlan.has_vni) return TunnelStatus::kMalformed;
    found.kind = TunnelKind::kVxlan;
    found.vni = vxlan.vni;
  } else {
    GeneveHeader geneve;
    at = Decode(at, end, geneve);
    if (at == nullptr) return TunnelStatus::kTruncated;
    if (geneve.version != 0) return TunnelStatus::kUnknownVersion;
    if (TunnelBytes(geneve.OptionBytes()) + EthernetHeader::kBytes > udp.length)
      return TunnelStatus::kMalformed;
    if (!Holds(at, end, geneve.OptionBytes())) return TunnelStatus::kTruncated;
    found.kind = TunnelKind::kGeneve;
    found.vni = geneve.vni;
    found.options = {at, geneve.OptionBytes()};
    at += geneve.OptionBytes();
    bool has_critical = false;
    if (!IsWhole(found.options, has_critical)) return TunnelStatus::kMalformed;
    if (has_critical || geneve.has_critical) return TunnelStatus::kCriticalOption;
    if (geneve.is_control || geneve.protocol != kEthertypeTransparent) return TunnelStatus::kControl;
  }
  work.Add(WorkItem::kByteParsed,
           static_cast<std::uint32_t>(at - datagram.data) - static_cast<std::uint32_t>(UdpHeader::kBytes));

  found.frame = {at, static_cast<std::size_t>(end - at)};
  found.outer_bytes = static_cast<std::uint32_t>(at - captured.data);
  found.wire_bytes = static_cast<std::uint32_t>(udp.length - (at - datagram.data));
  if (found.outer_bytes > wire_bytes) return TunnelStatus::kMalformed;
  Dissect(Link::kEthernet, found.frame, found.wire_bytes, found.inner, work);
  const bool has_ip = found.inner.l3 == Layer3::kIpv4 || found.inner.l3 == Layer3::kIpv6;
  if (has_ip) {
    const std::optional<std::uint8_t> ecn = DecapsulatedEcn(found.inner.ecn, outer.ecn);
    if (!ecn) return TunnelStatus::kCongestion;
    found.ecn = *ecn;
  }
  inside = found;
  return TunnelStatus::kOk;
}

std::optional<std::uint8_t> DecapsulatedEcn(std::uint8_t inner, std::uint8_t outer) {
  if (inner == 0) {
    if (outer == kCongestionExperienced) return std::nullopt;
    return inner;
  }
  if (inner == kCongestionExperienced || outer == kCongestionExperienced) return kCongestionExperienced;
  return inner == kEct1 || outer == kEct1 ? kEct1 : inner;
}

}  // namespace foreflow::wire
