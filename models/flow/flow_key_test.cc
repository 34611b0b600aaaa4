// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/flow_key.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <utility>

namespace foreflow::flow {
namespace {

using wire::Dissection;
using wire::Layer3;

Dissection Ip(Layer3 l3, std::uint8_t protocol) {
  Dissection packet;
  packet.l3 = l3;
  packet.ip_protocol = protocol;
  packet.ethertype = l3 == Layer3::kIpv4 ? 0x0800 : 0x86dd;
  packet.source_mac = {2, 0, 0, 0, 0, 1};
  packet.destination_mac = {2, 0, 0, 0, 0, 2};
  packet.source_address = {10, 0, 0, 1};
  packet.destination_address = {10, 0, 0, 2};
  packet.source_port = 40000;
  packet.destination_port = 80;
  return packet;
}

// The packet that answers: endpoints exchanged.
Dissection Answer(Dissection packet, bool ports) {
  std::swap(packet.source_mac, packet.destination_mac);
  std::swap(packet.source_address, packet.destination_address);
  if (ports) std::swap(packet.source_port, packet.destination_port);
  return packet;
}

TEST(KeyOf, TakesAddressesAndPortsFromIp) {
  const FlowKey key = KeyOf(Ip(Layer3::kIpv4, 6), 9);
  EXPECT_EQ(key.source_address, (std::array<std::uint8_t, 16>{10, 0, 0, 1}));
  EXPECT_EQ(key.destination_address, (std::array<std::uint8_t, 16>{10, 0, 0, 2}));
  EXPECT_EQ(key.source_port, 40000);
  EXPECT_EQ(key.destination_port, 80);
  EXPECT_EQ(key.vm, 9);
  EXPECT_EQ(key.ip_protocol, 6);
  EXPECT_EQ(key.l3, static_cast<std::uint8_t>(Layer3::kIpv4));
}

TEST(KeyOf, TakesMacsAndEthertypeWithoutIp) {
  Dissection packet = Ip(Layer3::kArp, 0);
  packet.ethertype = 0x0806;
  const FlowKey key = KeyOf(packet, 9);
  EXPECT_EQ(key.source_address, (std::array<std::uint8_t, 16>{2, 0, 0, 0, 0, 1}));
  EXPECT_EQ(key.destination_address, (std::array<std::uint8_t, 16>{2, 0, 0, 0, 0, 2}));
  EXPECT_EQ(key.source_port, 0x0806);
  EXPECT_EQ(key.destination_port, 0);
}

RC_GTEST_PROP(Canonical, IsTheSameForBothDirections, ()) {
  Dissection packet = Ip(*rc::gen::element(Layer3::kNone, Layer3::kArp, Layer3::kIpv4, Layer3::kIpv6),
                         *rc::gen::element<std::uint8_t>(6, 17, 132, 0));
  // Few values, so that endpoints are often equal in part.
  for (auto* address : {&packet.source_address, &packet.destination_address}) {
    (*address)[3] = *rc::gen::inRange<std::uint8_t>(0, 3);
    (*address)[15] = *rc::gen::inRange<std::uint8_t>(0, 3);
  }
  packet.source_port = *rc::gen::inRange<std::uint16_t>(0, 3);
  packet.destination_port = *rc::gen::inRange<std::uint16_t>(0, 3);
  const FlowKey key = KeyOf(packet, *rc::gen::arbitrary<VmId>());
  const FlowKey answer = KeyOf(Answer(packet, true), *rc::gen::arbitrary<VmId>());
  RC_ASSERT(Canonical(key) == Canonical(answer));
  // One of the two directions, and nothing else.
  FlowKey here = key;
  here.vm = 0;
  FlowKey there = answer;
  there.vm = 0;
  RC_ASSERT(Canonical(key) == here || Canonical(key) == there);
  RC_ASSERT(Canonical(Canonical(key)) == Canonical(key));
}

TEST(Canonical, PairsIcmpRepliesWithTheirRequests) {
  struct Row {
    std::uint8_t protocol;
    unsigned request, reply;
    bool same;
  };
  const Row kRows[] = {{1, 8, 0, true},   {1, 13, 14, true},  {58, 128, 129, true},
                       {1, 3, 11, false}, {1, 8, 129, false}, {58, 8, 0, false}};
  for (const Row& row : kRows) {
    Dissection request = Ip(row.protocol == 1 ? Layer3::kIpv4 : Layer3::kIpv6, row.protocol);
    request.source_port = 77;  // identifier, the same in both directions
    request.destination_port = static_cast<std::uint16_t>(row.request << 8);
    Dissection reply = Answer(request, false);
    reply.destination_port = static_cast<std::uint16_t>(row.reply << 8);
    EXPECT_EQ(Canonical(KeyOf(request, 1)) == Canonical(KeyOf(reply, 2)), row.same)
        << "protocol " << int{row.protocol} << " types " << row.request << ", " << row.reply;
    Dissection other = reply;
    other.source_port = 78;
    EXPECT_NE(Canonical(KeyOf(request, 1)), Canonical(KeyOf(other, 2)));
  }
}

}  // namespace
}  // namespace foreflow::flow
