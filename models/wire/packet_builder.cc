// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/packet_builder.h"

#include <algorithm>
#include <optional>
#include <type_traits>

#include "models/base/refusal.h"
#include "models/wire/address_text.h"
#include "models/wire/checksum.h"

namespace foreflow::wire {
namespace {

constexpr std::uint8_t kProtocolIpv4InIp = 4;
constexpr std::uint8_t kProtocolIpv6InIp = 41;
constexpr std::uint8_t kIpv4NoOperation = 1;
constexpr std::uint8_t kPadN = 1;
constexpr std::size_t kAuthenticationBytes = 24;
constexpr std::size_t kTcpChecksumOffset = 16;
constexpr std::size_t kUdpChecksumOffset = 6;
constexpr std::size_t kIcmpChecksumOffset = 2;

template <typename Address>
Address Parsed(const std::optional<Address>& address, const std::string& text) {
  if (!address) throw Refusal("PacketBuilder", "address", text, "one that can be parsed");
  return *address;
}

std::string Hex(const std::uint8_t* bytes, std::size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string ScapyOptions(const TcpOptions& options) {
  std::string text;
  std::size_t size = 0;
  const auto add = [&](const std::string& option, std::size_t bytes) {
    text += (text.empty() ? "" : ", ") + option;
    size += bytes;
  };
  if (options.has_mss) add("('MSS', " + std::to_string(options.mss) + ")", 4);
  if (options.sack_permitted) add("('SAckOK', b'')", 2);
  if (options.has_timestamps) {
    add("('Timestamp', (" + std::to_string(options.timestamp_value) + ", " +
            std::to_string(options.timestamp_echo) + "))",
        10);
  }
  if (options.has_window_scale) add("('WScale', " + std::to_string(options.window_scale) + ")", 3);
  if (options.sack_blocks > 0) {
    std::string blocks;
    for (std::size_t i = 0; i < options.sack_blocks; ++i) {
      blocks += (i == 0 ? "" : ", ") + std::to_string(options.sack[i].left) + ", " +
                std::to_string(options.sack[i].right);
    }
    add("('SAck', (" + blocks + "))", 2 + 8 * std::size_t{options.sack_blocks});
  }
  while (size % 4 != 0) add("('NOP', None)", 1);
  return text;
}

}  // namespace

struct PacketBuilder::Inside {
  std::vector<std::uint8_t> bytes;
  std::string scapy;
  // What the next header is to call the outermost one so far. Bare payload is ethertype 0xffff (reserved) and
  // protocol 59 (no next header).
  std::uint16_t ethertype = 0xffff;
  std::uint8_t protocol = kProtocolNoNext;
  // The transport header that still waits for its IP header's addresses.
  std::size_t transport_bytes = 0;  // with its payload; 0 = none waits
  std::size_t checksum_offset = 0;  // in it
  std::uint8_t transport_protocol = 0;

  // `header` and then `more` bytes, which are returned for the caller to fill.
  template <typename Header>
  std::uint8_t* Prepend(const Header& header, std::size_t more = 0) {
    bytes.insert(bytes.begin(), Header::kBytes + more, 0);
    return Encode(bytes.data(), bytes.data() + Header::kBytes, header);
  }

  void PrependScapy(const std::string& layer) { scapy = scapy.empty() ? layer : layer + "/" + scapy; }

  void AwaitPseudoHeader(std::uint8_t of_protocol, std::size_t offset) {
    transport_bytes = bytes.size();
    transport_protocol = of_protocol;
    checksum_offset = offset;
  }

