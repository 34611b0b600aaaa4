// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/packet_change.h"

#include <gtest/gtest.h>

#include <vector>

#include "models/base/refusal.h"
#include "models/wire/packet_builder.h"

namespace foreflow::rules {
namespace {

using Bytes = std::vector<std::uint8_t>;
using wire::PacketBuilder;

struct Result {
  ChangeStatus status;
  Bytes bytes;
  std::uint32_t wire_bytes;
};

Result Applied(const PacketChange& change, const Bytes& packet, std::uint32_t missing = 0,
               wire::Link link = wire::Link::kEthernet) {
  const std::size_t headroom = Headroom(change);
  Bytes room(headroom);
  room.insert(room.end(), packet.begin(), packet.end());
  Work work;
  const auto wire_bytes = static_cast<std::uint32_t>(packet.size() + missing);
  const wire::Dissection dissected = wire::Dissect(link, {packet.data(), packet.size()}, wire_bytes, work);
  const Changed changed =
      Apply(change, link, {room.data() + headroom, packet.size()}, wire_bytes, dissected, 5, {});
  EXPECT_GE(changed.captured.data, room.data());
  EXPECT_LE(changed.captured.end(), room.data() + room.size());
  return {changed.status, Bytes(changed.captured.begin(), changed.captured.end()), changed.wire_bytes};
}

wire::Tunnel ATunnel() {
  wire::Tunnel tunnel;
  tunnel.kind = wire::TunnelKind::kVxlan;
  tunnel.vni = 77;
  tunnel.source_address = {192, 0, 2, 1};
  tunnel.destination_address = {192, 0, 2, 2};
  return tunnel;
}

TEST(PacketChange, NothingAskedForChangesNothing) {
  const Bytes packet = PacketBuilder().Ethernet().Ipv4().Tcp(1, 2).Payload(30).Build();
  EXPECT_EQ(Applied({}, packet).bytes, packet);
}

TEST(PacketChange, RewritesTagsAndWrapsInThatOrder) {
  const Bytes packet = PacketBuilder().Ethernet().Vlan(5).Ipv4().Ttl(9).Tcp(1, 2).Payload(30).Build();
  PacketChange change;
  change.rewrite.decrement_ttl = true;
  change.rewrite.destination_port = 8080;
  change.pop_vlan = true;
  change.push_vlan = PacketChange::Vlan{42, 6};
  const Bytes inside = PacketBuilder().Ethernet().Vlan(42, 6).Ipv4().Ttl(8).Tcp(1, 8080).Payload(30).Build();
  Result result = Applied(change, packet);
  EXPECT_EQ(result.bytes, inside);
  EXPECT_EQ(result.wire_bytes, inside.size());
  change.tunnel = ATunnel();
  result = Applied(change, packet);
  Work work;
  const auto size = static_cast<std::uint32_t>(result.bytes.size());
  EXPECT_EQ(result.wire_bytes, size);
  const BytesView outer{result.bytes.data(), size};
  wire::Encapsulated found;
  ASSERT_EQ(
      wire::Decapsulate(wire::Dissect(wire::Link::kEthernet, outer, size, work), outer, size, found, work),
      wire::TunnelStatus::kOk);
  EXPECT_EQ(found.vni, 77u);
  EXPECT_EQ(Bytes(found.frame.begin(), found.frame.end()), inside);
}

TEST(PacketChange, PoppingWithoutATagChangesNothing) {
  const Bytes packet = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Build();
  PacketChange change;
  change.pop_vlan = true;
  const Result result = Applied(change, packet);
  EXPECT_EQ(result.status, ChangeStatus::kOk);
  EXPECT_EQ(result.bytes, packet);
}

TEST(PacketChange, SaysWhyAPacketCannotLeave) {
  PacketChange ttl;
  ttl.rewrite.decrement_ttl = true;
  EXPECT_EQ(Applied(ttl, PacketBuilder().Ethernet().Ipv4().Ttl(1).Udp(1, 2).Build()).status,
            ChangeStatus::kExpired);
  PacketChange tunnel;
  tunnel.tunnel = ATunnel();
  const Bytes longest = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Payload(1500 - 36 - 14 - 28).Build();
  EXPECT_EQ(Applied(tunnel, longest).status, ChangeStatus::kOk);
  EXPECT_EQ(Applied(tunnel, longest, 1).status, ChangeStatus::kTooLong);
  EXPECT_EQ(Applied(tunnel, PacketBuilder().Ipv4().Udp(1, 2).Build(), 0, wire::Link::kRawIp).status,
            ChangeStatus::kNoFrame);
}

TEST(PacketChange, ACutPacketStaysCut) {
  const Bytes whole = PacketBuilder().Ethernet().Ipv4().Udp(1, 2).Payload(100).Build();
  PacketChange change;
  change.tunnel = ATunnel();
  for (std::size_t size = wire::EthernetHeader::kBytes; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const Result result = Applied(change, cut, static_cast<std::uint32_t>(whole.size() - size));
    EXPECT_EQ(result.bytes.size(), size + 50);
    EXPECT_EQ(result.wire_bytes, whole.size() + 50);
  }
}

TEST(PacketChange, RefusesImpossibleOnes) {
  PacketChange change;
  change.push_vlan = PacketChange::Vlan{0, 0};
  EXPECT_THROW(CheckChange(change, "change 0"), Refusal);
  change.push_vlan = PacketChange::Vlan{4095, 0};
  EXPECT_THROW(CheckChange(change, "change 0"), Refusal);
  change.push_vlan = PacketChange::Vlan{4094, 8};
  EXPECT_THROW(CheckChange(change, "change 0"), Refusal);
  change.push_vlan = PacketChange::Vlan{4094, 7};
  CheckChange(change, "change 0");
  change.tunnel = ATunnel();
  change.tunnel->vni = 1 << 24;
  EXPECT_THROW(CheckChange(change, "change 0"), Refusal);
}

}  // namespace
}  // namespace foreflow::rules
