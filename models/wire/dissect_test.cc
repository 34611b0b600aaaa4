// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/dissect.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "models/wire/cooked.h"
#include "models/wire/packet_builder.h"

namespace foreflow::wire {
namespace {

using Raw = std::vector<std::uint8_t>;

constexpr auto kOk = DissectStatus::kOk;
constexpr auto kTruncated = DissectStatus::kTruncated;
constexpr auto kMalformed = DissectStatus::kMalformed;

// Dissects `bytes` from a heap block of exactly their size, so that ASan sees a read beyond them.
Dissection DissectExactly(Link link, const Raw& bytes, std::size_t wire_bytes) {
  const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), copy.get());
  Work work;
  return Dissect(link, {copy.get(), bytes.size()}, static_cast<std::uint32_t>(wire_bytes), work);
}

PacketBuilder Ip() { return PacketBuilder().Ethernet().Ipv4(); }
PacketBuilder Ip6() { return PacketBuilder().Ethernet().Ipv6(); }
PacketBuilder VlanTags(int tags) {
  PacketBuilder packet;
  packet.Ethernet();
  for (int i = 0; i < tags; ++i) packet.Vlan(static_cast<std::uint16_t>(i + 1));
  return packet.Ipv4().Udp(7, 9);
}
PacketBuilder Extensions(int headers) {
  PacketBuilder packet = Ip6();
  for (int i = 0; i < headers; ++i) packet.DestinationOptions();
  return packet.Udp(7, 9);
}
// `first` is what the link header ends with; the rest of `packet` follows.
Raw Behind(Raw first, const PacketBuilder& packet) {
  const Raw bytes = packet.Build();
  first.insert(first.end(), bytes.begin(), bytes.end());
  return first;
}

struct Row {
  std::string what;
  Link link;
  Raw bytes;
  std::size_t cut;  // bytes that the capture lacks
  DissectStatus status;
  Layer3 l3;
  Layer4 l4;
  std::uint16_t destination_port;
  std::uint32_t payload_bytes;
};

