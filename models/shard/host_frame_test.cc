// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/host_frame.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "models/wire/checksum.h"
#include "models/wire/packet_builder.h"

namespace foreflow::shard {
namespace {

using Raw = std::vector<std::uint8_t>;
using wire::PacketBuilder;

BytesView RawView(const Raw& raw) { return {raw.data(), raw.size()}; }
MutableBytes Mutable(Raw& raw) { return {raw.data(), raw.size()}; }

Raw Packet(std::uint8_t ecn, std::uint16_t port) {
  return PacketBuilder().Ethernet().Ipv4("10.0.0.1", "10.0.0.2").Ecn(ecn).Udp(port, 53).Payload(100).Build();
}

TEST(HostFrame, TellsTheMarkAndTheFlow) {
  Work work;
  for (std::uint8_t ecn = 0; ecn < 4; ++ecn)
    EXPECT_EQ(ReadHostFrame(RawView(Packet(ecn, 4000)), work).ecn, ecn);
  EXPECT_EQ(ReadHostFrame(RawView(Packet(0, 4000)), work).flow,
            ReadHostFrame(RawView(Packet(3, 4000)), work).flow);
  std::set<std::uint16_t> flows;
  for (std::uint16_t port = 4000; port < 4100; ++port)
    flows.insert(ReadHostFrame(RawView(Packet(0, port)), work).flow);
  EXPECT_GT(flows.size(), 90u);
  EXPECT_GT(work[WorkItem::kHeader], 0u);
  EXPECT_EQ(ReadHostFrame({}, work).ecn, 0);
}

TEST(HostFrame, TakesOverMarksAsRfc6040Wants) {
  Work work;
  // By inner and outer: the inner packet's afterwards; 4: dropped.
  const unsigned wanted[4][4] = {{0, 0, 0, 4}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  for (std::uint8_t inner = 0; inner < 4; ++inner) {
    for (std::uint8_t outer = 0; outer < 4; ++outer) {
      SCOPED_TRACE(inner * 10 + outer);
      Raw frame = Packet(inner, 4000);
      const bool is_kept = TakeOverEcn(outer, Mutable(frame), work);
      ASSERT_EQ(is_kept, wanted[inner][outer] != 4);
      if (!is_kept) continue;
      EXPECT_EQ(frame[15] & 3u, wanted[inner][outer]);
      EXPECT_EQ(wire::InternetChecksum({frame.data() + 14, 20}), 0);
    }
  }
  Raw arp = PacketBuilder().Ethernet().Payload(46).Build();
  const Raw before = arp;
  EXPECT_TRUE(TakeOverEcn(3, Mutable(arp), work));
  EXPECT_EQ(arp, before);
}

TEST(HostFrame, SourcePortsAreDynamicOnes) {
  EXPECT_EQ(SourcePortOf(0), 49'152);
  EXPECT_EQ(SourcePortOf(0xffff), 65'535);
  EXPECT_EQ(SourcePortOf(0x4001), 49'153);
}

}  // namespace
}  // namespace foreflow::shard
