// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_PACKET_BUILDER_H_
#define FOREFLOW_MODELS_WIRE_PACKET_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "models/base/bytes.h"
#include "models/wire/arp.h"
#include "models/wire/ethernet.h"
#include "models/wire/icmp.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::wire {

// Packets for tests and generators, written layer by layer from the outside in:
//
//   PacketBuilder().Ethernet().Ipv4("10.0.0.1", "10.0.0.2").Dscp(46).Tcp(40000, 443).Flags(kTcpSyn).Build()
//
// Types, lengths and checksums fill themselves in; what is set by hand stays, so that packets can lie. A
// modifier belongs to the last header of its kind; values of fewer bits than their argument are cut when they
// are written. Not for the data path: it allocates, and throws Refusal for texts that are no addresses and
// for modifiers without their header.
class PacketBuilder {
 public:
  PacketBuilder& Ethernet(const std::string& source = "02:00:00:00:00:01",
                          const std::string& destination = "02:00:00:00:00:02");
  PacketBuilder& Ethertype(std::uint16_t ethertype);  // of the last Ethernet header or VLAN tag
  PacketBuilder& Vlan(std::uint16_t vid, std::uint8_t priority = 0);  // 802.1Q
  PacketBuilder& Qinq(std::uint16_t vid, std::uint8_t priority = 0);  // 802.1ad

  // ARP of Ethernet and IPv4. The sender's MAC is the outermost Ethernet header's, the target's is zeros.
  PacketBuilder& Arp(std::uint16_t operation, const std::string& sender, const std::string& target);

  PacketBuilder& Ipv4(const std::string& source = "10.0.0.1", const std::string& destination = "10.0.0.2");
  PacketBuilder& Ipv6(const std::string& source = "fd00::1", const std::string& destination = "fd00::2");
  // Of the last IP header of either version, unless said otherwise.
  PacketBuilder& Dscp(std::uint8_t dscp);
  PacketBuilder& Ecn(std::uint8_t ecn);
  PacketBuilder& Ttl(std::uint8_t ttl);
  PacketBuilder& Protocol(std::uint8_t protocol);  // also of the last extension header
  PacketBuilder& Length(std::uint16_t length);     // total (IPv4) or payload (IPv6) length
  PacketBuilder& Version(std::uint8_t version);
  PacketBuilder& Ipv4Options(std::size_t words);                   // IPv4: words of no-operations, 0..10
  PacketBuilder& HeaderWords(std::uint8_t words);                  // IPv4 and TCP, the last of both
  PacketBuilder& Identification(std::uint16_t id);                 // IPv4
  PacketBuilder& DontFragment();                                   // IPv4
  PacketBuilder& Fragment(std::uint16_t offset_units, bool more);  // IPv4, offset in 8 bytes

  // IPv6 extension headers. `units` of 8 bytes, 1..32, filled with padding options.
  PacketBuilder& HopByHop(std::uint8_t units = 1);
  PacketBuilder& DestinationOptions(std::uint8_t units = 1);
  PacketBuilder& Routing();         // type 0, no segments left
  PacketBuilder& Authentication();  // with a 12-byte check value of zeros
  PacketBuilder& FragmentHeader(std::uint16_t offset_units, bool more, std::uint32_t id = 1);

  // Flag ACK and window 65535, unless said otherwise.
  PacketBuilder& Tcp(std::uint16_t source_port, std::uint16_t destination_port);
  PacketBuilder& Flags(std::uint8_t flags);
  PacketBuilder& Sequence(std::uint32_t sequence);
  PacketBuilder& Acknowledgement(std::uint32_t acknowledgement);
  PacketBuilder& Window(std::uint16_t window);
  PacketBuilder& Options(const TcpOptions& options);
  PacketBuilder& Udp(std::uint16_t source_port, std::uint16_t destination_port);
  PacketBuilder& UdpLength(std::uint16_t length);
  // `rest` is IcmpHeader's.
  PacketBuilder& Icmp(std::uint8_t type, std::uint8_t code = 0, std::uint32_t rest = 0);
  PacketBuilder& Icmpv6(std::uint8_t type, std::uint8_t code = 0, std::uint32_t rest = 0);

  PacketBuilder& Payload(std::size_t count);  // the bytes 0, 1, 2, ... modulo 256
  PacketBuilder& Payload(std::vector<std::uint8_t> bytes);
  // Zeros after the packet up to `bytes` in all, outside of every length: Ethernet's padding.
  PacketBuilder& PadTo(std::size_t bytes);

  // The packet's bytes. Throws Refusal where TCP options take more than 40; Scapy does too.
  std::vector<std::uint8_t> Build() const;

  // A Python expression that makes the same bytes with scapy 2.5, `from scapy.all import *` and
  // `from scapy.layers.ipsec import AH` given.
  std::string Scapy() const;

 private:
  // What is wrapped so far, from the inside out.
  struct Inside;

  // A header, with what Wrap is not to fill in. Wrap puts it in front of what is inside.
  struct EthernetLayer {
    EthernetHeader header;
    bool has_type = false;
    void Wrap(Inside& inside) const;
  };
  struct VlanLayer {
    VlanTag tag;
    std::uint16_t own_ethertype = kEthertypeVlan;
    bool has_type = false;
    void Wrap(Inside& inside) const;
  };
  struct ArpLayer {
    ArpHeader header;
    ArpAddresses addresses;
    void Wrap(Inside& inside) const;
  };
  struct Ipv4Layer {
    Ipv4Header header;
    std::size_t option_words = 0;
    bool has_protocol = false;
    bool has_length = false;
    bool has_header_words = false;
    void Wrap(Inside& inside) const;
  };
  struct Ipv6Layer {
    Ipv6Header header;
    bool has_protocol = false;
    bool has_length = false;
    void Wrap(Inside& inside) const;
  };
  struct ExtensionLayer {
    std::uint8_t kind = kProtocolHopByHop;
    Ipv6Extension header;
    bool has_protocol = false;
    void Wrap(Inside& inside) const;
  };
  struct FragmentLayer {
    Ipv6Fragment header;
    bool has_protocol = false;
    void Wrap(Inside& inside) const;
  };
  struct TcpLayer {
    TcpHeader header;
    TcpOptions options;
    bool has_header_words = false;
    void Wrap(Inside& inside) const;
  };
  struct UdpLayer {
    UdpHeader header;
    bool has_length = false;
    void Wrap(Inside& inside) const;
  };
  struct IcmpLayer {
    IcmpHeader header;
    bool is_v6 = false;
    void Wrap(Inside& inside) const;
  };
  struct PayloadLayer {
    std::vector<std::uint8_t> bytes;
    bool is_pattern = false;
    void Wrap(Inside& inside) const;
  };
  using Layer = std::variant<EthernetLayer, VlanLayer, ArpLayer, Ipv4Layer, Ipv6Layer, ExtensionLayer,
                             FragmentLayer, TcpLayer, UdpLayer, IcmpLayer, PayloadLayer>;

  template <typename... Kinds, typename Change>
  PacketBuilder& Modify(const char* modifier, const Change& change);
  PacketBuilder& Extension(std::uint8_t kind, std::uint8_t length);
  Inside Wrapped() const;

  std::vector<Layer> layers_;
  std::size_t pad_to_ = 0;
};

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_PACKET_BUILDER_H_
