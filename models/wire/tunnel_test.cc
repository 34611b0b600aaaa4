// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/tunnel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/wire/address_text.h"
#include "models/wire/geneve.h"
#include "models/wire/packet_builder.h"
#include "models/wire/udp.h"
#include "models/wire/vxlan.h"

namespace foreflow::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

BytesView View(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

Dissection TunnelDissectionOf(const Bytes& frame) {
  Work work;
  return Dissect(Link::kEthernet, View(frame), static_cast<std::uint32_t>(frame.size()), work);
}

Bytes Wrapped(const Tunnel& tunnel, const Bytes& frame, std::uint64_t flow_hash, const Bytes& options = {}) {
  Work work;
  Bytes outer(OuterBytes(tunnel, options.size()) + frame.size());
  Encapsulate(tunnel, TunnelDissectionOf(frame), View(frame), static_cast<std::uint32_t>(frame.size()),
              flow_hash, View(options), outer.data(), work);
  std::copy(frame.begin(), frame.end(), outer.end() - static_cast<std::ptrdiff_t>(frame.size()));
  return outer;
}

TunnelStatus Opened(const Bytes& outer, Encapsulated& inside) {
  Work work;
  return Decapsulate(TunnelDissectionOf(outer), View(outer), static_cast<std::uint32_t>(outer.size()), inside,
                     work);
}

Tunnel Sample(TunnelKind kind, Layer3 l3) {
  Tunnel tunnel;
  tunnel.kind = kind;
  tunnel.vni = 0x0a0b0c;
  tunnel.source_mac = {2, 0, 0, 0, 0, 0xa};
  tunnel.destination_mac = {2, 0, 0, 0, 0, 0xb};
  tunnel.l3 = l3;
  if (l3 == Layer3::kIpv4) {
    tunnel.source_address = {192, 0, 2, 1};
    tunnel.destination_address = {192, 0, 2, 2};
  } else {
    tunnel.source_address = *ParseIpv6("2001:db8::1");
    tunnel.destination_address = *ParseIpv6("2001:db8::2");
  }
  return tunnel;
}

// An option of four words of no meaning.
const Bytes kOption = {0xff, 0xf0, 0x11, 0x02, 1, 2, 3, 4, 5, 6, 7, 8};

std::string Hex(const Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Bytes FromHex(const std::string& text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// What scapy made for vectors/tunnels.txt, made again here.
struct Case {
  Tunnel tunnel;
  Bytes options;
};

std::map<std::string, Case> Cases() {
  Tunnel pipe = Sample(TunnelKind::kVxlan, Layer3::kIpv4);
  pipe.dscp = 8;
  pipe.ttl = 9;
  pipe.udp_checksum = false;
  return {
      {"vxlan_ipv4", {Sample(TunnelKind::kVxlan, Layer3::kIpv4), {}}},
      {"vxlan_ipv4_pipe", {pipe, {}}},
      {"vxlan_ipv6", {Sample(TunnelKind::kVxlan, Layer3::kIpv6), {}}},
      {"geneve_ipv4_option", {Sample(TunnelKind::kGeneve, Layer3::kIpv4), kOption}},
      {"geneve_ipv6", {Sample(TunnelKind::kGeneve, Layer3::kIpv6), {}}},
      {"geneve_ipv4_arp", {Sample(TunnelKind::kGeneve, Layer3::kIpv4), {}}},
  };
}
constexpr std::uint64_t kFlowHash = 0x123456789;

TEST(Tunnel, OuterPacketsAreScapys) {
  std::ifstream file(FOREFLOW_SOURCE_DIR "/models/wire/vectors/tunnels.txt");
  std::map<std::string, std::pair<Bytes, Bytes>> vectors;  // inner, outer
  std::string name;
  std::string key;
  std::string value;
  while (file >> key >> std::ws && std::getline(file, value)) {
    if (key == "name") name = value;
    if (key == "inner") vectors[name].first = FromHex(value);
    if (key == "outer") vectors[name].second = FromHex(value);
  }
  const auto cases = Cases();
  ASSERT_EQ(vectors.size(), cases.size());
  for (const auto& [title, expected] : vectors) {
    SCOPED_TRACE(title);
    const Case& made = cases.at(title);
    EXPECT_EQ(Hex(Wrapped(made.tunnel, expected.first, kFlowHash, made.options)), Hex(expected.second));
    Encapsulated inside;
    ASSERT_EQ(Opened(expected.second, inside), TunnelStatus::kOk);
    EXPECT_EQ(inside.vni, made.tunnel.vni);
    EXPECT_EQ(inside.kind, made.tunnel.kind);
    EXPECT_EQ(Bytes(inside.frame.begin(), inside.frame.end()), expected.first);
    EXPECT_EQ(Bytes(inside.options.begin(), inside.options.end()), made.options);
    EXPECT_EQ(inside.wire_bytes, expected.first.size());
    EXPECT_EQ(inside.outer_bytes + inside.wire_bytes, expected.second.size());
  }
}

TEST(Tunnel, EveryBitErrorIsFoundOrLiesOutsideTheChecksum) {
  const Bytes frame = PacketBuilder().Ethernet().Ipv4().Tcp(1, 2).Payload(40).Build();
  for (const Layer3 l3 : {Layer3::kIpv4, Layer3::kIpv6}) {
    const Bytes outer = Wrapped(Sample(TunnelKind::kGeneve, l3), frame, 7, kOption);
    const std::size_t datagram = TunnelDissectionOf(outer).l4_offset;
    for (std::size_t bit = 8 * datagram; bit < 8 * outer.size(); ++bit) {
      Bytes damaged = outer;
      damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1u << bit % 8));
      Encapsulated inside;
      EXPECT_NE(Opened(damaged, inside), TunnelStatus::kOk) << "bit " << bit;
    }
  }
}

TEST(Tunnel, CongestionMarksFollowRfc6040) {
  // Figure 4, rows by inner, columns by outer: Not-ECT, ECT(0), ECT(1), CE. -1: drop. The code points are 0,
  // 2, 1, 3.
  constexpr int kPoints[] = {0, 2, 1, 3};
  constexpr int kFigure[4][4] = {{0, 0, 0, -1}, {2, 2, 1, 3}, {1, 1, 1, 3}, {3, 3, 3, 3}};
  for (int inner = 0; inner < 4; ++inner) {
    for (int outer = 0; outer < 4; ++outer) {
      const auto ecn = DecapsulatedEcn(static_cast<std::uint8_t>(kPoints[inner]),
                                       static_cast<std::uint8_t>(kPoints[outer]));
      EXPECT_EQ(ecn ? int{*ecn} : -1, kFigure[inner][outer]) << inner << ' ' << outer;
    }
  }
  const Bytes silent = PacketBuilder().Ethernet().Ipv4().Ecn(0).Udp(1, 2).Build();
  const Bytes capable = PacketBuilder().Ethernet().Ipv4().Ecn(2).Udp(1, 2).Build();
  for (const Bytes& frame : {silent, capable}) {
    Tunnel tunnel = Sample(TunnelKind::kGeneve, Layer3::kIpv6);
    tunnel.udp_checksum = false;
    Bytes outer = Wrapped(tunnel, frame, 1);
    outer[15] = static_cast<std::uint8_t>(outer[15] | 0x30);  // a router marks it
    Encapsulated inside;
    const bool is_capable = frame == capable;
    ASSERT_EQ(Opened(outer, inside), is_capable ? TunnelStatus::kOk : TunnelStatus::kCongestion);
    if (is_capable) {
      EXPECT_EQ(inside.ecn, 3);
    }
  }
}

TEST(Tunnel, RefusesWhatAnEndPointMustNotTake) {
  const Bytes frame = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Payload(20).Build();
  Tunnel geneve = Sample(TunnelKind::kGeneve, Layer3::kIpv4);
  Tunnel vxlan = Sample(TunnelKind::kVxlan, Layer3::kIpv4);
  geneve.udp_checksum = vxlan.udp_checksum = false;
  const std::size_t header = OuterBytes(geneve, 0) - GeneveHeader::kBytes;
  Encapsulated inside;
  const auto changed = [&](const Bytes& original, std::size_t at, std::uint8_t to) {
    Bytes outer = original;
    outer[at] = to;
    return Opened(outer, inside);
  };
  const Bytes plain = Wrapped(geneve, frame, 3);
  const Bytes with_option = Wrapped(geneve, frame, 3, kOption);
  EXPECT_EQ(changed(plain, header, 0x40), TunnelStatus::kUnknownVersion);
  EXPECT_EQ(changed(plain, header, 0x3f), TunnelStatus::kMalformed);  // options longer than the datagram
  EXPECT_EQ(changed(plain, header + 1, 0x80), TunnelStatus::kControl);
  EXPECT_EQ(changed(plain, header + 1, 0x40), TunnelStatus::kCriticalOption);
  EXPECT_EQ(changed(plain, header + 2, 0x08), TunnelStatus::kControl);  // no Ethernet inside
  EXPECT_EQ(changed(with_option, header + 10, 0x91), TunnelStatus::kCriticalOption);
  EXPECT_EQ(changed(with_option, header + 11, 0x03), TunnelStatus::kMalformed);  // runs past the options
  EXPECT_EQ(changed(Wrapped(vxlan, frame, 3), header, 0), TunnelStatus::kMalformed);
  EXPECT_EQ(Opened(frame, inside), TunnelStatus::kNoTunnel);
  const Bytes fragment =
      PacketBuilder().Ethernet().Ipv4().Fragment(0, true).Udp(1, kVxlanPort).Payload(80).Build();
  EXPECT_EQ(Opened(fragment, inside), TunnelStatus::kNoTunnel);
  const Bytes empty = PacketBuilder().Ethernet().Ipv4().Udp(1, kGenevePort).Payload(21).Build();
  EXPECT_EQ(Opened(empty, inside), TunnelStatus::kMalformed);

  Work work;
  for (std::size_t size = header; size < plain.size(); ++size) {
    const BytesView cut = View(plain).First(size);
    const auto wire_bytes = static_cast<std::uint32_t>(plain.size());
    const TunnelStatus status =
        Decapsulate(Dissect(Link::kEthernet, cut, wire_bytes, work), cut, wire_bytes, inside, work);
    EXPECT_EQ(status, size < header + GeneveHeader::kBytes ? TunnelStatus::kTruncated : TunnelStatus::kOk);
    if (status == TunnelStatus::kOk) {
      EXPECT_EQ(inside.wire_bytes, frame.size());
    }
  }
}

TEST(Tunnel, SourcePortsSpreadFlowsAndKeepEachOnOne) {
  const Bytes frame = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Build();
  const Tunnel tunnel = Sample(TunnelKind::kVxlan, Layer3::kIpv4);
  Rng rng(5, "flow hashes");
  std::map<std::uint16_t, int> flows;
  for (int flow = 0; flow < 2000; ++flow) {
    const std::uint64_t hash = rng.Next64();
    const Dissection first = TunnelDissectionOf(Wrapped(tunnel, frame, hash));
    EXPECT_EQ(first.source_port, TunnelDissectionOf(Wrapped(tunnel, frame, hash)).source_port);
    EXPECT_GE(first.source_port, 49152);
    ++flows[first.source_port];
  }
  // 2000 balls in 16384 bins leave 2000 (1 - 2000/32768 + ...) = 1882 bins used; sd below 11.
  EXPECT_GT(flows.size(), 1830u);
}

TEST(Tunnel, MtuIsOfTheOuterIpPacket) {
  for (const Layer3 l3 : {Layer3::kIpv4, Layer3::kIpv6}) {
    const Tunnel tunnel = Sample(TunnelKind::kGeneve, l3);
    const auto overhead = static_cast<std::uint32_t>(OuterBytes(tunnel, 24) - 14);
    EXPECT_EQ(overhead, l3 == Layer3::kIpv4 ? 60u : 80u);
    EXPECT_TRUE(Fits(tunnel, 1500 - overhead, 24));
    EXPECT_FALSE(Fits(tunnel, 1501 - overhead, 24));
  }
}

TEST(Tunnel, RefusesImpossibleOnes) {
  const auto refusal = [](const auto& change) {
    Tunnel tunnel = Sample(TunnelKind::kVxlan, Layer3::kIpv6);
    change(tunnel);
    try {
      CheckTunnel(tunnel, "tunnel 1");
    } catch (const Refusal& refused) {
      return std::string(refused.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(refusal([](Tunnel&) {}), "none");
  EXPECT_EQ(refusal([](Tunnel& t) { t.vni = 1 << 24; }), "tunnel 1: vni is 16777216, allowed: 0..16777215");
  EXPECT_EQ(refusal([](Tunnel& t) { t.l3 = Layer3::kArp; }), "tunnel 1: l3 is 1, allowed: IPv4, IPv6");
  EXPECT_EQ(refusal([](Tunnel& t) { t.ttl = 0; }), "tunnel 1: ttl is 0, allowed: 1..255");
  EXPECT_EQ(refusal([](Tunnel& t) { t.dscp = 64; }), "tunnel 1: dscp is 64, allowed: 0..63");
  EXPECT_EQ(refusal([](Tunnel& t) { t.mtu = 1279; }), "tunnel 1: mtu is 1279, allowed: 1280..65535");
}

TEST(Tunnel, OptionsAreFoundByClassAndType) {
  Bytes options = {0x01, 0x00, 5, 0};
  options.insert(options.end(), kOption.begin(), kOption.end());
  EXPECT_EQ(FindOption(View(options), 0xfff0, 0x11).size, 8u);
  EXPECT_EQ(FindOption(View(options), 0xfff0, 0x11).data, options.data() + 8);
  EXPECT_EQ(FindOption(View(options), 0xfff0, 0x12).data, nullptr);
  EXPECT_NE(FindOption(View(options), 0x0100, 5).data, nullptr);
  options.resize(options.size() - 4);
  EXPECT_EQ(FindOption(View(options), 0xfff0, 0x11).data, nullptr);
}

}  // namespace
}  // namespace foreflow::wire
