// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/flow_key.h"

#include "models/wire/be.h"
#include "models/wire/ipv4.h"

namespace foreflow::flow {
namespace {

__extension__ using Wide = unsigned __int128;

// In the order of the address's bytes.
Wide Ordered(const std::array<std::uint8_t, 16>& address) {
  return Wide{wire::Load64(address.data())} << 64 | wire::Load64(address.data() + 8);
}

// Type and code of the message that an ICMP reply answers; any other message stands for itself.
std::uint16_t RequestOf(std::uint8_t ip_protocol, std::uint16_t type_and_code) {
  constexpr unsigned kEchoReply = 0, kEcho = 8, kTimestamp = 13, kTimestampReply = 14;
  constexpr unsigned kEchoRequest6 = 128, kEchoReply6 = 129;
  unsigned type = type_and_code >> 8;
  if (ip_protocol == wire::kProtocolIcmp && type == kEchoReply) type = kEcho;
  if (ip_protocol == wire::kProtocolIcmp && type == kTimestampReply) type = kTimestamp;
  if (ip_protocol == wire::kProtocolIcmpv6 && type == kEchoReply6) type = kEchoRequest6;
  return static_cast<std::uint16_t>(type << 8 | (type_and_code & 0xffu));
}

}  // namespace

FlowKey Canonical(const FlowKey& key) {
  bool swapped = false;
  return Canonical(key, swapped);
}

FlowKey Canonical(const FlowKey& key, bool& swapped) {
  // Without IP and in ICMP the two port fields do not belong to one endpoint each.
  const bool is_icmp =
      IsIp(key.l3) && (key.ip_protocol == wire::kProtocolIcmp || key.ip_protocol == wire::kProtocolIcmpv6);
  const bool has_ports = IsIp(key.l3) && !is_icmp;
  // No branches: which endpoint is the lower one is nothing that a processor could foresee.
  const Wide source = Ordered(key.source_address);
  const Wide destination = Ordered(key.destination_address);
  const bool is_lower_port = has_ports & (key.destination_port < key.source_port);
  swapped = (destination < source) | ((destination == source) & is_lower_port);
  const std::uint64_t mask = swapped ? ~std::uint64_t{0} : 0;
  std::uint64_t exchanged[2];
  for (std::size_t i = 0; i < 2; ++i) {
    exchanged[i] = (LoadWord(&key.source_address, i) ^ LoadWord(&key.destination_address, i)) & mask;
  }
  FlowKey canonical;
  StoreWords(&canonical.source_address, LoadWord(&key.source_address) ^ exchanged[0],
             LoadWord(&key.source_address, 1) ^ exchanged[1]);
  StoreWords(&canonical.destination_address, LoadWord(&key.destination_address) ^ exchanged[0],
             LoadWord(&key.destination_address, 1) ^ exchanged[1]);
  const std::uint16_t last_port =
      is_icmp ? RequestOf(key.ip_protocol, key.destination_port) : key.destination_port;
  const bool swaps_ports = swapped & has_ports;
  StoreWord(&canonical.source_port,
            LastWordOf(swaps_ports ? last_port : key.source_port, swaps_ports ? key.source_port : last_port,
                       0, key.ip_protocol, key.l3));
  return canonical;
}

}  // namespace foreflow::flow
