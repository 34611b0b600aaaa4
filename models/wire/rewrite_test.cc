// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/rewrite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/wire/address_text.h"
#include "models/wire/packet_builder.h"
#include "models/wire/tcp.h"

namespace foreflow::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A packet as a list of its fields, built by the room's builder with checksums over everything: what a
// rewritten packet is compared with.
struct Fields {
  bool is_ipv6 = false;
  bool is_tcp = false;
  bool has_vlan = false;
  std::string source_mac = "02:00:00:00:00:01", destination_mac = "02:00:00:00:00:02";
  std::string source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t dscp = 0, ecn = 0, ttl = 64;
  std::size_t payload = 0;

  Bytes Build() const {
    PacketBuilder builder;
    builder.Ethernet(source_mac, destination_mac);
    if (has_vlan) builder.Vlan(99, 3);
    if (is_ipv6) {
      builder.Ipv6(source, destination);
    } else {
      builder.Ipv4(source, destination).Identification(7);
    }
    builder.Dscp(dscp).Ecn(ecn).Ttl(ttl);
    if (is_tcp) {
      builder.Tcp(source_port, destination_port).Flags(kTcpAck);
    } else {
      builder.Udp(source_port, destination_port);
    }
    return builder.Payload(payload).Build();
  }
};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t Below(std::uint64_t bound) { return engine_() % bound; }
  bool Coin() { return Below(2) == 0; }
  std::uint16_t Port() { return static_cast<std::uint16_t>(Below(65536)); }
  std::array<std::uint8_t, 16> Address(bool is_ipv6) {
    std::array<std::uint8_t, 16> address{};
    for (std::size_t i = 0; i < (is_ipv6 ? 16u : 4u); ++i) address[i] = static_cast<std::uint8_t>(Below(256));
    return address;
  }
  Mac RandomMac() {
    Mac mac;
    for (auto& byte : mac) byte = static_cast<std::uint8_t>(Below(256));
    return mac;
  }

 private:
  std::mt19937_64 engine_;
};

std::string TextOf(const std::array<std::uint8_t, 16>& address, bool is_ipv6) {
  if (is_ipv6) return Text(Ipv6Address(address));
  return Text(Ipv4Address{address[0], address[1], address[2], address[3]});
}

Dissection DissectionOf(const Bytes& frame) {
  Work work;
  return Dissect(Link::kEthernet, {frame.data(), frame.size()}, static_cast<std::uint32_t>(frame.size()),
                 work);
}

void ExpectSame(const Dissection& a, const Dissection& b) {
  EXPECT_EQ(a.source_address, b.source_address);
  EXPECT_EQ(a.destination_address, b.destination_address);
  EXPECT_EQ(a.source_mac, b.source_mac);
  EXPECT_EQ(a.destination_mac, b.destination_mac);
  EXPECT_EQ(a.source_port, b.source_port);
  EXPECT_EQ(a.destination_port, b.destination_port);
  EXPECT_EQ(a.dscp, b.dscp);
  EXPECT_EQ(a.ecn, b.ecn);
  EXPECT_EQ(a.ttl, b.ttl);
}

TEST(Rewrite, GivesThePacketThatIsBuiltWithTheNewFields) {
  constexpr std::uint64_t kSeed = 1624;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Dice dice(kSeed);
  for (int i = 0; i < 30'000; ++i) {
    Fields fields;
    fields.is_ipv6 = dice.Coin();
    fields.is_tcp = dice.Coin();
    fields.has_vlan = dice.Coin();
    fields.source = TextOf(dice.Address(fields.is_ipv6), fields.is_ipv6);
    fields.destination = TextOf(dice.Address(fields.is_ipv6), fields.is_ipv6);
    fields.source_port = dice.Port();
    fields.destination_port = dice.Port();
    fields.dscp = static_cast<std::uint8_t>(dice.Below(64));
    fields.ecn = static_cast<std::uint8_t>(dice.Below(4));
    fields.ttl = static_cast<std::uint8_t>(2 + dice.Below(254));
    fields.payload = dice.Below(40);
    Bytes frame = fields.Build();
    Dissection packet = DissectionOf(frame);

    HeaderRewrite rewrite;
    rewrite.l3 = fields.is_ipv6 ? Layer3::kIpv6 : Layer3::kIpv4;
    if (dice.Coin()) {
      rewrite.source_mac = dice.RandomMac();
      fields.source_mac = Text(*rewrite.source_mac);
    }
    if (dice.Coin()) {
      rewrite.destination_mac = dice.RandomMac();
      fields.destination_mac = Text(*rewrite.destination_mac);
    }
    if (dice.Coin()) {
      rewrite.source_address = dice.Address(fields.is_ipv6);
      fields.source = TextOf(*rewrite.source_address, fields.is_ipv6);
    }
    if (dice.Coin()) {
      rewrite.destination_address = dice.Address(fields.is_ipv6);
      fields.destination = TextOf(*rewrite.destination_address, fields.is_ipv6);
    }
    if (dice.Coin()) fields.source_port = *(rewrite.source_port = dice.Port());
    if (dice.Coin()) fields.destination_port = *(rewrite.destination_port = dice.Port());
    if (dice.Coin()) fields.dscp = *(rewrite.dscp = static_cast<std::uint8_t>(dice.Below(64)));
    rewrite.decrement_ttl = dice.Coin();
    if (rewrite.decrement_ttl) --fields.ttl;

    Work work;
    ASSERT_EQ(Rewrite(rewrite, Link::kEthernet, {frame.data(), frame.size()}, packet, work),
              RewriteStatus::kOk);
    if (dice.Coin()) {
      fields.ecn = static_cast<std::uint8_t>(dice.Below(4));
      SetEcn(fields.ecn, {frame.data(), frame.size()}, packet);
    }
    ASSERT_EQ(frame, fields.Build()) << "packet " << i;
    ExpectSame(packet, DissectionOf(frame));
  }
}

