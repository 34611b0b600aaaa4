// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/datagram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "models/wire/packet_builder.h"

namespace foreflow::wire {
namespace {

using Raw = std::vector<std::uint8_t>;

const DatagramEnd kOwn = {{2, 0, 0, 0, 0, 1}, {10, 0, 0, 1}, 6900};
const DatagramEnd kPeer = {{2, 0, 0, 0, 0, 2}, {10, 0, 0, 2}, 50'000};
constexpr std::size_t kUdpChecksum = kDatagramHeaderBytes - 2;

// To us from the peer.
PacketBuilder ToUs() {
  PacketBuilder packet;
  packet.Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01").Ipv4("10.0.0.2", "10.0.0.1").Identification(0);
  return packet;
}

DatagramStatus StatusOf(const Raw& frame, Datagram& datagram) {
  Work work;
  return ReadDatagram(kOwn, {frame.data(), frame.size()}, datagram, work);
}
DatagramStatus StatusOf(const Raw& frame) {
  Datagram datagram;
  return StatusOf(frame, datagram);
}

TEST(Datagram, IsWrittenAsThePacketBuilderDoes) {
  for (std::uint8_t ecn = 0; ecn < 4; ++ecn) {
    Raw expected = ToUs().Ecn(ecn).DontFragment().Udp(kPeer.port, kOwn.port).Payload(300).Build();
    expected[kUdpChecksum] = expected[kUdpChecksum + 1] = 0;
    Raw frame(expected);
    std::fill_n(frame.begin(), kDatagramHeaderBytes, std::uint8_t{0xee});
    Work work;
    WriteDatagram(kPeer, kOwn, ecn, 300, frame.data(), work);
    EXPECT_EQ(frame, expected);
    Datagram datagram;
    ASSERT_EQ(StatusOf(frame, datagram), DatagramStatus::kDatagram);
    EXPECT_EQ(datagram.offset, kDatagramHeaderBytes);
    EXPECT_EQ(datagram.size, 300u);
    EXPECT_EQ(datagram.ecn, ecn);
    EXPECT_EQ(datagram.from.mac, kPeer.mac);
    EXPECT_EQ(datagram.from.address, kPeer.address);
    EXPECT_EQ(datagram.from.port, kPeer.port);
  }
}

TEST(Datagram, OfOtherStacksIsReadToo) {
  Datagram datagram;
  const Raw with_options = ToUs().Ipv4Options(3).Udp(1, kOwn.port).Payload(20).Build();
  EXPECT_EQ(StatusOf(with_options, datagram), DatagramStatus::kDatagram);
  EXPECT_EQ(datagram.offset, kDatagramHeaderBytes + 12);
  const Raw padded = ToUs().Udp(1, kOwn.port).Payload(4).PadTo(60).Build();
  EXPECT_EQ(StatusOf(padded, datagram), DatagramStatus::kDatagram);
  EXPECT_EQ(datagram.size, 4u);
  const Raw empty = ToUs().Udp(1, kOwn.port).Build();
  EXPECT_EQ(StatusOf(empty, datagram), DatagramStatus::kDatagram);
  EXPECT_EQ(datagram.size, 0u);
}

TEST(Datagram, AnyChangedByteOfHeadersIsNotWhatItWas) {
  const Raw frame = ToUs().DontFragment().Udp(kPeer.port, kOwn.port).Payload(30).Build();
  for (std::size_t at = 0; at < frame.size(); ++at) {
    const bool is_source_mac = at >= 6 && at < 12;  // nobody checks it
    Raw changed = frame;
    changed[at] ^= 0x41;
    EXPECT_EQ(StatusOf(changed) == DatagramStatus::kDatagram, is_source_mac) << "byte " << at;
  }
  for (std::size_t size = 0; size < frame.size(); ++size) {
    EXPECT_NE(StatusOf(Raw(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size))),
              DatagramStatus::kDatagram);
  }
}

TEST(Datagram, WhatIsNotForUsSaysWhy) {
  const auto to = [](const char* mac, const char* address) {
    PacketBuilder packet;
    packet.Ethernet("02:00:00:00:00:02", mac).Ipv4("10.0.0.2", address);
    return packet;
  };
  EXPECT_EQ(StatusOf(to("02:00:00:00:00:03", "10.0.0.1").Udp(1, kOwn.port).Build()), DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(to("02:00:00:00:00:01", "10.0.0.3").Udp(1, kOwn.port).Build()), DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(ToUs().Udp(1, 6901).Build()), DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(ToUs().Tcp(1, kOwn.port).Build()), DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(PacketBuilder()
                         .Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
                         .Ipv6()
                         .Udp(1, kOwn.port)
                         .Build()),
            DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(PacketBuilder()
                         .Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
                         .Vlan(7)
                         .Ipv4("10.0.0.2", "10.0.0.1")
                         .Udp(1, kOwn.port)
                         .Build()),
            DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(ToUs().Fragment(0, true).Udp(1, kOwn.port).Payload(40).Build()),
            DatagramStatus::kFragment);
  EXPECT_EQ(StatusOf(ToUs().Fragment(5, false).Protocol(kProtocolUdp).Payload(40).Build()),
            DatagramStatus::kFragment);
  EXPECT_EQ(StatusOf(ToUs().Udp(1, kOwn.port).UdpLength(7).Payload(40).Build()), DatagramStatus::kMalformed);
  EXPECT_EQ(StatusOf(ToUs().Udp(1, kOwn.port).UdpLength(60).Payload(40).Build()), DatagramStatus::kMalformed);
  Raw wrong_sum = ToUs().Udp(1, kOwn.port).Payload(40).Build();
  wrong_sum.back() ^= 1;
  EXPECT_EQ(StatusOf(wrong_sum), DatagramStatus::kBadChecksum);
  EXPECT_EQ(StatusOf({}), DatagramStatus::kMalformed);
}

TEST(Datagram, ArpIsAnsweredForTheOwnAddressAlone) {
  const auto asked = [](const char* target) {
    return PacketBuilder()
        .Ethernet("02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff")
        .Arp(kArpRequest, "10.0.0.2", target)
        .PadTo(60)
        .Build();
  };
  Raw frame = asked("10.0.0.1");
  ASSERT_EQ(StatusOf(frame), DatagramStatus::kAddressRequest);
  AnswerArp(kOwn, {frame.data(), frame.size()});
  EthernetHeader ethernet;
  ArpHeader header;
  ArpAddresses addresses;
  const std::uint8_t* const end = frame.data() + frame.size();
  ASSERT_NE(Decode(Decode(Decode(frame.data(), end, ethernet), end, header), end, addresses), nullptr);
  EXPECT_EQ(ethernet.source, kOwn.mac);
  EXPECT_EQ(ethernet.destination, kPeer.mac);
  EXPECT_EQ(header.operation, kArpReply);
  EXPECT_EQ(addresses.sender_mac, kOwn.mac);
  EXPECT_EQ(addresses.sender, kOwn.address);
  EXPECT_EQ(addresses.target_mac, kPeer.mac);
  EXPECT_EQ(addresses.target, kPeer.address);

  EXPECT_EQ(StatusOf(asked("10.0.0.3")), DatagramStatus::kOther);
  EXPECT_EQ(StatusOf(frame), DatagramStatus::kOther) << "an answer";
  const Raw whole = asked("10.0.0.1");
  for (std::size_t size = 0; size < EthernetHeader::kBytes + ArpHeader::kBytes + ArpAddresses::kBytes;
       ++size) {
    EXPECT_NE(StatusOf(Raw(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))),
              DatagramStatus::kAddressRequest);
  }
}

TEST(Datagram, EveryStatusHasAName) {
  for (std::size_t i = 0; i < kDatagramStatuses; ++i)
    EXPECT_NE(Name(static_cast<DatagramStatus>(i)), nullptr);
  EXPECT_EQ(Name(static_cast<DatagramStatus>(kDatagramStatuses)), nullptr);
}

}  // namespace
}  // namespace foreflow::wire