std::vector<Row> Rows() {
  constexpr auto kEthernet = Link::kEthernet;
  constexpr auto kNo3 = Layer3::kNone;
  constexpr auto kV4 = Layer3::kIpv4;
  constexpr auto kV6 = Layer3::kIpv6;
  constexpr auto kNo4 = Layer4::kNone;
  constexpr auto kTcp = Layer4::kTcp;
  constexpr auto kUdp = Layer4::kUdp;
  constexpr auto kOther = Layer4::kOther;
  const Raw arp_ipv6_size = [] {
    Raw bytes = PacketBuilder().Ethernet().Arp(kArpRequest, "10.0.0.1", "10.0.0.2").Build();
    bytes[14 + 5] = 16;  // protocol_bytes, of an IPv4 ARP
    return bytes;
  }();
  const Raw arp_infiniband = [] {
    Raw bytes = PacketBuilder().Ethernet().Arp(kArpRequest, "10.0.0.1", "10.0.0.2").PadTo(70).Build();
    bytes[14 + 1] = 32;  // hardware_type
    bytes[14 + 4] = 20;  // hardware_bytes
    return bytes;
  }();
  return {
      // Lengths: the IP length rules, not what was captured.
      {"padding is no payload", kEthernet, Ip().Tcp(1, 80).PadTo(60).Build(), 0, kOk, kV4, kTcp, 80, 0},
      {"payload that was not captured counts", kEthernet, Ip().Tcp(1, 80).Payload(1000).Build(), 990, kOk,
       kV4, kTcp, 80, 1000},
      {"IPv4 length 0 of offload: the wire's", kEthernet, Ip().Length(0).Tcp(1, 80).Payload(3000).Build(), 0,
       kOk, kV4, kTcp, 80, 3000},
      {"IPv6 length 0 of offload: the wire's", kEthernet, Ip6().Length(0).Tcp(1, 80).Payload(3000).Build(),
       2000, kOk, kV6, kTcp, 80, 3000},
      {"IPv6 without a next header may be empty", kEthernet, Ip6().PadTo(60).Build(), 0, kOk, kV6, kNo4, 0,
       0},
      {"UDP shorter than IP says is legal", kEthernet, Ip().Udp(1, 53).UdpLength(10).Payload(20).Build(), 0,
       kOk, kV4, kUdp, 53, 20},
      {"IPv4 longer than the wire", kEthernet, Ip().Length(61).Tcp(1, 80).Payload(20).Build(), 0, kMalformed,
       kNo3, kNo4, 0, 40},
      {"IPv4 shorter than its header", kEthernet, Ip().Length(19).Tcp(1, 80).Build(), 0, kMalformed, kNo3,
       kNo4, 0, 20},
      {"IPv4 ends inside TCP", kEthernet, Ip().Length(39).Tcp(1, 80).Build(), 0, kMalformed, kV4, kNo4, 0,
       19},
      {"IPv4 ends inside UDP", kEthernet, Ip().Length(27).Udp(1, 53).Build(), 0, kMalformed, kV4, kNo4, 0, 7},
      {"IPv6 longer than the wire", kEthernet, Ip6().Length(9).Udp(1, 53).Build(), 0, kMalformed, kNo3, kNo4,
       0, 8},
      {"IPv6 ends inside an extension", kEthernet, Ip6().Length(15).HopByHop(2).Udp(1, 53).Build(), 0,
       kMalformed, kV6, kNo4, 0, 15},
      {"UDP longer than IP says", kEthernet, Ip().Udp(1, 53).UdpLength(29).Payload(20).Build(), 0, kMalformed,
       kV4, kNo4, 0, 20},
      {"UDP shorter than its header", kEthernet, Ip().Udp(1, 53).UdpLength(7).Payload(20).Build(), 0,
       kMalformed, kV4, kNo4, 0, 20},
      {"TCP header shorter than 5 words", kEthernet, Ip().Tcp(1, 80).HeaderWords(4).Build(), 0, kMalformed,
       kV4, kNo4, 0, 0},
      {"TCP header longer than the packet", kEthernet, Ip().Tcp(1, 80).HeaderWords(6).PadTo(60).Build(), 0,
       kMalformed, kV4, kNo4, 0, 0},
      {"IPv4 header shorter than 5 words", kEthernet, Ip().HeaderWords(4).Udp(1, 53).Build(), 0, kMalformed,
       kNo3, kNo4, 0, 8},
      // Versions.
      {"version 6 under IPv4's ethertype", kEthernet, Ip().Version(6).Udp(1, 53).Build(), 0, kMalformed, kNo3,
       kNo4, 0, 8},
      {"version 4 under IPv6's ethertype", kEthernet, Ip6().Version(4).Udp(1, 53).Build(), 0, kMalformed,
       kNo3, kNo4, 0, 8},
      {"raw IPv4", Link::kRawIp, PacketBuilder().Ipv4().Udp(1, 53).Build(), 0, kOk, kV4, kUdp, 53, 0},
      {"raw IPv6", Link::kRawIp, PacketBuilder().Ipv6().Udp(1, 53).Build(), 0, kOk, kV6, kUdp, 53, 0},
      {"raw version 5", Link::kRawIp, {0x50, 0, 0, 0}, 0, kMalformed, kNo3, kNo4, 0, 4},
      // Cuts.
      {"nothing captured", kEthernet, {}, 0, kTruncated, kNo3, kNo4, 0, 0},
      {"nothing captured of raw IP", Link::kRawIp, {}, 0, kTruncated, kNo3, kNo4, 0, 0},
      {"cut inside Ethernet", kEthernet, Raw(13), 0, kTruncated, kNo3, kNo4, 0, 13},
      {"cut inside a VLAN tag", kEthernet, PacketBuilder().Ethernet().Vlan(1).Build(), 1, kTruncated, kNo3,
       kNo4, 0, 4},
      {"cut inside ARP", kEthernet, PacketBuilder().Ethernet().Arp(kArpRequest, "1.2.3.4", "1.2.3.5").Build(),
       1, kTruncated, kNo3, kNo4, 0, 20},
      {"cut inside IPv4", kEthernet, Ip().Udp(1, 53).Build(), 9, kTruncated, kNo3, kNo4, 0, 28},
      {"cut inside IPv4 options", kEthernet, Ip().Ipv4Options(2).Udp(1, 53).Build(), 9, kTruncated, kV4, kNo4,
       0, 8},
      {"cut inside an IPv6 extension", kEthernet, Ip6().HopByHop(2).Udp(1, 53).Build(), 9, kTruncated, kV6,
       kNo4, 0, 8},
      {"cut inside an IPv6 fragment header", kEthernet, Ip6().FragmentHeader(0, true).Udp(1, 53).Build(), 9,
       kTruncated, kV6, kNo4, 0, 16},
      {"cut inside UDP", kEthernet, Ip().Udp(1, 53).Build(), 1, kTruncated, kV4, kNo4, 0, 8},
      {"cut inside TCP", kEthernet, Ip().Tcp(1, 80).Payload(5).Build(), 6, kTruncated, kV4, kNo4, 0, 25},
      {"cut inside TCP options, ports known", kEthernet, Ip().Tcp(1, 80).HeaderWords(6).Payload(9).Build(), 6,
       kTruncated, kV4, kTcp, 80, 5},
      {"cut right behind TCP", kEthernet, Ip().Tcp(1, 80).Payload(5).Build(), 5, kOk, kV4, kTcp, 80, 5},
      // Chains.
      {"8 VLAN tags", kEthernet, VlanTags(8).Build(), 0, kOk, kV4, kUdp, 9, 0},
      {"9 VLAN tags", kEthernet, VlanTags(9).Build(), 0, kMalformed, kNo3, kNo4, 0, 32},
      {"8 extension headers", kEthernet, Extensions(8).Build(), 0, kOk, kV6, kUdp, 9, 0},
      {"9 extension headers", kEthernet, Extensions(9).Build(), 0, kMalformed, kV6, kNo4, 0, 16},
      {"ESP hides what follows", kEthernet, Ip6().HopByHop().Protocol(50).Payload(32).Build(), 0, kOk, kV6,
       kOther, 0, 32},
      {"ICMPv6's number in IPv4", kEthernet, Ip().Icmpv6(128).Build(), 0, kOk, kV4, kOther, 0, 8},
      {"ICMP's number in IPv6", kEthernet, Ip6().Icmp(8).Build(), 0, kOk, kV6, kOther, 0, 8},
      {"IPv4 in IPv4 is not entered", kEthernet, Ip().Ipv4("1.1.1.1", "2.2.2.2").Udp(1, 53).Build(), 0, kOk,
       kV4, kOther, 0, 28},
      // Fragments.
      {"first fragment of a longer datagram", kEthernet,
       Ip().Fragment(0, true).Udp(1, 53).UdpLength(4000).Payload(1472).Build(), 0, kOk, kV4, kUdp, 53, 1472},
      {"first fragment too short for TCP", kEthernet,
       Ip().Fragment(0, true).Protocol(kProtocolTcp).Payload(16).Build(), 0, kMalformed, kV4, kNo4, 0, 16},
      {"later fragment", kEthernet, Ip().Fragment(2, false).Protocol(kProtocolTcp).Payload(16).Build(), 0,
       kOk, kV4, kNo4, 0, 16},
      {"fragment beyond 65535 bytes", kEthernet,
       Ip().Fragment(8191, false).Protocol(kProtocolIcmp).Payload(8).Build(), 0, kMalformed, kV4, kNo4, 0, 8},
      {"IPv6 fragment beyond 65535 bytes", kEthernet,
       Ip6().FragmentHeader(8191, false).Protocol(kProtocolUdp).Payload(8).Build(), 0, kMalformed, kV6, kNo4,
       0, 8},
      // Not IP.
      {"another ethertype", kEthernet, PacketBuilder().Ethernet().Ethertype(0x88cc).Payload(46).Build(), 0,
       kOk, kNo3, kNo4, 0, 46},
      {"802.3 length with padding", kEthernet,
       PacketBuilder().Ethernet().Ethertype(38).Payload(38).PadTo(60).Build(), 0, kOk, kNo3, kNo4, 0, 38},
      {"802.3 length beyond the frame", kEthernet,
       PacketBuilder().Ethernet().Ethertype(39).Payload(38).Build(), 0, kMalformed, kNo3, kNo4, 0, 38},
      {"neither length nor ethertype", kEthernet,
       PacketBuilder().Ethernet().Ethertype(1501).Payload(1600).Build(), 0, kMalformed, kNo3, kNo4, 0, 1600},
      {"ARP whose sizes are not its types'", kEthernet, arp_ipv6_size, 0, kMalformed, kNo3, kNo4, 0, 20},
      {"ARP of 20-byte hardware addresses", kEthernet, arp_infiniband, 0, kOk, Layer3::kArp, kNo4, 0, 0},
      {"loopback, unknown family", Link::kNull, Behind({0, 0, 0, 99}, PacketBuilder().Payload(4)), 0, kOk,
       kNo3, kNo4, 0, 4},
      {"cooked, an encapsulation without ethertype", Link::kLinuxSll,
       Behind({0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4}, PacketBuilder().Payload(40)), 0, kOk, kNo3,
       kNo4, 0, 40},
      {"cooked, cut", Link::kLinuxSll, Raw(15), 0, kTruncated, kNo3, kNo4, 0, 15},
      {"cooked v2, cut", Link::kLinuxSll2, Raw(19), 0, kTruncated, kNo3, kNo4, 0, 19},
      {"loopback, cut", Link::kNull, Raw(3), 0, kTruncated, kNo3, kNo4, 0, 3},
      {"unknown link", Link::kUnknown, Raw(60), 0, DissectStatus::kUnknownLink, kNo3, kNo4, 0, 60},
  };
}