  template <typename Address>
  void FillTransportChecksum(const Address& source, const Address& destination) {
    if (transport_bytes == 0) return;
    using Length = std::conditional_t<std::is_same_v<Address, Ipv4Address>, std::uint16_t, std::uint32_t>;
    std::uint8_t* transport = bytes.data() + (bytes.size() - transport_bytes);
    InternetSum sum =
        PseudoHeader(source, destination, transport_protocol, static_cast<Length>(transport_bytes));
    std::uint16_t checksum = sum.Add({transport, transport_bytes}).Checksum();
    if (transport_protocol == kProtocolUdp && checksum == 0) checksum = 0xffff;
    Store16(transport + checksum_offset, checksum);
    transport_bytes = 0;
  }
};

void PacketBuilder::EthernetLayer::Wrap(Inside& inside) const {
  EthernetHeader filled = header;
  if (!has_type) filled.ethertype = inside.ethertype;
  inside.Prepend(filled);
  inside.PrependScapy("Ether(src='" + Text(filled.source) + "', dst='" + Text(filled.destination) +
                      "', type=" + std::to_string(filled.ethertype) + ")");
}

void PacketBuilder::VlanLayer::Wrap(Inside& inside) const {
  VlanTag filled = tag;
  if (!has_type) filled.ethertype = inside.ethertype;
  inside.Prepend(filled);
  inside.PrependScapy((own_ethertype == kEthertypeQinq ? "Dot1AD(vlan=" : "Dot1Q(vlan=") +
                      std::to_string(filled.vid) + ", prio=" + std::to_string(filled.priority) +
                      ", type=" + std::to_string(filled.ethertype) + ")");
  inside.ethertype = own_ethertype;
}

void PacketBuilder::ArpLayer::Wrap(Inside& inside) const {
  inside.Prepend(addresses);
  inside.Prepend(header);
  inside.PrependScapy("ARP(op=" + std::to_string(header.operation) + ", hwsrc='" +
                      Text(addresses.sender_mac) + "', psrc='" + Text(addresses.sender) + "', pdst='" +
                      Text(addresses.target) + "')");
  inside.ethertype = kEthertypeArp;
}

void PacketBuilder::Ipv4Layer::Wrap(Inside& inside) const {
  inside.FillTransportChecksum(header.source, header.destination);
  const std::size_t header_bytes = Ipv4Header::kBytes + 4 * option_words;
  Ipv4Header filled = header;
  if (!has_protocol) filled.protocol = inside.protocol;
  if (!has_length) filled.total_length = static_cast<std::uint16_t>(header_bytes + inside.bytes.size());
  if (!has_header_words) filled.header_words = static_cast<std::uint8_t>(header_bytes / 4);
  std::fill_n(inside.Prepend(filled, 4 * option_words), 4 * option_words, kIpv4NoOperation);
  filled.checksum = InternetChecksum({inside.bytes.data(), header_bytes});
  Encode(inside.bytes.data(), inside.bytes.data() + header_bytes, filled);

  std::string text = "IP(src='" + Text(filled.source) + "', dst='" + Text(filled.destination) +
                     "', tos=" + std::to_string(filled.dscp << 2 | filled.ecn) +
                     ", ttl=" + std::to_string(filled.ttl) + ", proto=" + std::to_string(filled.protocol) +
                     ", id=" + std::to_string(filled.identification) + ", flags=" +
                     std::to_string((filled.reserved ? 4 : 0) + (filled.dont_fragment ? 2 : 0) +
                                    (filled.more_fragments ? 1 : 0)) +
                     ", frag=" + std::to_string(filled.fragment_offset);
  if (filled.version != 4) text += ", version=" + std::to_string(filled.version);
  if (has_length) text += ", len=" + std::to_string(filled.total_length);
  if (has_header_words) text += ", ihl=" + std::to_string(filled.header_words);
  if (option_words > 0) text += ", options=[IPOption_NOP()]*" + std::to_string(4 * option_words);
  inside.PrependScapy(text + ")");
  inside.ethertype = kEthertypeIpv4;
  inside.protocol = kProtocolIpv4InIp;
}

void PacketBuilder::Ipv6Layer::Wrap(Inside& inside) const {
  inside.FillTransportChecksum(header.source, header.destination);
  Ipv6Header filled = header;
  if (!has_protocol) filled.next_header = inside.protocol;
  if (!has_length) filled.payload_length = static_cast<std::uint16_t>(inside.bytes.size());
  inside.Prepend(filled);

  std::string text =
      "IPv6(src='" + Text(filled.source) + "', dst='" + Text(filled.destination) +
      "', tc=" + std::to_string(filled.dscp << 2 | filled.ecn) + ", fl=" + std::to_string(filled.flow_label) +
      ", nh=" + std::to_string(filled.next_header) + ", hlim=" + std::to_string(filled.hop_limit);
  if (filled.version != 6) text += ", version=" + std::to_string(filled.version);
  if (has_length) text += ", plen=" + std::to_string(filled.payload_length);
  inside.PrependScapy(text + ")");
  inside.ethertype = kEthertypeIpv6;
  inside.protocol = kProtocolIpv6InIp;
}

void PacketBuilder::ExtensionLayer::Wrap(Inside& inside) const {
  Ipv6Extension filled = header;
  if (!has_protocol) filled.next_header = inside.protocol;
  const std::size_t body = filled.ExtensionBytes(kind) - Ipv6Extension::kBytes;
  std::uint8_t* at = inside.Prepend(filled, body);
  const std::string next = "nh=" + std::to_string(filled.next_header);
  if (kind == kProtocolAuthentication) {
    inside.PrependScapy("AH(" + next + ", payloadlen=" + std::to_string(filled.length) +
                        ", reserved=0, spi=0, seq=0, icv=bytes(" + std::to_string(body - 10) + "))");
  } else if (kind == kProtocolRouting) {
    inside.PrependScapy("IPv6ExtHdrRouting(" + next + ", segleft=0)");
  } else {
    const std::size_t padding = body - 2;
    at[0] = kPadN;
    at[1] = static_cast<std::uint8_t>(padding);
    inside.PrependScapy((kind == kProtocolHopByHop ? "IPv6ExtHdrHopByHop(" : "IPv6ExtHdrDestOpt(") + next +
                        ", options=[PadN(optdata=bytes(" + std::to_string(padding) + "))])");
  }
  inside.protocol = kind;
}

void PacketBuilder::FragmentLayer::Wrap(Inside& inside) const {
  Ipv6Fragment filled = header;
  if (!has_protocol) filled.next_header = inside.protocol;
  inside.Prepend(filled);
  inside.PrependScapy("IPv6ExtHdrFragment(nh=" + std::to_string(filled.next_header) +
                      ", offset=" + std::to_string(filled.offset) + ", m=" + (filled.more ? "1" : "0") +
                      ", id=" + std::to_string(filled.identification) + ")");
  inside.protocol = kProtocolFragment;
}

void PacketBuilder::TcpLayer::Wrap(Inside& inside) const {
  std::uint8_t encoded[TcpHeader::kMaxBytes - TcpHeader::kBytes];
  const std::uint8_t* end = Encode(encoded, encoded + sizeof(encoded), options);
  if (end == nullptr) throw Refusal("PacketBuilder", "Options", "too long", "at most 40 bytes");
  const auto option_bytes = static_cast<std::size_t>(end - encoded);
  TcpHeader filled = header;
  if (!has_header_words) {
    filled.header_words = static_cast<std::uint8_t>((TcpHeader::kBytes + option_bytes) / 4);
  }
  std::copy_n(encoded, option_bytes, inside.Prepend(filled, option_bytes));
  inside.AwaitPseudoHeader(kProtocolTcp, kTcpChecksumOffset);

  std::string text = "TCP(sport=" + std::to_string(filled.source_port) +
                     ", dport=" + std::to_string(filled.destination_port) +
                     ", seq=" + std::to_string(filled.sequence) +
                     ", ack=" + std::to_string(filled.acknowledgement) +
                     ", flags=" + std::to_string(filled.flags) + ", window=" + std::to_string(filled.window);
  if (has_header_words) text += ", dataofs=" + std::to_string(filled.header_words);
  if (option_bytes > 0) text += ", options=[" + ScapyOptions(options) + "]";
  inside.PrependScapy(text + ")");
  inside.protocol = kProtocolTcp;
}

void PacketBuilder::UdpLayer::Wrap(Inside& inside) const {
  UdpHeader filled = header;
  if (!has_length) filled.length = static_cast<std::uint16_t>(UdpHeader::kBytes + inside.bytes.size());
  inside.Prepend(filled);
  inside.AwaitPseudoHeader(kProtocolUdp, kUdpChecksumOffset);
  inside.PrependScapy("UDP(sport=" + std::to_string(filled.source_port) +
                      ", dport=" + std::to_string(filled.destination_port) +
                      (has_length ? ", len=" + std::to_string(filled.length) : "") + ")");
  inside.protocol = kProtocolUdp;
}

void PacketBuilder::IcmpLayer::Wrap(Inside& inside) const {
  inside.Prepend(header);
  const bool is_echo = is_v6 ? header.type == kIcmpv6Echo || header.type == kIcmpv6EchoReply
                             : header.type == kIcmpEcho || header.type == kIcmpEchoReply;
  const std::string code = "code=" + std::to_string(header.code);
  const std::string identifier_and_sequence =
      ", id=" + std::to_string(header.Identifier()) + ", seq=" + std::to_string(header.rest & 0xffff) + ")";
  if (is_v6) {
    inside.AwaitPseudoHeader(kProtocolIcmpv6, kIcmpChecksumOffset);
    if (is_echo) {
      inside.PrependScapy((header.type == kIcmpv6Echo ? "ICMPv6EchoRequest(" : "ICMPv6EchoReply(") + code +
                          identifier_and_sequence);
    } else {
      inside.PrependScapy("ICMPv6Unknown(type=" + std::to_string(header.type) + ", " + code +
                          ", msgbody=bytes.fromhex('" + Hex(inside.bytes.data() + 4, 4) + "'))");
    }
  } else {
    Store16(inside.bytes.data() + kIcmpChecksumOffset,
            InternetChecksum({inside.bytes.data(), inside.bytes.size()}));
    // scapy lays the other types out each in its own way.
    inside.PrependScapy(
        is_echo ? "ICMP(type=" + std::to_string(header.type) + ", " + code + identifier_and_sequence
                : "Raw(bytes.fromhex('" + Hex(inside.bytes.data(), IcmpHeader::kBytes) + "'))");
  }
  inside.protocol = is_v6 ? kProtocolIcmpv6 : kProtocolIcmp;
}

void PacketBuilder::PayloadLayer::Wrap(Inside& inside) const {
  inside.bytes.insert(inside.bytes.begin(), bytes.begin(), bytes.end());
  inside.PrependScapy(is_pattern ? "Raw(bytes(i & 255 for i in range(" + std::to_string(bytes.size()) + ")))"
                                 : "Raw(bytes.fromhex('" + Hex(bytes.data(), bytes.size()) + "'))");
}

PacketBuilder::Inside PacketBuilder::Wrapped() const {
  Inside inside;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    std::visit([&](const auto& found) { found.Wrap(inside); }, *layer);
  }
  return inside;
}

std::vector<std::uint8_t> PacketBuilder::Build() const {
  std::vector<std::uint8_t> bytes = Wrapped().bytes;
  if (bytes.size() < pad_to_) bytes.resize(pad_to_, 0);
  return bytes;
}

std::string PacketBuilder::Scapy() const {
  const Inside inside = Wrapped();
  if (inside.bytes.size() >= pad_to_) return inside.scapy;
  return inside.scapy + "/Padding(bytes(" + std::to_string(pad_to_ - inside.bytes.size()) + "))";
}

template <typename... Kinds, typename Change>
PacketBuilder& PacketBuilder::Modify(const char* modifier, const Change& change) {
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    const bool done = std::visit(
        [&](auto& found) {
          if constexpr ((std::is_same_v<std::decay_t<decltype(found)>, Kinds> || ...)) {
            change(found);
            return true;
          } else {
            return false;
          }
        },
        *layer);
    if (done) return *this;
  }
  throw Refusal("PacketBuilder", modifier, "used without its header", "after the header");
}

