// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/packet_builder.h"

#include <gtest/gtest.h>

#include "models/base/refusal.h"

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

}  // namespace
}  // namespace foreflow::wire
