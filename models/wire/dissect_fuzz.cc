// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "models/wire/arp.h"
#include "models/wire/dissect.h"
#include "models/wire/ethernet.h"
#include "models/wire/icmp.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::wire {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// The header at `offset` encodes to the very bytes it was decoded from.
template <typename Header>
void RequireRoundTrip(BytesView packet, std::size_t offset) {
  const BytesView rest = packet.From(offset);
  Header header;
  Require(Decode(rest.begin(), rest.end(), header) != nullptr);
  std::uint8_t again[Header::kBytes];
  Require(Encode(again, again + sizeof(again), header) != nullptr);
  Require(std::memcmp(again, rest.data, sizeof(again)) == 0);
}

void RequireTcpOptions(BytesView options) {
  TcpOptions decoded;
  if (Decode(options.begin(), options.end(), decoded) == nullptr) return;
  // Encoding may pad and order otherwise, but says the same.
  std::uint8_t again[64];
  const std::uint8_t* end = Encode(again, again + sizeof(again), decoded);
  Require(end != nullptr);
  TcpOptions twice;
  Require(Decode(again, end, twice) == end);
  Require(twice.mss == decoded.mss && twice.window_scale == decoded.window_scale &&
          twice.sack_permitted == decoded.sack_permitted && twice.sack_blocks == decoded.sack_blocks &&
          twice.timestamp_value == decoded.timestamp_value && twice.timestamp_echo == decoded.timestamp_echo);
}

void RequireConsistent(Link link, BytesView packet, std::uint32_t wire_bytes) {
  Work work;
  const Dissection d = Dissect(link, packet, wire_bytes, work);
  const std::size_t size = wire_bytes > packet.size ? wire_bytes : packet.size;
  Require(std::size_t{d.header_bytes} + d.payload_bytes <= size || d.status != DissectStatus::kOk);
  Require(work[WorkItem::kByteParsed] <= packet.size);
  Require(d.l3_offset <= d.l4_offset || d.l4_offset == 0);
  if (d.status != DissectStatus::kOk) return;
  Require(d.payload_offset <= packet.size && d.l4_offset <= d.payload_offset && d.l3_offset <= d.l4_offset);
  if (link == Link::kEthernet) RequireRoundTrip<EthernetHeader>(packet, 0);
  if (d.l3 == Layer3::kIpv4) RequireRoundTrip<Ipv4Header>(packet, d.l3_offset);
  if (d.l3 == Layer3::kIpv6) RequireRoundTrip<Ipv6Header>(packet, d.l3_offset);
  if (d.l3 == Layer3::kArp) RequireRoundTrip<ArpHeader>(packet, d.l3_offset);
  switch (d.l4) {
    case Layer4::kTcp:
      RequireRoundTrip<TcpHeader>(packet, d.l4_offset);
      RequireTcpOptions(packet.From(d.l4_offset + TcpHeader::kBytes)
                            .First(d.payload_offset - d.l4_offset - TcpHeader::kBytes));
      break;
    case Layer4::kUdp:
      RequireRoundTrip<UdpHeader>(packet, d.l4_offset);
      break;
    case Layer4::kIcmp:
    case Layer4::kIcmpv6:
      RequireRoundTrip<IcmpHeader>(packet, d.l4_offset);
      break;
    default:
      break;
  }
  // Behind the headers the bytes do not matter, and the capture may end.
  Work cut_work;
  const Dissection cut =
      Dissect(link, packet.First(d.payload_offset), static_cast<std::uint32_t>(size), cut_work);
  Require(cut.status == DissectStatus::kOk && cut.payload_bytes == d.payload_bytes && cut_work == work);
}

}  // namespace
}  // namespace foreflow::wire

// The first byte chooses the link, the second how much longer the packet was than its capture.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using foreflow::wire::Link;
  if (size < 2) return 0;
  const auto link = static_cast<Link>(data[0] % (static_cast<unsigned>(Link::kUnknown) + 1));
  const std::size_t captured = size - 2;
  foreflow::wire::RequireConsistent(link, {data + 2, captured},
                                    static_cast<std::uint32_t>(captured + std::size_t{8} * data[1]));
  return 0;
}
