// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/dissect.h"

#include <algorithm>
#include <cstring>

#include "models/wire/arp.h"
#include "models/wire/cooked.h"
#include "models/wire/ethernet.h"
#include "models/wire/icmp.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::wire {
namespace {

// Longer chains are malformed: nobody sends them, and a device has no time for them.
constexpr int kMaxVlanTags = 8;
constexpr int kMaxIpv6Extensions = 8;
constexpr std::size_t kMaxIpPayload = 65535;

template <std::size_t kBytes>
void CopyAddress(std::array<std::uint8_t, 16>& to, const std::array<std::uint8_t, kBytes>& from) {
  std::copy(from.begin(), from.end(), to.begin());
}

void CopyIpv4Address(std::array<std::uint8_t, 16>& to, const std::uint8_t* from) {
  std::uint32_t address;
  std::memcpy(&address, from, sizeof(address));
  StoreWords(to.data(), address, 0);
}

// Most packets: untagged IPv4 without options and fragments, then TCP or UDP, with nothing amiss and both
// headers captured. False, and nothing written, for all others: the Dissector takes those apart, and these
// the same way.
bool DissectPlain(BytesView captured, std::uint32_t wire_bytes, Dissection& out, Work& work) {
  constexpr std::size_t kL3 = EthernetHeader::kBytes;
  constexpr std::size_t kL4 = kL3 + Ipv4Header::kBytes;
  if (captured.size < kL4 + TcpHeader::kBytes) return false;
  const std::uint8_t* const at = captured.data;
  if (Load16(at + 12) != kEthertypeIpv4 || at[kL3] != 0x45 || (Load16(at + kL3 + 6) & 0x3fffu) != 0)
    return false;
  const std::uint8_t protocol = at[kL3 + 9];
  const bool is_tcp = protocol == kProtocolTcp;
  if (!is_tcp && protocol != kProtocolUdp) return false;

  // Both kinds in one go: which of them comes is nothing that a processor could foresee.
  const std::size_t packet = std::max<std::size_t>(captured.size, wire_bytes) - kL3;
  const std::size_t length = Load16(at + kL3 + 2);
  const std::size_t l4_length = length - Ipv4Header::kBytes;
  const std::size_t udp_length = Load16(at + kL4 + 4);
  const std::size_t least = is_tcp ? TcpHeader::kBytes : UdpHeader::kBytes;
  const std::size_t l4_header = is_tcp ? std::size_t{4} * (at[kL4 + 12] >> 4) : UdpHeader::kBytes;
  const bool fits = (length >= Ipv4Header::kBytes + least) & (length <= packet) & (l4_header >= least) &
                    (l4_header <= l4_length) & (kL4 + l4_header <= captured.size);
  const bool is_udp_right = (udp_length >= UdpHeader::kBytes) & (udp_length <= l4_length);
  if (!(fits & (is_tcp | is_udp_right))) return false;

  const std::size_t headers = kL4 + l4_header;
  out.l3 = Layer3::kIpv4;
  out.l4 = is_tcp ? Layer4::kTcp : Layer4::kUdp;
  out.is_group_addressed = IsGroup(LoadBytes<6>(at)) || IsGroup(LoadBytes<4>(at + kL3 + 16));
  out.ip_protocol = protocol;
  out.dscp = at[kL3 + 1] >> 2;
  out.ecn = at[kL3 + 1] & 3;
  out.ttl = at[kL3 + 8];
  out.ethertype = kEthertypeIpv4;
  out.source_port = Load16(at + kL4);
  out.destination_port = Load16(at + kL4 + 2);
  out.tcp_flags = is_tcp ? at[kL4 + 13] : std::uint8_t{0};
  out.tcp_window = is_tcp ? Load16(at + kL4 + 14) : std::uint16_t{0};
  out.tcp_sequence = is_tcp ? Load32(at + kL4 + 4) : 0;
  out.tcp_acknowledgement = is_tcp ? Load32(at + kL4 + 8) : 0;
  out.header_bytes = static_cast<std::uint32_t>(headers);
  out.payload_bytes = static_cast<std::uint32_t>(l4_length - l4_header);
  out.l3_offset = kL3;
  out.l4_offset = kL4;
  out.payload_offset = static_cast<std::uint16_t>(headers);
  out.destination_mac = LoadBytes<6>(at);
  out.source_mac = LoadBytes<6>(at + 6);
  CopyIpv4Address(out.source_address, at + kL3 + 12);
  CopyIpv4Address(out.destination_address, at + kL3 + 16);
  work.Add(WorkItem::kHeader, 3);
  work.Add(WorkItem::kByteParsed, static_cast<std::uint32_t>(headers));
  return true;
}

// One packet on its way through the layers. `at_` is where the next header begins, `packet_end_` the offset
// where the packet ends by the innermost length that was believed; it may lie beyond what was captured.
class Dissector {
 public:
  Dissector(BytesView captured, std::uint32_t wire_bytes, Work& work, Dissection& out)
      : begin_(captured.data),
        at_(captured.data),
        end_(captured.data + captured.size),
        packet_end_(std::max<std::size_t>(captured.size, wire_bytes)),
        work_(work),
        out_(out) {}

