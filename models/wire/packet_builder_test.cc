// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/packet_builder.h"

#include <gtest/gtest.h>

#include "models/base/refusal.h"
#include "models/wire/dissect.h"

namespace foreflow::wire {
namespace {

TEST(PacketBuilder, RefusesWhatMakesNoPacket) {
  EXPECT_THROW(PacketBuilder().Ipv4("10.0.0"), Refusal);
  EXPECT_THROW(PacketBuilder().Ethernet("02:00"), Refusal);
  EXPECT_THROW(PacketBuilder().Ethernet().Udp(1, 2).Ttl(3), Refusal);
  EXPECT_THROW(PacketBuilder().Ipv6().Ipv4Options(1), Refusal);
  EXPECT_THROW(PacketBuilder().Ipv4().Ipv4Options(11), Refusal);
  EXPECT_THROW(PacketBuilder().Ipv6().HopByHop(0), Refusal);
  EXPECT_THROW(PacketBuilder().Ipv6().DestinationOptions(33), Refusal);
  TcpOptions options;
  options.has_timestamps = true;
  options.sack_blocks = 4;
  EXPECT_THROW(PacketBuilder().Ipv4().Tcp(1, 2).Options(options).Build(), Refusal);
}

TEST(PacketBuilder, ModifiersBelongToTheLastHeader) {
  const auto bytes = PacketBuilder().Ipv4().Ttl(1).Ipv4().Ttl(2).Build();
  EXPECT_EQ(bytes[8], 1);
  EXPECT_EQ(bytes[28], 2);
}

TEST(PacketBuilder, TheReadmesExample) {
  const std::uint32_t wire_bytes = 14 + 20 + 20 + 100;
  const auto bytes =
      PacketBuilder().Ethernet().Ipv4("10.0.0.1", "10.0.0.2").Dscp(46).Tcp(40000, 443).Payload(100).Build();
  Work work;
  const Dissection packet = Dissect(Link::kEthernet, {bytes.data(), bytes.size()}, wire_bytes, work);
  EXPECT_EQ(packet.dscp, 46);
  EXPECT_EQ(packet.payload_bytes, 100u);
}

}  // namespace
}  // namespace foreflow::wire
