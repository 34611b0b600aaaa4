// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/flow_key.h"

#include <tuple>
#include <utility>

#include "models/wire/be.h"
#include "models/wire/ipv4.h"

namespace foreflow::flow {
namespace {

// In the order of the address's bytes, then of the port.
std::tuple<std::uint64_t, std::uint64_t, std::uint16_t> Ordered(const std::array<std::uint8_t, 16>& address,
                                                                std::uint16_t port) {
  return {wire::Load64(address.data()), wire::Load64(address.data() + 8), port};
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
  FlowKey canonical = key;
  canonical.vm = 0;
  // Without IP and in ICMP the two port fields do not belong to one endpoint each.
  const bool is_icmp =
      IsIp(key.l3) && (key.ip_protocol == wire::kProtocolIcmp || key.ip_protocol == wire::kProtocolIcmpv6);
  const bool has_ports = IsIp(key.l3) && !is_icmp;
  if (is_icmp) canonical.destination_port = RequestOf(key.ip_protocol, key.destination_port);
  const auto source = Ordered(key.source_address, has_ports ? key.source_port : std::uint16_t{0});
  const auto destination =
      Ordered(key.destination_address, has_ports ? key.destination_port : std::uint16_t{0});
  swapped = destination < source;
  if (swapped) {
    std::swap(canonical.source_address, canonical.destination_address);
    if (has_ports) std::swap(canonical.source_port, canonical.destination_port);
  }
  return canonical;
}

}  // namespace foreflow::flow
