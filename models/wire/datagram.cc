// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/datagram.h"

#include <array>

#include "models/wire/arp.h"
#include "models/wire/checksum.h"
#include "models/wire/dissect.h"

namespace foreflow::wire {
namespace {

bool IsRequestFor(const DatagramEnd& own, BytesView arp) {
  ArpHeader header;
  const std::uint8_t* at = Decode(arp.begin(), arp.end(), header);
  ArpAddresses addresses;
  return at != nullptr && header.hardware_type == kArpEthernet && header.protocol_type == kEthertypeIpv4 &&
         header.hardware_bytes == own.mac.size() && header.protocol_bytes == own.address.size() &&
         header.operation == kArpRequest && Decode(at, arp.end(), addresses) != nullptr &&
         addresses.target == own.address;
}

}  // namespace

void WriteDatagram(const DatagramEnd& from, const DatagramEnd& to, std::uint8_t ecn,
                   std::size_t payload_bytes, std::uint8_t* out, Work& work) {
  const std::uint8_t* const end = out + kDatagramHeaderBytes;
  EthernetHeader ethernet;
  ethernet.destination = to.mac;
  ethernet.source = from.mac;
  ethernet.ethertype = kEthertypeIpv4;
  std::uint8_t* at = Encode(out, end, ethernet);
  // Not to be fragmented: so it needs no identification (RFC 6864).
  Ipv4Header ip;
  ip.ecn = ecn;
  ip.total_length = static_cast<std::uint16_t>(Ipv4Header::kBytes + UdpHeader::kBytes + payload_bytes);
  ip.dont_fragment = true;
  ip.protocol = kProtocolUdp;
  ip.source = from.address;
  ip.destination = to.address;
  Encode(at, end, ip);
  ip.checksum = InternetChecksum({at, Ipv4Header::kBytes});
  at = Encode(at, end, ip);
  UdpHeader udp;
  udp.source_port = from.port;
  udp.destination_port = to.port;
  udp.length = static_cast<std::uint16_t>(UdpHeader::kBytes + payload_bytes);
  Encode(at, end, udp);
  work.Add(WorkItem::kHeader, 3);
}

const char* Name(DatagramStatus status) {
  static constexpr std::array<const char*, kDatagramStatuses> kNames = {
      "datagram", "address_request", "other", "malformed", "fragment", "bad_checksum"};
  const auto index = static_cast<std::size_t>(status);
  return index < kNames.size() ? kNames[index] : nullptr;
}

DatagramStatus ReadDatagram(const DatagramEnd& own, BytesView frame, Datagram& datagram, Work& work) {
  const Dissection packet = Dissect(Link::kEthernet, frame, static_cast<std::uint32_t>(frame.size), work);
  const bool is_tagged = packet.outer_vlan != kNoVlan;
  if (packet.l3 == Layer3::kArp && !is_tagged) {
    return IsRequestFor(own, frame.From(packet.l3_offset)) ? DatagramStatus::kAddressRequest
                                                           : DatagramStatus::kOther;
  }
  if (packet.status != DissectStatus::kOk) return DatagramStatus::kMalformed;
  const bool is_ours = packet.l3 == Layer3::kIpv4 && !is_tagged && packet.destination_mac == own.mac &&
                       LoadBytes<4>(packet.destination_address.data()) == own.address &&
                       packet.ip_protocol == kProtocolUdp;
  if (!is_ours) return DatagramStatus::kOther;
  if (InternetChecksum({frame.data + packet.l3_offset, std::size_t{packet.l4_offset} - packet.l3_offset}) !=
      0)
    return DatagramStatus::kBadChecksum;
  if (packet.is_fragment) return DatagramStatus::kFragment;
  if (packet.destination_port != own.port) return DatagramStatus::kOther;
  UdpHeader udp;
  if (Decode(frame.begin() + packet.l4_offset, frame.end(), udp) == nullptr ||
      udp.length < UdpHeader::kBytes || udp.length > UdpHeader::kBytes + packet.payload_bytes ||
      packet.l4_offset + std::size_t{udp.length} > frame.size) {
    return DatagramStatus::kMalformed;
  }
  datagram.from.mac = packet.source_mac;
  datagram.from.address = LoadBytes<4>(packet.source_address.data());
  datagram.from.port = packet.source_port;
  datagram.ecn = packet.ecn;
  datagram.offset = packet.payload_offset;
  datagram.size = udp.length - UdpHeader::kBytes;
  if (udp.checksum == 0) return DatagramStatus::kDatagram;
  work.Add(WorkItem::kByteCopied, udp.length);
  const std::uint16_t sum = PseudoHeader(datagram.from.address, own.address, kProtocolUdp, udp.length)
                                .Add({frame.data + packet.l4_offset, udp.length})
                                .Checksum();
  return sum == 0 ? DatagramStatus::kDatagram : DatagramStatus::kBadChecksum;
}

void AnswerArp(const DatagramEnd& own, MutableBytes frame) {
  EthernetHeader ethernet;
  Decode(frame.begin(), frame.end(), ethernet);
  std::uint8_t* const arp = frame.begin() + EthernetHeader::kBytes;
  ArpHeader header;
  ArpAddresses addresses;
  Decode(Decode(arp, frame.end(), header), frame.end(), addresses);
  ethernet.destination = ethernet.source;
  ethernet.source = own.mac;
  header.operation = kArpReply;
  addresses.target_mac = addresses.sender_mac;
  addresses.target = addresses.sender;
  addresses.sender_mac = own.mac;
  addresses.sender = own.address;
  Encode(frame.begin(), frame.end(), ethernet);
  Encode(Encode(arp, frame.end(), header), frame.end(), addresses);
}

}  // namespace foreflow::wire