  void Run(Link link) {
    switch (link) {
      case Link::kEthernet:
        Ethernet();
        break;
      case Link::kRawIp:
        RawIp();
        break;
      case Link::kLinuxSll:
        Sll();
        break;
      case Link::kLinuxSll2:
        Sll2();
        break;
      case Link::kNull:
        Null();
        break;
      default:
        out_.status = DissectStatus::kUnknownLink;
        break;
    }
    const std::size_t headers = Offset();
    out_.header_bytes = static_cast<std::uint32_t>(headers);
    out_.payload_offset = static_cast<std::uint16_t>(headers);
    out_.payload_bytes = static_cast<std::uint32_t>(packet_end_ > headers ? packet_end_ - headers : 0);
  }

 private:
  // Headers end here. Beyond the captured bytes where options were cut off.
  std::size_t Offset() const { return static_cast<std::size_t>(at_ - begin_) + cut_; }
  std::size_t Left() const { return packet_end_ - static_cast<std::size_t>(at_ - begin_); }

  void Malformed() { out_.status = DissectStatus::kMalformed; }
  void Truncated() { out_.status = DissectStatus::kTruncated; }

  // Decodes the next header and steps over it; false where it was cut off.
  template <typename Header>
  bool Step(Header& header) {
    const std::uint8_t* next = Decode(at_, end_, header);
    if (next == nullptr) {
      Truncated();
      return false;
    }
    at_ = next;
    work_.Add(WorkItem::kHeader);
    work_.Add(WorkItem::kByteParsed, static_cast<std::uint32_t>(Header::kBytes));
    return true;
  }

  // Steps over `bytes` of options that belong to the last header; false where they were cut off.
  bool Skip(std::size_t bytes) {
    const auto held = std::min(bytes, static_cast<std::size_t>(end_ - at_));
    at_ += held;
    cut_ = bytes - held;
    work_.Add(WorkItem::kByteParsed, static_cast<std::uint32_t>(held));
    if (cut_ != 0) Truncated();
    return cut_ == 0;
  }

  void Ethernet() {
    EthernetHeader header;
    if (!Step(header)) return;
    out_.source_mac = header.source;
    out_.destination_mac = header.destination;
    out_.is_group_addressed = IsGroup(header.destination);
    Network(header.ethertype);
  }

  void RawIp() {
    if (at_ == end_) return Truncated();
    const std::uint8_t version = at_[0] >> 4;
    if (version == 4) return Network(kEthertypeIpv4);
    if (version == 6) return Network(kEthertypeIpv6);
    Malformed();
  }

  void Sll() {
    SllHeader header;
    if (Step(header)) Cooked(header);
  }

  void Sll2() {
    Sll2Header header;
    if (Step(header)) Cooked(header);
  }

  template <typename Header>
  void Cooked(const Header& header) {
    if (header.address_bytes == out_.source_mac.size()) {
      std::copy_n(header.address.begin(), out_.source_mac.size(), out_.source_mac.begin());
    }
    out_.is_group_addressed =
        header.packet_type == kCookedBroadcast || header.packet_type == kCookedMulticast;
    // Small values name other encapsulations, not an 802.3 length as on Ethernet.
    if (header.ethertype < kEthertypeMin) return MarkLayer3();
    Network(header.ethertype);
  }

  void Null() {
    NullHeader header;
    if (!Step(header)) return;
    if (header.IsIpv4()) return Network(kEthertypeIpv4);
    if (header.IsIpv6()) return Network(kEthertypeIpv6);
    MarkLayer3();
  }

  void MarkLayer3() { out_.l3_offset = out_.l4_offset = static_cast<std::uint16_t>(Offset()); }

