// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "models/wire/dissect.h"
#include "models/wire/packet_builder.h"

namespace foreflow::wire {
namespace {

TcpOptions SynOptions() {
  TcpOptions options;
  options.has_mss = true;
  options.mss = 1460;
  options.sack_permitted = true;
  options.has_timestamps = true;
  options.timestamp_value = 0x01020304;
  options.has_window_scale = true;
  options.window_scale = 7;
  return options;
}

TcpOptions AckOptions() {
  TcpOptions options;
  options.has_timestamps = true;
  options.timestamp_value = 9;
  options.timestamp_echo = 8;
  options.sack_blocks = 2;
  options.sack[0] = {1000, 2000};
  options.sack[1] = {3000, 4000};
  return options;
}

// Every packet here has its line in vectors.txt, made by scapy from the expression that the builder prints.
const std::map<std::string, PacketBuilder>& Packets() {
  static const std::map<std::string, PacketBuilder> kPackets = {
      {"tcp_ack", PacketBuilder().Ethernet().Ipv4().Tcp(40000, 443).PadTo(60)},
      {"tcp_syn_options", PacketBuilder()
                              .Ethernet()
                              .Ipv4("192.168.1.9", "203.0.113.7")
                              .Dscp(46)
                              .Ecn(1)
                              .Ttl(3)
                              .DontFragment()
                              .Identification(0xbeef)
                              .Tcp(50123, 8443)
                              .Flags(kTcpSyn | kTcpEce | kTcpCwr)
                              .Sequence(0xfffffffe)
                              .Window(64240)
                              .Options(SynOptions())},
      {"tcp_sack_data", PacketBuilder()
                            .Ethernet()
                            .Ipv4()
                            .Tcp(443, 40000)
                            .Flags(kTcpAck | kTcpPsh)
                            .Sequence(77)
                            .Acknowledgement(0x80000001)
                            .Options(AckOptions())
                            .Payload(1000)},
      {"tcp_vlan_data", PacketBuilder().Ethernet().Vlan(42, 5).Ipv4().Tcp(1, 2).Payload(7)},
      {"udp_qinq", PacketBuilder().Ethernet().Qinq(100, 1).Vlan(4095).Ipv4().Udp(5000, 5001).Payload(18)},
      {"udp_multicast", PacketBuilder()
                            .Ethernet("02:00:00:00:00:01", "01:00:5e:01:02:03")
                            .Ipv4("10.0.0.1", "239.1.2.3")
                            .Udp(7, 8)},
      {"udp_broadcast_raw", PacketBuilder().Ipv4("0.0.0.0", "255.255.255.255").Udp(6800, 6700).Payload(3)},
      // A checksum that computes to 0 goes out as 0xffff.
      {"udp_checksum_zero",
       PacketBuilder().Ethernet().Ipv4("0.0.0.0", "0.0.0.0").Udp(0, 0xffc8).Payload({0, 18})},
      {"ipv4_options_icmp",
       PacketBuilder().Ethernet().Ipv4().Ipv4Options(3).Icmp(kIcmpEcho, 0, 0x12340001).Payload(56)},
      {"icmp_unreachable", PacketBuilder().Ethernet().Ipv4().Icmp(3, 1).Payload(28)},
      {"ipv4_first_fragment", PacketBuilder().Ethernet().Ipv4().Fragment(0, true).Udp(9, 10).Payload(1472)},
      {"ipv4_last_fragment",
       PacketBuilder().Ethernet().Ipv4().Fragment(185, false).Protocol(kProtocolUdp).Payload(33)},
      {"ipv4_other_protocol", PacketBuilder().Ethernet().Ipv4().Protocol(200).Payload(24)},
      {"arp_request", PacketBuilder()
                          .Ethernet("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff")
                          .Arp(kArpRequest, "10.0.0.1", "10.0.0.2")
                          .PadTo(60)},
      {"ipv6_tcp", PacketBuilder()
                       .Ethernet()
                       .Ipv6("2001:db8::1", "2001:db8::2")
                       .Dscp(10)
                       .Ecn(2)
                       .Ttl(255)
                       .Tcp(40000, 443)
                       .Flags(kTcpSyn)
                       .Options(SynOptions())},
      {"ipv6_udp_raw", PacketBuilder().Ipv6("fe80::1", "ff02::fb").Udp(5354, 5355).Payload(11)},
      {"ipv6_echo", PacketBuilder().Ethernet().Ipv6().Icmpv6(kIcmpv6Echo, 0, 0xabcd0007).Payload(8)},
      {"ipv6_router_solicitation", PacketBuilder()
                                       .Ethernet("02:00:00:00:00:01", "33:33:00:00:00:02")
                                       .Ipv6("fe80::1", "ff02::2")
                                       .Icmpv6(133)},
      {"ipv6_extensions", PacketBuilder()
                              .Ethernet()
                              .Ipv6()
                              .HopByHop()
                              .DestinationOptions(3)
                              .Routing()
                              .Authentication()
                              .DestinationOptions(32)
                              .Tcp(40000, 443)
                              .Payload(100)},
      {"ipv6_first_fragment", PacketBuilder()
                                  .Ethernet()
                                  .Ipv6()
                                  .HopByHop(2)
                                  .FragmentHeader(0, true, 0xdeadbeef)
                                  .Udp(9, 10)
                                  .Payload(1000)},
      {"ipv6_last_fragment", PacketBuilder()
                                 .Ethernet()
                                 .Ipv6()
                                 .FragmentHeader(126, false, 0xdeadbeef)
                                 .Protocol(kProtocolUdp)
                                 .Payload(9)},
      {"ipv6_atomic_fragment",
       PacketBuilder().Ethernet().Ipv6().FragmentHeader(0, false).Udp(9, 10).Payload(5)},
      {"ipv6_no_next", PacketBuilder().Ethernet().Ipv6()},
  };
  return kPackets;
}

using FieldTexts = std::map<std::string, std::string>;

// vectors.txt: "key value" lines, an empty line after each packet, # comments.
std::map<std::string, FieldTexts> Vectors() {
  std::ifstream file(FOREFLOW_SOURCE_DIR "/models/wire/vectors/vectors.txt");
  std::map<std::string, FieldTexts> vectors;
  FieldTexts fields;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() && !fields.empty()) {
      vectors[fields["name"]] = fields;
      fields.clear();
    } else if (!line.empty() && line[0] != '#') {
      const std::size_t space = line.find(' ');
      fields[line.substr(0, space)] = line.substr(space + 1);
    }
  }
  return vectors;
}