PacketBuilder& PacketBuilder::Ethernet(const std::string& source, const std::string& destination) {
  EthernetLayer layer;
  layer.header.source = Parsed(ParseMac(source), source);
  layer.header.destination = Parsed(ParseMac(destination), destination);
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Ethertype(std::uint16_t ethertype) {
  return Modify<EthernetLayer, VlanLayer>("Ethertype", [&](auto& layer) {
    if constexpr (std::is_same_v<decltype(layer), EthernetLayer&>) {
      layer.header.ethertype = ethertype;
    } else {
      layer.tag.ethertype = ethertype;
    }
    layer.has_type = true;
  });
}

PacketBuilder& PacketBuilder::Vlan(std::uint16_t vid, std::uint8_t priority) {
  VlanLayer layer;
  layer.tag.vid = vid;
  layer.tag.priority = priority;
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Qinq(std::uint16_t vid, std::uint8_t priority) {
  Vlan(vid, priority);
  std::get<VlanLayer>(layers_.back()).own_ethertype = kEthertypeQinq;
  return *this;
}

PacketBuilder& PacketBuilder::Arp(std::uint16_t operation, const std::string& sender,
                                  const std::string& target) {
  ArpLayer layer;
  layer.header.operation = operation;
  if (!layers_.empty()) {
    if (const auto* ethernet = std::get_if<EthernetLayer>(&layers_.front())) {
      layer.addresses.sender_mac = ethernet->header.source;
    }
  }
  layer.addresses.sender = Parsed(ParseIpv4(sender), sender);
  layer.addresses.target = Parsed(ParseIpv4(target), target);
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Ipv4(const std::string& source, const std::string& destination) {
  Ipv4Layer layer;
  layer.header.source = Parsed(ParseIpv4(source), source);
  layer.header.destination = Parsed(ParseIpv4(destination), destination);
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Ipv6(const std::string& source, const std::string& destination) {
  Ipv6Layer layer;
  layer.header.source = Parsed(ParseIpv6(source), source);
  layer.header.destination = Parsed(ParseIpv6(destination), destination);
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Dscp(std::uint8_t dscp) {
  return Modify<Ipv4Layer, Ipv6Layer>("Dscp", [&](auto& layer) { layer.header.dscp = dscp; });
}

PacketBuilder& PacketBuilder::Ecn(std::uint8_t ecn) {
  return Modify<Ipv4Layer, Ipv6Layer>("Ecn", [&](auto& layer) { layer.header.ecn = ecn; });
}

PacketBuilder& PacketBuilder::Ttl(std::uint8_t ttl) {
  return Modify<Ipv4Layer, Ipv6Layer>("Ttl", [&](auto& layer) {
    if constexpr (std::is_same_v<decltype(layer), Ipv4Layer&>) {
      layer.header.ttl = ttl;
    } else {
      layer.header.hop_limit = ttl;
    }
  });
}

PacketBuilder& PacketBuilder::Protocol(std::uint8_t protocol) {
  return Modify<Ipv4Layer, Ipv6Layer, ExtensionLayer, FragmentLayer>("Protocol", [&](auto& layer) {
    if constexpr (std::is_same_v<decltype(layer), Ipv4Layer&>) {
      layer.header.protocol = protocol;
    } else {
      layer.header.next_header = protocol;
    }
    layer.has_protocol = true;
  });
}

PacketBuilder& PacketBuilder::Length(std::uint16_t length) {
  return Modify<Ipv4Layer, Ipv6Layer>("Length", [&](auto& layer) {
    if constexpr (std::is_same_v<decltype(layer), Ipv4Layer&>) {
      layer.header.total_length = length;
    } else {
      layer.header.payload_length = length;
    }
    layer.has_length = true;
  });
}

PacketBuilder& PacketBuilder::Version(std::uint8_t version) {
  return Modify<Ipv4Layer, Ipv6Layer>("Version", [&](auto& layer) { layer.header.version = version; });
}

PacketBuilder& PacketBuilder::Ipv4Options(std::size_t words) {
  if (words > 10) throw Refusal("PacketBuilder", "Ipv4Options", std::to_string(words), "0..10 words");
  return Modify<Ipv4Layer>("Ipv4Options", [&](Ipv4Layer& layer) { layer.option_words = words; });
}

PacketBuilder& PacketBuilder::HeaderWords(std::uint8_t words) {
  return Modify<Ipv4Layer, TcpLayer>("HeaderWords", [&](auto& layer) {
    layer.header.header_words = words;
    layer.has_header_words = true;
  });
}

PacketBuilder& PacketBuilder::Identification(std::uint16_t id) {
  return Modify<Ipv4Layer>("Identification", [&](Ipv4Layer& layer) { layer.header.identification = id; });
}

PacketBuilder& PacketBuilder::DontFragment() {
  return Modify<Ipv4Layer>("DontFragment", [](Ipv4Layer& layer) { layer.header.dont_fragment = true; });
}

PacketBuilder& PacketBuilder::Fragment(std::uint16_t offset_units, bool more) {
  return Modify<Ipv4Layer>("Fragment", [&](Ipv4Layer& layer) {
    layer.header.fragment_offset = offset_units;
    layer.header.more_fragments = more;
  });
}

PacketBuilder& PacketBuilder::Extension(std::uint8_t kind, std::uint8_t length) {
  ExtensionLayer layer;
  layer.kind = kind;
  layer.header.length = length;
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::HopByHop(std::uint8_t units) {
  if (units < 1 || units > 32)
    throw Refusal("PacketBuilder", "HopByHop", std::to_string(units), "1..32 units");
  return Extension(kProtocolHopByHop, static_cast<std::uint8_t>(units - 1));
}

PacketBuilder& PacketBuilder::DestinationOptions(std::uint8_t units) {
  if (units < 1 || units > 32) {
    throw Refusal("PacketBuilder", "DestinationOptions", std::to_string(units), "1..32 units");
  }
  return Extension(kProtocolDestination, static_cast<std::uint8_t>(units - 1));
}

PacketBuilder& PacketBuilder::Routing() { return Extension(kProtocolRouting, 0); }

PacketBuilder& PacketBuilder::Authentication() {
  return Extension(kProtocolAuthentication, static_cast<std::uint8_t>(kAuthenticationBytes / 4 - 2));
}

PacketBuilder& PacketBuilder::FragmentHeader(std::uint16_t offset_units, bool more, std::uint32_t id) {
  FragmentLayer layer;
  layer.header.offset = offset_units;
  layer.header.more = more;
  layer.header.identification = id;
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Tcp(std::uint16_t source_port, std::uint16_t destination_port) {
  TcpLayer layer;
  layer.header.source_port = source_port;
  layer.header.destination_port = destination_port;
  layer.header.flags = kTcpAck;
  layer.header.window = 65535;
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Flags(std::uint8_t flags) {
  return Modify<TcpLayer>("Flags", [&](TcpLayer& layer) { layer.header.flags = flags; });
}

PacketBuilder& PacketBuilder::Sequence(std::uint32_t sequence) {
  return Modify<TcpLayer>("Sequence", [&](TcpLayer& layer) { layer.header.sequence = sequence; });
}

PacketBuilder& PacketBuilder::Acknowledgement(std::uint32_t acknowledgement) {
  return Modify<TcpLayer>("Acknowledgement",
                          [&](TcpLayer& layer) { layer.header.acknowledgement = acknowledgement; });
}

PacketBuilder& PacketBuilder::Window(std::uint16_t window) {
  return Modify<TcpLayer>("Window", [&](TcpLayer& layer) { layer.header.window = window; });
}

PacketBuilder& PacketBuilder::Options(const TcpOptions& options) {
  return Modify<TcpLayer>("Options", [&](TcpLayer& layer) { layer.options = options; });
}

PacketBuilder& PacketBuilder::Udp(std::uint16_t source_port, std::uint16_t destination_port) {
  UdpLayer layer;
  layer.header.source_port = source_port;
  layer.header.destination_port = destination_port;
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::UdpLength(std::uint16_t length) {
  return Modify<UdpLayer>("UdpLength", [&](UdpLayer& layer) {
    layer.header.length = length;
    layer.has_length = true;
  });
}

PacketBuilder& PacketBuilder::Icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  IcmpLayer layer;
  layer.header.type = type;
  layer.header.code = code;
  layer.header.rest = rest;
  layers_.emplace_back(layer);
  return *this;
}

PacketBuilder& PacketBuilder::Icmpv6(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  Icmp(type, code, rest);
  std::get<IcmpLayer>(layers_.back()).is_v6 = true;
  return *this;
}

PacketBuilder& PacketBuilder::Payload(std::size_t count) {
  PayloadLayer layer;
  layer.is_pattern = true;
  for (std::size_t i = 0; i < count; ++i) layer.bytes.push_back(static_cast<std::uint8_t>(i));
  layers_.emplace_back(std::move(layer));
  return *this;
}

PacketBuilder& PacketBuilder::Payload(std::vector<std::uint8_t> bytes) {
  PayloadLayer layer;
  layer.bytes = std::move(bytes);
  layers_.emplace_back(std::move(layer));
  return *this;
}

PacketBuilder& PacketBuilder::PadTo(std::size_t bytes) {
  pad_to_ = bytes;
  return *this;
}

}  // namespace foreflow::wire
