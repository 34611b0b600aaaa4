// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/features.h"

#include <algorithm>

#include "models/base/hash.h"
#include "models/predict/ip_numbers.h"
#include "models/predict/labeler.h"

namespace foreflow::predict {
namespace {

constexpr KeyHasher kHash(0x6665617475726573);

// FeatureState::Flow::flags.
constexpr std::uint8_t kRoleIsKnown = 1;
constexpr std::uint8_t kAnswers = 2;

constexpr int kTimeShift = 20;  // about a millisecond a unit
constexpr std::uint32_t kRunUnits = 200'000'000 >> kTimeShift;
constexpr std::uint32_t kVolumeUnit = 256;
constexpr std::uint32_t kBulkVolume = TypeRules::kBulkBytes / kVolumeUnit;
constexpr std::uint32_t kLargePayload = TypeRules::kBulkMeanBytes;
static_assert(kBulkVolume < 255, "a saturated volume is a bulk one");

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
  if (!has_data) return (packet.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) != 0 ? kTcpEdge : kTcpAckOnly;

  const auto time =
      static_cast<std::uint32_t>(static_cast<std::uint64_t>(packet.arrival.count()) >> kTimeShift);
  if (time - flow.time > kRunUnits) flow.volume = 0;
  const unsigned run = flow.volume == 0 ? 0 : flow.volume < kBulkVolume ? 1 : 2;
  // At least one unit: a run of tiny packets is a run, too.
  const std::uint64_t units =
      std::max<std::uint64_t>(1, (std::uint64_t{packet.payload_bytes} + kVolumeUnit / 2) / kVolumeUnit);
  flow.volume = static_cast<std::uint8_t>(std::min<std::uint64_t>(255, flow.volume + units));
  flow.time = time;
  const unsigned size = packet.payload_bytes < kLargePayload ? 0 : 1;
  return kFirstDataKind + (answers ? kAnswererKinds : 0) + 3 * size + run;
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