TEST(Dissect, Rows) {
  for (const Row& row : Rows()) {
    SCOPED_TRACE(row.what);
    const Raw captured(row.bytes.begin(), row.bytes.end() - static_cast<std::ptrdiff_t>(row.cut));
    const Dissection packet = DissectExactly(row.link, captured, row.bytes.size());
    EXPECT_EQ(packet.status, row.status);
    EXPECT_EQ(packet.l3, row.l3);
    EXPECT_EQ(packet.l4, row.l4);
    EXPECT_EQ(packet.destination_port, row.destination_port);
    EXPECT_EQ(packet.payload_bytes, row.payload_bytes);
  }
}

TEST(Dissect, CountsHeadersAndBytes) {
  const Raw bytes = PacketBuilder().Ethernet().Vlan(3).Ipv6().HopByHop(2).Tcp(1, 80).Payload(100).Build();
  Work work;
  const Dissection packet =
      Dissect(Link::kEthernet, {bytes.data(), bytes.size()}, static_cast<std::uint32_t>(bytes.size()), work);
  EXPECT_EQ(packet.header_bytes, 14u + 4 + 40 + 16 + 20);
  Work expected;
  expected.Add(WorkItem::kHeader, 5);
  expected.Add(WorkItem::kByteParsed, 14 + 4 + 40 + 16 + 20);
  EXPECT_TRUE(work == expected);
}

