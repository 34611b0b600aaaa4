// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/packet_type.h"

#include <array>

#include "models/predict/ip_numbers.h"

namespace foreflow::predict {

const char* Name(PacketType type) {
  static constexpr std::array<const char*, kPacketTypes> kNames = {"control", "request", "response",  "bulk",
                                                                   "stream",  "group",   "idle_burst"};
  const auto index = static_cast<std::size_t>(type);
  return index < kNames.size() ? kNames[index] : nullptr;
}

PacketSummary Summarise(const wire::Dissection& packet, const flow::FlowKey& key, Nanos arrival,
                        std::uint32_t wire_bytes) {
  PacketSummary summary;
  summary.arrival = arrival;
  summary.key = key;
  summary.wire_bytes = wire_bytes;
  summary.payload_bytes = packet.payload_bytes;
  summary.tcp_flags = packet.tcp_flags;
  summary.is_group_addressed = packet.is_group_addressed;
  return summary;
}

bool CarriesData(const PacketSummary& packet) {
  const auto l3 = static_cast<wire::Layer3>(packet.key.l3);
  if (l3 != wire::Layer3::kIpv4 && l3 != wire::Layer3::kIpv6) return false;
  if (packet.payload_bytes == 0) return false;
  switch (packet.key.ip_protocol) {
    case kProtocolIcmp:
    case kProtocolIgmp:
    case kProtocolIcmpv6:
      return false;
    case kProtocolTcp:
      return (packet.tcp_flags & kTcpRst) == 0;
    default:
      return true;
  }
}

}  // namespace foreflow::predict
