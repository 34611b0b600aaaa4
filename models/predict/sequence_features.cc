// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/sequence_features.h"

#include <algorithm>

#include "models/predict/fixed_log.h"
#include "models/predict/ip_numbers.h"
#include "models/predict/labeler.h"

namespace foreflow::predict {
namespace {

// ConversationState::flags. The opener's direction is 0 or 1.
constexpr std::uint8_t kHasPacket = 1;
constexpr std::uint8_t kHandshakeSeen = 2;
constexpr std::uint8_t kOpenerKnown = 4;
constexpr std::uint8_t kOpener = 8;
constexpr std::uint8_t kHasData = 16;  // and 32 of direction 1

constexpr std::uint64_t kIdle = 200'000'000;
constexpr std::uint64_t kSilence = 5'000'000;
constexpr std::uint64_t kNever = UINT64_MAX;
constexpr int kTimeShift = 20;  // about a millisecond a unit
constexpr std::uint32_t kRunUnits = kIdle >> kTimeShift;
constexpr std::array<std::uint32_t, 3> kSizes = {64, 512, 1300};
constexpr std::array<std::uint32_t, 4> kRuns = {2048, 4096, 8192, TypeRules::kBulkBytes};

constexpr unsigned kRunKind = 24, kHandshakeKind = 54, kResetKind = 56, kEndKind = 57, kPlainKind = 58;
constexpr unsigned kStartSizes = 4, kRunSizes = 3;  // sizes told apart
static_assert(kPlainKind + 3 == kSequenceKinds);
static_assert(kSequenceFirstRole + 2 * kSequenceKinds == kSequenceSymbols);

// A difference of two times may not fit: huge gaps saturate.
std::uint64_t Gap(Nanos earlier, Nanos later) {
  if (later <= earlier) return 0;
  return static_cast<std::uint64_t>(later.count()) - static_cast<std::uint64_t>(earlier.count());
}

std::uint32_t Units(Nanos time) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(time.count()) >> kTimeShift);
}

void SetOpener(ConversationState& conversation, unsigned direction) {
  conversation.flags = static_cast<std::uint8_t>((conversation.flags & ~kOpener) | kOpenerKnown |
                                                 (direction != 0 ? kOpener : 0));
}

// Whether the direction's run has lasted until now; one that has not is forgotten.
bool RunGoesOn(ConversationState& conversation, unsigned direction, std::uint32_t now) {
  const auto has_data = static_cast<std::uint8_t>(kHasData << direction);
  ConversationState::Direction& run = conversation.direction[direction];
  if ((conversation.flags & has_data) != 0 && now - run.time <= kRunUnits) return true;
  conversation.flags = static_cast<std::uint8_t>(conversation.flags & ~has_data);
  run.volume = 0;
  return false;
}

template <std::size_t kEdges>
unsigned ClassOf(std::uint32_t value, const std::array<std::uint32_t, kEdges>& edges) {
  unsigned index = 0;
  while (index < kEdges && value >= edges[index]) ++index;
  return index;
}

unsigned DataKind(const PacketSummary& packet, bool goes_on, std::uint32_t run, bool idle, bool silence) {
  const bool is_pushed = packet.key.ip_protocol == kProtocolTcp && (packet.tcp_flags & kTcpPsh) != 0;
  const unsigned size = ClassOf(packet.payload_bytes, kSizes), push = is_pushed ? 1 : 0;
  if (!goes_on) {
    const unsigned start = idle ? 2 : silence ? 1 : 0;
    return 2 * (kStartSizes * start + size) + push;
  }
  return kRunKind + 2 * (kRunSizes * ClassOf(run, kRuns) + (size == 0 ? 0 : size - 1)) + push;
}

bool Answers(const PacketSummary& packet, unsigned direction, bool begins, ConversationState& conversation) {
  if (packet.key.ip_protocol == kProtocolTcp && (packet.tcp_flags & kTcpSyn) != 0) {
    SetOpener(conversation, (packet.tcp_flags & kTcpAck) != 0 ? 1 - direction : direction);
    conversation.flags |= kHandshakeSeen;
  } else if (begins && (conversation.flags & kHandshakeSeen) == 0) {
    SetOpener(conversation, direction);
  }
  if ((conversation.flags & kOpenerKnown) == 0) return packet.key.source_port < packet.key.destination_port;
  return ((conversation.flags & kOpener) != 0 ? 1U : 0U) != direction;
}

}  // namespace

float LogInput(std::uint64_t x) {
  const std::uint64_t value = std::min<std::uint64_t>(x, UINT32_MAX - 1) + 1;
  return static_cast<float>(Log2(static_cast<std::uint32_t>(value))) * 0x1p-17F;
}

void SequenceStep(const PacketSummary& packet, std::uint8_t direction, ConversationState& conversation,
                  SenderState& sender, SequenceInputs& inputs) {
  const bool has_packet = (conversation.flags & kHasPacket) != 0;
  const std::uint64_t gap = has_packet ? Gap(conversation.last_arrival, packet.arrival) : kNever;
  const std::uint64_t sender_gap = sender.has_arrival ? Gap(sender.last_arrival, packet.arrival) : kNever;
  const bool idle = sender_gap > kIdle;
  const bool silence = gap > kSilence;
  conversation.flags |= kHasPacket;
  conversation.last_arrival = packet.arrival;
  sender.has_arrival = true;
  sender.last_arrival = packet.arrival;

  const bool is_tcp = packet.key.ip_protocol == kProtocolTcp;
  const bool has_data = CarriesData(packet);
  const std::uint32_t now = Units(packet.arrival);
  const bool own_goes_on = RunGoesOn(conversation, direction, now);
  const bool other_goes_on = RunGoesOn(conversation, 1U - direction, now);
  ConversationState::Direction& own = conversation.direction[direction];
  const std::uint32_t run = own.volume;

  inputs.value = {LogInput(gap >> 10), LogInput(sender_gap >> 10), LogInput(packet.payload_bytes),
                  LogInput(run)};
  if (packet.is_group_addressed) {
    inputs.symbol = idle ? 1 : 0;
    return;
  }
  if (!has_data && !is_tcp) {
    inputs.symbol = idle ? 3 : 2;
    return;
  }

  const bool answers = Answers(packet, direction, has_data && !own_goes_on && !other_goes_on, conversation);
  unsigned kind = 0;
  if (has_data) {
    kind = DataKind(packet, own_goes_on, run, idle, silence);
    own.volume = run > UINT32_MAX - packet.payload_bytes ? UINT32_MAX : run + packet.payload_bytes;
    own.time = now;
    conversation.flags = static_cast<std::uint8_t>(conversation.flags | kHasData << direction);
  } else if ((packet.tcp_flags & kTcpSyn) != 0) {
    kind = kHandshakeKind + (idle ? 1 : 0);
  } else if ((packet.tcp_flags & kTcpRst) != 0) {
    kind = kResetKind;
  } else if ((packet.tcp_flags & kTcpFin) != 0) {
    kind = kEndKind;
  } else {
    kind = kPlainKind + (idle ? 2 : silence ? 1 : 0);
  }
  inputs.symbol = static_cast<std::uint8_t>(kSequenceFirstRole + (answers ? kSequenceKinds : 0) + kind);
}

}  // namespace foreflow::predict