  // From the first ethertype on, through the VLAN tags.
  void Network(std::uint16_t ethertype) {
    for (int tags = 0; IsVlan(ethertype); ++tags) {
      if (tags == kMaxVlanTags) return Malformed();
      VlanTag tag;
      if (!Step(tag)) return;
      if (tags == 0) out_.outer_vlan = VlanKeyOf(tag.vid, tag.priority);
      out_.vlan = tag.vid;
      ethertype = tag.ethertype;
    }
    MarkLayer3();
    if (ethertype < kEthertypeMin) {
      if (ethertype > kEthertypeLengthMax || ethertype > Left()) return Malformed();
      packet_end_ -= Left() - ethertype;
      return;
    }
    out_.ethertype = ethertype;
    switch (ethertype) {
      case kEthertypeArp:
        return Arp();
      case kEthertypeIpv4:
        return Ipv4();
      case kEthertypeIpv6:
        return Ipv6();
      default:
        return;
    }
  }

  void Arp() {
    ArpHeader header;
    if (!Step(header)) return;
    const bool is_ethernet = header.hardware_type == kArpEthernet;
    const bool is_ipv4 = header.protocol_type == kEthertypeIpv4;
    if ((is_ethernet && header.hardware_bytes != 6) || (is_ipv4 && header.protocol_bytes != 4))
      return Malformed();
    if (header.AddressBytes() > Left()) return Malformed();
    packet_end_ -= Left() - header.AddressBytes();
    if (header.hardware_bytes == 6 && is_ipv4) {
      ArpAddresses addresses;
      const std::uint8_t* next = Decode(at_, end_, addresses);
      if (next == nullptr) return Truncated();
      CopyAddress(out_.source_address, addresses.sender);
      CopyAddress(out_.destination_address, addresses.target);
    }
    if (!Skip(header.AddressBytes())) return;
    out_.l3 = Layer3::kArp;
    out_.l4_offset = static_cast<std::uint16_t>(Offset());
  }

  void Ipv4() {
    const std::size_t available = Left();
    Ipv4Header header;
    if (!Step(header)) return;
    // Segmentation offload leaves the length 0 in captures at the sender.
    const std::size_t length = header.total_length == 0 ? available : header.total_length;
    if (header.version != 4 || header.HeaderBytes() < Ipv4Header::kBytes || length < header.HeaderBytes() ||
        length > available) {
      return Malformed();
    }
    packet_end_ -= available - length;
    out_.l3 = Layer3::kIpv4;
    out_.dscp = header.dscp;
    out_.ecn = header.ecn;
    out_.ttl = header.ttl;
    out_.ip_protocol = header.protocol;
    CopyAddress(out_.source_address, header.source);
    CopyAddress(out_.destination_address, header.destination);
    out_.is_group_addressed = out_.is_group_addressed || IsGroup(header.destination);
    if (!Skip(header.HeaderBytes() - Ipv4Header::kBytes)) return;
    if (!Fragment(header.fragment_offset, header.more_fragments)) return;
    Transport();
  }

  void Ipv6() {
    const std::size_t available = Left();
    Ipv6Header header;
    if (!Step(header)) return;
    if (header.version != 6) return Malformed();
    // Jumbograms (RFC 2675) and segmentation offload: the length is what the link carried.
    const bool has_length = header.payload_length != 0 || header.next_header == kProtocolNoNext;
    const std::size_t length = has_length ? Ipv6Header::kBytes + header.payload_length : available;
    if (length > available) return Malformed();
    packet_end_ -= available - length;
    out_.l3 = Layer3::kIpv6;
    out_.dscp = header.dscp;
    out_.ecn = header.ecn;
    out_.ttl = header.hop_limit;
    out_.ip_protocol = header.next_header;
    CopyAddress(out_.source_address, header.source);
    CopyAddress(out_.destination_address, header.destination);
    out_.is_group_addressed = out_.is_group_addressed || IsGroup(header.destination);
    if (Ipv6Extensions()) Transport();
  }

  // Steps over the extension headers; false where the chain does not lead to an upper-layer header.
  bool Ipv6Extensions() {
    for (int extensions = 0;; ++extensions) {
      const std::uint8_t kind = out_.ip_protocol;
      const bool is_fragment_header = kind == kProtocolFragment;
      if (!is_fragment_header && !IsIpv6Extension(kind)) return true;
      if (extensions == kMaxIpv6Extensions) {
        Malformed();
        return false;
      }
      if (!(is_fragment_header ? FragmentHeader() : Extension(kind))) return false;
    }
  }

