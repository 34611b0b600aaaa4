// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/rewrite.h"

#include <algorithm>
#include <cstring>

#include "models/base/refusal.h"
#include "models/wire/be.h"
#include "models/wire/checksum.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"

namespace foreflow::wire {
namespace {

constexpr std::size_t kMacBytes = 6;
constexpr std::size_t kIpv4ChecksumOffset = 10;
constexpr std::size_t kIpv4TtlOffset = 8;
constexpr std::size_t kIpv4AddressOffset = 12;
constexpr std::size_t kIpv6HopLimitOffset = 7;
constexpr std::size_t kIpv6AddressOffset = 8;
constexpr std::size_t kNone = SIZE_MAX;

bool HasIp(const Dissection& packet) { return packet.l3 == Layer3::kIpv4 || packet.l3 == Layer3::kIpv6; }

// Where the transport checksum lies, whose pseudo header holds the addresses.
std::size_t TransportChecksum(const Dissection& packet) {
  switch (packet.l4) {
    case Layer4::kTcp:
      return packet.l4_offset + 16u;
    case Layer4::kUdp:
      return packet.l4_offset + 6u;
    case Layer4::kIcmpv6:
      return packet.l4_offset + 2u;
    default:
      return kNone;
  }
}

class Rewriter {
 public:
  Rewriter(MutableBytes frame, const Dissection& packet)
      : frame_(frame),
        packet_(packet),
        ip_checksum_(packet.l3 == Layer3::kIpv4 ? packet.l3_offset + kIpv4ChecksumOffset : kNone),
        transport_checksum_(TransportChecksum(packet)) {}

  // Whole 16-bit words of the IP header, which the transport's checksum covers too where they are addresses.
  void SetIp(std::size_t offset, BytesView to, bool is_address) {
    if (!Has(offset, to.size)) return;
    const BytesView from{frame_.data + offset, to.size};
    Update(ip_checksum_, from, to, false);
    if (is_address) Update(transport_checksum_, from, to, packet_.l4 == Layer4::kUdp);
    std::memcpy(frame_.data + offset, to.data, to.size);
  }
  void SetPort(std::size_t offset, std::uint16_t port) {
    if (!Has(offset, 2)) return;
    std::uint8_t to[2];
    Store16(to, port);
    Update(transport_checksum_, {frame_.data + offset, 2}, {to, 2}, packet_.l4 == Layer4::kUdp);
    Store16(frame_.data + offset, port);
  }
  bool Has(std::size_t offset, std::size_t bytes) const { return offset + bytes <= frame_.size; }

 private:
  void Update(std::size_t at, BytesView from, BytesView to, bool is_udp) {
    if (at == kNone || !Has(at, 2)) return;
    const std::uint16_t before = Load16(frame_.data + at);
    if (is_udp && before == 0) return;
    std::uint16_t after = UpdateChecksum(before, from, to);
    if (is_udp && after == 0) after = 0xffff;
    Store16(frame_.data + at, after);
  }