TEST(Dissect, NamesTheOffsets) {
  const Raw bytes = PacketBuilder().Ethernet().Vlan(3).Ipv4().Ipv4Options(1).Udp(1, 53).Payload(4).Build();
  const Dissection packet = DissectExactly(Link::kEthernet, bytes, bytes.size());
  EXPECT_EQ(packet.l3_offset, 18);
  EXPECT_EQ(packet.l4_offset, 18 + 24);
  EXPECT_EQ(packet.payload_offset, 18 + 24 + 8);
}

TEST(Dissect, GroupAddresses) {
  const auto is_group = [](const PacketBuilder& packet) {
    const Raw bytes = packet.Build();
    return DissectExactly(bytes[0] >> 4 == 4 || bytes[0] >> 4 == 6 ? Link::kRawIp : Link::kEthernet, bytes,
                          bytes.size())
        .is_group_addressed;
  };
  EXPECT_TRUE(is_group(PacketBuilder().Ipv4("10.0.0.1", "224.0.0.1")));
  EXPECT_TRUE(is_group(PacketBuilder().Ipv4("10.0.0.1", "239.255.255.255")));
  EXPECT_TRUE(is_group(PacketBuilder().Ipv4("10.0.0.1", "255.255.255.255")));
  EXPECT_TRUE(is_group(PacketBuilder().Ipv6("fe80::1", "ff02::1")));
  EXPECT_TRUE(is_group(PacketBuilder().Ethernet("02:00:00:00:00:01", "33:33:00:00:00:01").Ipv4()));
  EXPECT_FALSE(is_group(PacketBuilder().Ipv4("224.0.0.1", "223.255.255.255")));
  EXPECT_FALSE(is_group(PacketBuilder().Ipv4("10.0.0.1", "255.255.255.254")));
  EXPECT_FALSE(is_group(PacketBuilder().Ipv6("ff02::1", "fe80::1")));
  EXPECT_FALSE(is_group(PacketBuilder().Ethernet("03:00:00:00:00:01", "02:00:00:00:00:01").Ipv4()));
}

