// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/features.h"

#include "models/base/hash.h"
#include "models/predict/ip_numbers.h"

namespace foreflow::predict {
namespace {

constexpr KeyHasher kHash(0x6665617475726573);

// FeatureState::Flow::flags.
constexpr std::uint8_t kLastCarriedData = 1;
constexpr std::uint8_t kRoleIsKnown = 2;
constexpr std::uint8_t kAnswers = 4;

constexpr int kTimeShift = 20;  // about a millisecond a unit
constexpr std::uint32_t kRunUnits = 200'000'000 >> kTimeShift;

enum Kind : unsigned { kGroupAddressed, kOtherControl, kTcpEdge, kTcpAckOnly, kFirstDataKind };
constexpr unsigned kAnswererKinds = 6;  // from here on from kFirstDataKind

unsigned GapClass(const PacketSummary& packet, const FeatureState& state) {
  if (!state.has_arrival) return 3;
  // A difference of two times may not fit: huge gaps saturate.
  if (packet.arrival <= state.last_arrival) return 0;
  const std::uint64_t gap = static_cast<std::uint64_t>(packet.arrival.count()) -
                            static_cast<std::uint64_t>(state.last_arrival.count());
  if (gap < 1'000'000) return 0;
  if (gap < 50'000'000) return 1;
  return gap < 200'000'000 ? 2 : 3;
}

// The VM's entry for the packet's flow, emptied if it was another flow's.
FeatureState::Flow& FlowOf(const PacketSummary& packet, FeatureState& state) {
  const std::uint64_t hash = kHash(&packet.key);
  FeatureState::Flow& flow = state.flow[hash % FeatureState::kFlows];
  const auto tag = static_cast<std::uint16_t>(hash >> 48);
  if (flow.tag != tag) {
    flow = FeatureState::Flow{};
    flow.tag = tag;
  }
  return flow;
}

bool Answers(const PacketSummary& packet, FeatureState::Flow& flow) {
  const bool is_tcp = packet.key.ip_protocol == kProtocolTcp;
  if (is_tcp && (packet.tcp_flags & kTcpSyn) != 0) {
    flow.flags |= kRoleIsKnown;
    flow.flags = static_cast<std::uint8_t>(flow.flags & ~kAnswers);
    if ((packet.tcp_flags & kTcpAck) != 0) flow.flags |= kAnswers;
  }
  if ((flow.flags & kRoleIsKnown) != 0) return (flow.flags & kAnswers) != 0;
  return packet.key.source_port < packet.key.destination_port;
}

unsigned KindOf(const PacketSummary& packet, FeatureState& state) {
  if (packet.is_group_addressed) return kGroupAddressed;
  const bool is_tcp = packet.key.ip_protocol == kProtocolTcp;
  const bool has_data = CarriesData(packet);
  if (!has_data && !is_tcp) return kOtherControl;

  FeatureState::Flow& flow = FlowOf(packet, state);
  const bool answers = Answers(packet, flow);
  const auto time =
      static_cast<std::uint32_t>(static_cast<std::uint64_t>(packet.arrival.count()) >> kTimeShift);
  const bool runs_on = (flow.flags & kLastCarriedData) != 0 && time - flow.time <= kRunUnits;
  flow.time = time;
  flow.flags =
      static_cast<std::uint8_t>(has_data ? flow.flags | kLastCarriedData : flow.flags & ~kLastCarriedData);
  if (!has_data) return (packet.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) != 0 ? kTcpEdge : kTcpAckOnly;
  const unsigned size = packet.payload_bytes < 256 ? 0 : packet.payload_bytes < 1024 ? 1 : 2;
  return kFirstDataKind + (answers ? kAnswererKinds : 0) + 2 * size + (runs_on ? 1 : 0);
}

}  // namespace

Symbol SymbolOf(const PacketSummary& packet, FeatureState& state) {
  const unsigned gap = GapClass(packet, state);
  const unsigned kind = KindOf(packet, state);
  state.last_arrival = packet.arrival;
  state.has_arrival = true;
  return static_cast<Symbol>(gap << 4 | kind);
}

PacketType UsualType(Symbol symbol) {
  const unsigned kind = symbol & 15u;
  if (kind == kGroupAddressed) return PacketType::kGroup;
  if (kind < kFirstDataKind) return PacketType::kControl;
  return kind < kFirstDataKind + kAnswererKinds ? PacketType::kRequest : PacketType::kResponse;
}

}  // namespace foreflow::predict