  bool FragmentHeader() {
    if (Left() < Ipv6Fragment::kBytes) {
      Malformed();
      return false;
    }
    Ipv6Fragment header;
    if (!Step(header)) return false;
    out_.ip_protocol = header.next_header;
    return Fragment(header.offset, header.more);
  }

  bool Extension(std::uint8_t kind) {
    Ipv6Extension extension;
    if (Decode(at_, end_, extension) == nullptr) {
      if (Left() < Ipv6Extension::kBytes) {
        Malformed();
      } else {
        Truncated();
      }
      return false;
    }
    const std::size_t bytes = extension.ExtensionBytes(kind);
    if (bytes > Left()) {
      Malformed();
      return false;
    }
    work_.Add(WorkItem::kHeader);
    if (!Skip(bytes)) return false;
    out_.ip_protocol = extension.next_header;
    return true;
  }

  // False where what follows is not the beginning of a transport header.
  bool Fragment(std::uint16_t offset_units, bool more) {
    out_.l4_offset = static_cast<std::uint16_t>(Offset());
    // IPv6 allows a fragment header around a whole packet (RFC 6946); that is none.
    if (offset_units == 0 && !more) return true;
    out_.is_fragment = true;
    out_.is_first_fragment = offset_units == 0;
    if (offset_units * std::size_t{8} + Left() > kMaxIpPayload) {
      Malformed();
      return false;
    }
    return out_.is_first_fragment;
  }

  // A transport header needs `bytes`: false, with the status set, where the packet or the capture has less.
  template <typename Header>
  bool StepTransport(Header& header) {
    if (Left() < Header::kBytes) {
      Malformed();
      return false;
    }
    return Step(header);
  }

  void Transport() {
    out_.l4_offset = static_cast<std::uint16_t>(Offset());
    const bool is_ipv4 = out_.l3 == Layer3::kIpv4;
    switch (out_.ip_protocol) {
      case kProtocolTcp:
        return Tcp();
      case kProtocolUdp:
        return Udp();
      case kProtocolIcmp:
        if (is_ipv4) return Icmp(Layer4::kIcmp, kIcmpEcho, kIcmpEchoReply);
        break;
      case kProtocolIcmpv6:
        if (!is_ipv4) return Icmp(Layer4::kIcmpv6, kIcmpv6Echo, kIcmpv6EchoReply);
        break;
      case kProtocolNoNext:
        return;
      default:
        break;
    }
    out_.l4 = Layer4::kOther;
  }

  void Tcp() {
    TcpHeader header;
    if (!StepTransport(header)) return;
    const std::size_t options = header.HeaderBytes() - TcpHeader::kBytes;
    if (header.HeaderBytes() < TcpHeader::kBytes || options > Left()) return Malformed();
    out_.l4 = Layer4::kTcp;
    out_.source_port = header.source_port;
    out_.destination_port = header.destination_port;
    out_.tcp_sequence = header.sequence;
    out_.tcp_acknowledgement = header.acknowledgement;
    out_.tcp_flags = header.flags;
    out_.tcp_window = header.window;
    Skip(options);
  }

  void Udp() {
    const std::size_t available = Left();
    UdpHeader header;
    if (!StepTransport(header)) return;
    // A first fragment carries the length of the whole datagram. 0 is a jumbogram's or offload's.
    const bool too_long = !out_.is_fragment && header.length > available;
    const bool too_short =
        header.length < UdpHeader::kBytes && !(header.length == 0 && available > kMaxIpPayload);
    if (too_long || too_short) return Malformed();
    out_.l4 = Layer4::kUdp;
    out_.source_port = header.source_port;
    out_.destination_port = header.destination_port;
  }

  void Icmp(Layer4 l4, std::uint8_t echo, std::uint8_t echo_reply) {
    IcmpHeader header;
    if (!StepTransport(header)) return;
    out_.l4 = l4;
    out_.source_port =
        header.type == echo || header.type == echo_reply ? header.Identifier() : std::uint16_t{0};
    out_.destination_port = static_cast<std::uint16_t>(header.type << 8 | header.code);
  }

  const std::uint8_t* begin_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::size_t packet_end_;
  std::size_t cut_ = 0;
  Work& work_;
  Dissection& out_;
};

}  // namespace

void Dissect(Link link, BytesView captured, std::uint32_t wire_bytes, Dissection& packet, Work& work) {
  packet = Dissection{};
  if (link == Link::kEthernet && DissectPlain(captured, wire_bytes, packet, work)) return;
  Dissector(captured, wire_bytes, work, packet).Run(link);
}

}  // namespace foreflow::wire