// A whole packet of random layers, with what it is to be taken apart into.
struct RandomPacket {
  PacketBuilder builder;
  std::size_t headers = 14;
  std::uint16_t ports[2];
  std::size_t payload;
  bool is_tcp;
  int tags;
  std::uint8_t priority;  // of the first tag
};

RandomPacket AnyPacket() {
  RandomPacket packet;
  packet.builder.Ethernet();
  packet.tags = *rc::gen::inRange(0, 9);
  packet.priority = *rc::gen::inRange<std::uint8_t>(0, 8);
  for (int i = 0; i < packet.tags; ++i) {
    packet.builder.Vlan(static_cast<std::uint16_t>(i + 1), i == 0 ? packet.priority : std::uint8_t{0});
  }
  packet.headers += 4 * static_cast<std::size_t>(packet.tags);
  if (*rc::gen::arbitrary<bool>()) {
    const auto words = *rc::gen::inRange<std::size_t>(0, 11);
    packet.builder.Ipv4().Ipv4Options(words);
    packet.headers += 20 + 4 * words;
  } else {
    packet.builder.Ipv6();
    packet.headers += 40;
    const int extensions = *rc::gen::inRange(0, 9);
    for (int i = 0; i < extensions; ++i) {
      const auto units = *rc::gen::inRange<std::uint8_t>(1, 33);
      switch (*rc::gen::inRange(0, 5)) {
        case 0:
          packet.builder.HopByHop(units);
          packet.headers += std::size_t{8} * units;
          break;
        case 1:
          packet.builder.DestinationOptions(units);
          packet.headers += std::size_t{8} * units;
          break;
        case 2:
          packet.builder.Routing();
          packet.headers += 8;
          break;
        case 3:
          packet.builder.FragmentHeader(0, false);
          packet.headers += 8;
          break;
        default:
          packet.builder.Authentication();
          packet.headers += 24;
          break;
      }
    }
  }
  packet.ports[0] = *rc::gen::arbitrary<std::uint16_t>();
  packet.ports[1] = *rc::gen::arbitrary<std::uint16_t>();
  packet.payload = *rc::gen::inRange<std::size_t>(0, 2000);
  packet.is_tcp = *rc::gen::arbitrary<bool>();
  if (packet.is_tcp) {
    packet.builder.Tcp(packet.ports[0], packet.ports[1]);
    packet.headers += 20;
  } else {
    packet.builder.Udp(packet.ports[0], packet.ports[1]);
    packet.headers += 8;
  }
  packet.builder.Payload(packet.payload);
  return packet;
}

RC_GTEST_PROP(DissectProperty, TakesApartWhatWasBuilt, ()) {
  const RandomPacket built = AnyPacket();
  const Raw bytes = built.builder.Build();
  const Dissection packet = DissectExactly(Link::kEthernet, bytes, bytes.size());
  RC_ASSERT(packet.status == kOk);
  RC_ASSERT(packet.l4 == (built.is_tcp ? Layer4::kTcp : Layer4::kUdp));
  RC_ASSERT(packet.vlan == built.tags);
  RC_ASSERT(packet.outer_vlan == (built.tags == 0 ? 0 : built.priority << 13 | 0x1001));
  RC_ASSERT(packet.source_port == built.ports[0]);
  RC_ASSERT(packet.destination_port == built.ports[1]);
  RC_ASSERT(packet.header_bytes == built.headers);
  RC_ASSERT(packet.payload_bytes == built.payload);
}

