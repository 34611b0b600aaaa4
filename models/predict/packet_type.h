// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_PACKET_TYPE_H_
#define FOREFLOW_MODELS_PREDICT_PACKET_TYPE_H_

#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/flow/flow_key.h"

namespace foreflow::predict {

// What a packet turns out to be. The rule that labels each, from the packets that follow, is the one table
// in labeler.h.
enum class PacketType : std::uint8_t {
  kControl,
  kRequest,
  kResponse,
  kBulk,
  kStream,
  kGroup,      // multicast or broadcast
  kIdleBurst,  // the first of a burst after the VM was idle
  kCount,
};

constexpr std::size_t kPacketTypes = static_cast<std::size_t>(PacketType::kCount);

// The snake_case name; nullptr out of range.
const char* Name(PacketType type);

// What prediction may know of a packet when it arrives.
struct PacketSummary {
  Nanos arrival;  // on the sender's clock
  flow::FlowKey key;
  std::uint32_t wire_bytes = 0;
  std::uint32_t payload_bytes = 0;
  std::uint8_t tcp_flags = 0;  // as on the wire
  bool is_group_addressed = false;
};

// `packet` as prediction sees it: `arrival` at the host's virtual port, `wire_bytes` with all headers.
PacketSummary Summarise(const wire::Dissection& packet, const flow::FlowKey& key, Nanos arrival,
                        std::uint32_t wire_bytes);

// Whether the packet carries an application's bytes: IP, some payload, and neither ICMP, ICMPv6, IGMP nor a
// TCP reset (whose payload is a diagnostic, RFC 9293 3.5.3).
bool CarriesData(const PacketSummary& packet);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_PACKET_TYPE_H_