  MutableBytes frame_;
  const Dissection& packet_;
  std::size_t ip_checksum_;
  std::size_t transport_checksum_;
};

// The traffic class, which lies across IPv6's first two bytes and is IPv4's second.
void SetTrafficClass(std::uint8_t value, MutableBytes frame, const Dissection& packet) {
  const std::size_t ip = packet.l3_offset;
  if (!Rewriter(frame, packet).Has(ip, 2)) return;
  std::uint8_t word[2] = {frame.data[ip], frame.data[ip + 1]};
  if (packet.l3 == Layer3::kIpv4) {
    word[1] = value;
  } else {
    word[0] = static_cast<std::uint8_t>((word[0] & 0xf0) | value >> 4);
    word[1] = static_cast<std::uint8_t>((word[1] & 0x0f) | value << 4);
  }
  Rewriter(frame, packet).SetIp(ip, {word, 2}, false);
}

void SetTtl(std::uint8_t ttl, MutableBytes frame, const Dissection& packet) {
  const bool is_ipv4 = packet.l3 == Layer3::kIpv4;
  const std::size_t at = packet.l3_offset + (is_ipv4 ? kIpv4TtlOffset : kIpv6HopLimitOffset);
  const std::size_t even = at - (at - packet.l3_offset) % 2;
  Rewriter rewriter(frame, packet);
  if (!rewriter.Has(even, 2)) return;
  std::uint8_t word[2] = {frame.data[even], frame.data[even + 1]};
  word[at - even] = ttl;
  rewriter.SetIp(even, {word, 2}, false);
}

void SetAddress(const std::array<std::uint8_t, 16>& address, bool is_destination, MutableBytes frame,
                Dissection& packet) {
  const std::size_t bytes = packet.l3 == Layer3::kIpv4 ? sizeof(Ipv4Address) : sizeof(Ipv6Address);
  const std::size_t first = packet.l3 == Layer3::kIpv4 ? kIpv4AddressOffset : kIpv6AddressOffset;
  const std::size_t at = packet.l3_offset + first + (is_destination ? bytes : 0);
  Rewriter(frame, packet).SetIp(at, {address.data(), bytes}, true);
  std::array<std::uint8_t, 16>& known = is_destination ? packet.destination_address : packet.source_address;
  std::copy_n(address.begin(), bytes, known.begin());
}

}  // namespace

void CheckRewrite(const HeaderRewrite& rewrite, const std::string& where) {
  const bool has_address = rewrite.source_address || rewrite.destination_address;
  if (has_address && rewrite.l3 != Layer3::kIpv4 && rewrite.l3 != Layer3::kIpv6) {
    throw Refusal(where, "addresses", "of no IP family", "IPv4 or IPv6 addresses");
  }
  if (rewrite.dscp && *rewrite.dscp > 63) {
    throw Refusal(where, "dscp", std::to_string(*rewrite.dscp), "0..63");
  }
}

RewriteStatus Rewrite(const HeaderRewrite& rewrite, Link link, MutableBytes frame, Dissection& packet,
                      Work& work) {
  const bool has_ip = HasIp(packet);
  if (has_ip && rewrite.decrement_ttl && packet.ttl <= 1) return RewriteStatus::kExpired;
  if (link == Link::kEthernet && frame.size >= EthernetHeader::kBytes &&
      (rewrite.source_mac || rewrite.destination_mac)) {
    work.Add(WorkItem::kHeader);
    if (rewrite.destination_mac) {
      StoreBytes(frame.data, *rewrite.destination_mac);
      packet.destination_mac = *rewrite.destination_mac;
    }
    if (rewrite.source_mac) {
      StoreBytes(frame.data + kMacBytes, *rewrite.source_mac);
      packet.source_mac = *rewrite.source_mac;
    }
  }
  if (!has_ip) return RewriteStatus::kOk;

  const bool is_family = packet.l3 == rewrite.l3;
  const bool changes_address = is_family && (rewrite.source_address || rewrite.destination_address);
  if (changes_address || rewrite.dscp || rewrite.decrement_ttl) work.Add(WorkItem::kHeader);
  if (is_family && rewrite.source_address) SetAddress(*rewrite.source_address, false, frame, packet);
  if (is_family && rewrite.destination_address) SetAddress(*rewrite.destination_address, true, frame, packet);
  if (rewrite.dscp) {
    packet.dscp = *rewrite.dscp;
    SetTrafficClass(static_cast<std::uint8_t>(packet.dscp << 2 | packet.ecn), frame, packet);
  }
  if (rewrite.decrement_ttl) SetTtl(--packet.ttl, frame, packet);

  const bool has_ports = packet.l4 == Layer4::kTcp || packet.l4 == Layer4::kUdp;
  if (!has_ports || !(rewrite.source_port || rewrite.destination_port)) return RewriteStatus::kOk;
  work.Add(WorkItem::kHeader);
  Rewriter rewriter(frame, packet);
  if (rewrite.source_port) {
    rewriter.SetPort(packet.l4_offset, *rewrite.source_port);
    packet.source_port = *rewrite.source_port;
  }
  if (rewrite.destination_port) {
    rewriter.SetPort(packet.l4_offset + 2u, *rewrite.destination_port);
    packet.destination_port = *rewrite.destination_port;
  }
  return RewriteStatus::kOk;
}

std::uint32_t HeadersOf(const HeaderRewrite& rewrite) {
  const bool has_ethernet = rewrite.source_mac || rewrite.destination_mac;
  const bool has_ip =
      rewrite.source_address || rewrite.destination_address || rewrite.dscp || rewrite.decrement_ttl;
  const bool has_ports = rewrite.source_port || rewrite.destination_port;
  return (has_ethernet ? 1u : 0u) + (has_ip ? 1u : 0u) + (has_ports ? 1u : 0u);
}

void SetEcn(std::uint8_t ecn, MutableBytes frame, Dissection& packet) {
  if (!HasIp(packet)) return;
  packet.ecn = ecn;
  SetTrafficClass(static_cast<std::uint8_t>(packet.dscp << 2 | ecn), frame, packet);
}

void PushVlan(std::uint16_t vid, std::uint8_t priority, std::uint8_t* frame) {
  std::uint8_t* const begin = frame - VlanTag::kBytes;
  std::memmove(begin, frame, 2 * kMacBytes);
  VlanTag tag;
  tag.vid = vid;
  tag.priority = priority;
  tag.ethertype = Load16(frame + 2 * kMacBytes);
  Store16(begin + 2 * kMacBytes, kEthertypeVlan);
  Encode(begin + EthernetHeader::kBytes, begin + EthernetHeader::kBytes + VlanTag::kBytes, tag);
}

bool PopVlan(MutableBytes frame) {
  if (frame.size < EthernetHeader::kBytes + VlanTag::kBytes || !IsVlan(Load16(frame.data + 2 * kMacBytes))) {
    return false;
  }
  std::memmove(frame.data + VlanTag::kBytes, frame.data, 2 * kMacBytes);
  return true;
}

}  // namespace foreflow::wire