// Plain IPv4 behind Ethernet is taken apart in one go, the same packet as raw IP header by header. Whatever
// its bytes say and wherever it is cut, both find the same.
RC_GTEST_PROP(DissectProperty, EthernetAndRawIpAgree, ()) {
  constexpr std::size_t kEthernet = 14;
  PacketBuilder builder;
  builder.Ethernet().Ipv4();
  if (*rc::gen::arbitrary<bool>()) {
    builder.Tcp(1, 80).HeaderWords(*rc::gen::element<std::uint8_t>(4, 5, 5, 6, 10, 15));
  } else {
    builder.Udp(1, 53);
  }
  Raw bytes = builder.Payload(*rc::gen::inRange<std::size_t>(0, 60)).PadTo(60).Build();
  const int flips = *rc::gen::inRange(0, 4);
  for (int i = 0; i < flips; ++i) {
    // Not the version, by which raw IP is told from other links.
    bytes[*rc::gen::inRange<std::size_t>(kEthernet + 1, 54)] = *rc::gen::arbitrary<std::uint8_t>();
  }
  const auto kept =
      *rc::gen::element(bytes.size(), *rc::gen::inRange<std::size_t>(kEthernet + 1, bytes.size() + 1));
  const Raw whole(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(kept));
  const Raw inner(whole.begin() + kEthernet, whole.end());
  Work whole_work, inner_work;
  const Dissection a = Dissect(Link::kEthernet, {whole.data(), whole.size()},
                               static_cast<std::uint32_t>(bytes.size()), whole_work);
  const Dissection b = Dissect(Link::kRawIp, {inner.data(), inner.size()},
                               static_cast<std::uint32_t>(bytes.size() - kEthernet), inner_work);
  inner_work.Add(WorkItem::kHeader);
  inner_work.Add(WorkItem::kByteParsed, kEthernet);
  RC_ASSERT(whole_work == inner_work);
  RC_ASSERT(a.status == b.status);
  RC_ASSERT(a.l3 == b.l3);
  RC_ASSERT(a.l4 == b.l4);
  RC_ASSERT(a.is_fragment == b.is_fragment);
  RC_ASSERT(a.is_first_fragment == b.is_first_fragment);
  RC_ASSERT(a.is_group_addressed == b.is_group_addressed);
  RC_ASSERT(a.ip_protocol == b.ip_protocol);
  RC_ASSERT(a.dscp == b.dscp);
  RC_ASSERT(a.ecn == b.ecn);
  RC_ASSERT(a.ttl == b.ttl);
  RC_ASSERT(a.tcp_flags == b.tcp_flags);
  RC_ASSERT(a.ethertype == b.ethertype);
  RC_ASSERT(a.source_port == b.source_port);
  RC_ASSERT(a.destination_port == b.destination_port);
  RC_ASSERT(a.tcp_window == b.tcp_window);
  RC_ASSERT(a.tcp_sequence == b.tcp_sequence);
  RC_ASSERT(a.tcp_acknowledgement == b.tcp_acknowledgement);
  RC_ASSERT(a.header_bytes == b.header_bytes + kEthernet);
  RC_ASSERT(a.payload_bytes == b.payload_bytes);
  RC_ASSERT(a.l3_offset == b.l3_offset + kEthernet);
  RC_ASSERT(a.l4_offset == b.l4_offset + kEthernet);
  RC_ASSERT(a.payload_offset == b.payload_offset + kEthernet);
  RC_ASSERT(a.source_address == b.source_address);
  RC_ASSERT(a.destination_address == b.destination_address);
}

// Any cut inside the headers is seen as one, any cut behind them changes nothing.
RC_GTEST_PROP(DissectProperty, CutsAreSeen, ()) {
  const RandomPacket built = AnyPacket();
  const Raw bytes = built.builder.Build();
  const auto kept = *rc::gen::inRange<std::size_t>(0, bytes.size() + 1);
  const Dissection packet = DissectExactly(
      Link::kEthernet, Raw(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(kept)), bytes.size());
  RC_ASSERT(packet.status == (kept < built.headers ? kTruncated : kOk));
  if (kept >= built.headers) RC_ASSERT(packet.payload_bytes == built.payload);
}

// Flipped bytes may mean anything, but nothing is read outside (ASan) and the sizes stay within the packet.
RC_GTEST_PROP(DissectProperty, FlippedBytesAreHarmless, ()) {
  Raw bytes = AnyPacket().builder.Build();
  const int flips = *rc::gen::inRange(1, 5);
  for (int i = 0; i < flips; ++i) {
    bytes[*rc::gen::inRange<std::size_t>(0, std::min<std::size_t>(bytes.size(), 120))] =
        *rc::gen::arbitrary<std::uint8_t>();
  }
  const Dissection packet = DissectExactly(Link::kEthernet, bytes, bytes.size());
  RC_ASSERT(packet.header_bytes + packet.payload_bytes <= bytes.size());
  if (packet.status == kOk) RC_ASSERT(packet.payload_offset <= bytes.size());
}

}  // namespace
}  // namespace foreflow::wire