TEST(Rewrite, AnExpiredPacketStaysAsItIs) {
  Bytes frame = PacketBuilder().Ethernet().Ipv4().Ttl(1).Udp(1, 2).Build();
  const Bytes before = frame;
  Dissection packet = DissectionOf(frame);
  HeaderRewrite rewrite;
  rewrite.decrement_ttl = true;
  rewrite.dscp = 5;
  Work work;
  EXPECT_EQ(Rewrite(rewrite, Link::kEthernet, {frame.data(), frame.size()}, packet, work),
            RewriteStatus::kExpired);
  EXPECT_EQ(frame, before);
}

TEST(Rewrite, AUdpChecksumOfNoneStaysNone) {
  Bytes frame = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Payload(4).Build();
  Dissection packet = DissectionOf(frame);
  frame[packet.l4_offset + 6u] = frame[packet.l4_offset + 7u] = 0;
  HeaderRewrite rewrite;
  rewrite.destination_port = 77;
  Work work;
  Rewrite(rewrite, Link::kEthernet, {frame.data(), frame.size()}, packet, work);
  EXPECT_EQ(frame[packet.l4_offset + 6u] | frame[packet.l4_offset + 7u], 0);
  EXPECT_EQ(DissectionOf(frame).destination_port, 77);
}

// A first fragment holds the checksum of the whole packet, later ones none; ports of later ones do not exist.
TEST(Rewrite, FragmentsChangeAlike) {
  HeaderRewrite rewrite;
  rewrite.l3 = Layer3::kIpv4;
  rewrite.source_address = {{192, 0, 2, 9}};
  rewrite.source_port = 5;
  Work work;
  Bytes later =
      PacketBuilder().Ethernet().Ipv4().Fragment(3, false).Protocol(kProtocolUdp).Payload(24).Build();
  const Bytes expected = PacketBuilder()
                             .Ethernet()
                             .Ipv4("192.0.2.9")
                             .Fragment(3, false)
                             .Protocol(kProtocolUdp)
                             .Payload(24)
                             .Build();
  Dissection packet = DissectionOf(later);
  Rewrite(rewrite, Link::kEthernet, {later.data(), later.size()}, packet, work);
  EXPECT_EQ(later, expected);
}

TEST(Rewrite, TouchesNothingBehindWhatWasCaptured) {
  const Bytes whole = PacketBuilder().Ethernet().Ipv6().Tcp(1, 2).Payload(4).Build();
  HeaderRewrite rewrite;
  rewrite.l3 = Layer3::kIpv6;
  rewrite.source_address = {{0xfd, 1}};
  rewrite.destination_port = 9;
  rewrite.dscp = 3;
  rewrite.decrement_ttl = true;
  rewrite.source_mac = Mac{1};
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    Bytes frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    Work work;
    Dissection packet =
        Dissect(Link::kEthernet, {frame.data(), size}, static_cast<std::uint32_t>(whole.size()), work);
    Rewrite(rewrite, Link::kEthernet, {frame.data(), size}, packet, work);  // the sanitizer watches
  }
}

TEST(Rewrite, VlanTagsComeAndGo) {
  const Bytes plain = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Payload(9).Build();
  const Bytes tagged = PacketBuilder().Ethernet().Vlan(42, 5).Ipv4().Udp(1, 2).Payload(9).Build();
  Bytes frame(VlanTag::kBytes + plain.size());
  std::copy(plain.begin(), plain.end(), frame.begin() + VlanTag::kBytes);
  PushVlan(42, 5, frame.data() + VlanTag::kBytes);
  EXPECT_EQ(frame, tagged);
  ASSERT_TRUE(PopVlan({frame.data(), frame.size()}));
  EXPECT_EQ(Bytes(frame.begin() + VlanTag::kBytes, frame.end()), plain);
  EXPECT_FALSE(PopVlan({frame.data() + VlanTag::kBytes, plain.size()}));
  EXPECT_FALSE(PopVlan({frame.data(), 17}));
}

TEST(Rewrite, RefusesImpossibleOnes) {
  HeaderRewrite rewrite;
  rewrite.source_address = {{1}};
  EXPECT_THROW(CheckRewrite(rewrite, "rule 1"), Refusal);
  rewrite.l3 = Layer3::kIpv4;
  CheckRewrite(rewrite, "rule 1");
  rewrite.dscp = 64;
  EXPECT_THROW(CheckRewrite(rewrite, "rule 1"), Refusal);
}

}  // namespace
}  // namespace foreflow::wire