std::string Hex(const std::uint8_t* bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

std::vector<std::uint8_t> HexBytes(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

const std::map<std::string, Link> kLinks = {{"ethernet", Link::kEthernet},
                                            {"raw", Link::kRawIp},
                                            {"sll", Link::kLinuxSll},
                                            {"sll2", Link::kLinuxSll2},
                                            {"null", Link::kNull}};
constexpr const char* kLayer3[] = {"none", "arp", "ipv4", "ipv6"};
constexpr const char* kLayer4[] = {"none", "tcp", "udp", "icmp", "icmpv6", "other"};

// What the dissector says, in the words of vectors.txt.
FieldTexts Described(const Dissection& d) {
  FieldTexts fields;
  fields["l3"] = kLayer3[static_cast<std::size_t>(d.l3)];
  fields["l4"] = kLayer4[static_cast<std::size_t>(d.l4)];
  fields["source_mac"] = Hex(d.source_mac.data(), d.source_mac.size());
  fields["destination_mac"] = Hex(d.destination_mac.data(), d.destination_mac.size());
  fields["source_address"] = Hex(d.source_address.data(), d.source_address.size());
  fields["destination_address"] = Hex(d.destination_address.data(), d.destination_address.size());
  const std::map<std::string, std::uint64_t> numbers = {
      {"is_fragment", d.is_fragment},
      {"is_first_fragment", d.is_first_fragment},
      {"is_group_addressed", d.is_group_addressed},
      {"ip_protocol", d.ip_protocol},
      {"dscp", d.dscp},
      {"ecn", d.ecn},
      {"ttl", d.ttl},
      {"tcp_flags", d.tcp_flags},
      {"ethertype", d.ethertype},
      {"vlan", d.vlan},
      {"source_port", d.source_port},
      {"destination_port", d.destination_port},
      {"tcp_window", d.tcp_window},
      {"tcp_sequence", d.tcp_sequence},
      {"tcp_acknowledgement", d.tcp_acknowledgement},
      {"header_bytes", d.header_bytes},
      {"payload_bytes", d.payload_bytes},
  };
  for (const auto& [name, value] : numbers) fields[name] = std::to_string(value);
  return fields;
}

TEST(Vectors, DissectorSaysWhatScapySays) {
  const auto vectors = Vectors();
  ASSERT_GE(vectors.size(), Packets().size());
  for (const auto& [name, fields] : vectors) {
    SCOPED_TRACE(name);
    const std::vector<std::uint8_t> bytes = HexBytes(fields.at("hex"));
    Work work;
    const Dissection packet = Dissect(kLinks.at(fields.at("link")), {bytes.data(), bytes.size()},
                                      static_cast<std::uint32_t>(bytes.size()), work);
    EXPECT_EQ(packet.status, DissectStatus::kOk);
    EXPECT_EQ(packet.payload_offset, packet.header_bytes);
    for (const auto& [key, said] : Described(packet)) EXPECT_EQ(said, fields.at(key)) << key;
  }
}

TEST(Vectors, BuilderMakesWhatScapyMakes) {
  const auto vectors = Vectors();
  for (const auto& [name, packet] : Packets()) {
    SCOPED_TRACE(name + ": " + packet.Scapy());
    const auto vector = vectors.find(name);
    ASSERT_NE(vector, vectors.end()) << "add it to vectors/make_vectors.py";
    const std::vector<std::uint8_t> bytes = packet.Build();
    EXPECT_EQ(Hex(bytes.data(), bytes.size()), vector->second.at("hex"));
    EXPECT_EQ(packet.Scapy(), vector->second.at("scapy"));
  }
}

}  // namespace
}  // namespace foreflow::wire
