// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "bindings/dataset/tasks.h"
#include "models/wire/ipv4.h"
#include "models/wire/tcp.h"

namespace foreflow::dataset {
namespace {

enum Kind : std::int8_t { kUnknown = -1, kStatic, kInferred, kDelta, kRandom, kKinds };
enum Field : std::size_t { kFlags, kTtl, kWindow, kIdentification, kSequence, kAcknowledgement, kFields };
constexpr std::array<const char*, kFields> kFieldNames = {"field_flags",    "field_ttl",
                                                          "field_window",   "field_identification",
                                                          "field_sequence", "field_acknowledgement"};
using Kinds = std::array<std::int8_t, kFields>;

enum Column : std::size_t {
  kNextDirection,
  kNextSize,
  kNextGap,
  kFirstField,
  kColumns = kFirstField + kFields
};

// What was last seen of one direction of a conversation.
struct Side {
  bool seen = false;
  Packet last;
  std::uint32_t end = 0;  // sequence number after the last packet
  std::uint32_t newest_end = 0;
};
struct Conversation {
  Side side[2];
  std::size_t row = SIZE_MAX;  // of the last packet
  std::uint8_t direction = 0;
};

bool IsTcp(const Packet& packet) { return packet.summary.key.ip_protocol == wire::kProtocolTcp; }

bool IsWithin(std::uint32_t a, std::uint32_t b, std::uint32_t distance) {
  return std::min(a - b, b - a) <= distance;
}

Kind WindowKind(std::uint16_t before, std::uint16_t now) {
  if (now == before) return kStatic;
  const int change = now > before ? now - before : before - now;
  return change <= before / 8 ? kDelta : kRandom;
}

Kind IdentificationKind(std::uint16_t before, std::uint16_t now) {
  const auto step = static_cast<std::uint16_t>(now - before);
  if (step == 0) return kStatic;
  if (step == 1) return kInferred;
  return step < 256 ? kDelta : kRandom;
}

Kinds KindsOf(const Packet& packet, const Conversation& conversation) {
  constexpr std::uint32_t kNear = 1u << 16;
  Kinds kinds;
  kinds.fill(kUnknown);
  const Side& own = conversation.side[packet.direction];
  const Side& other = conversation.side[1 - packet.direction];
  if (!own.seen) return kinds;
  const Packet& last = own.last;
  if (packet.ttl != 0) kinds[kTtl] = packet.ttl == last.ttl ? kStatic : kRandom;
  if (packet.has_identification)
    kinds[kIdentification] = IdentificationKind(last.identification, packet.identification);
  if (!IsTcp(packet)) return kinds;
  kinds[kFlags] = packet.summary.tcp_flags == last.summary.tcp_flags ? kStatic : kRandom;
  kinds[kWindow] = WindowKind(last.window, packet.window);
  kinds[kSequence] = packet.sequence == own.end                  ? kInferred
                     : IsWithin(packet.sequence, own.end, kNear) ? kDelta
                                                                 : kRandom;
  if (packet.acknowledgement == last.acknowledgement) {
    kinds[kAcknowledgement] = kStatic;
  } else if (other.seen && packet.acknowledgement == other.newest_end) {
    kinds[kAcknowledgement] = kInferred;
  } else {
    kinds[kAcknowledgement] =
        IsWithin(packet.acknowledgement, last.acknowledgement, kNear) ? kDelta : kRandom;
  }
  return kinds;
}

void Remember(const Packet& packet, Side& side) {
  const std::uint8_t flags = packet.summary.tcp_flags;
  const auto is = [&](std::uint8_t flag) { return (flags & flag) != 0 ? 1u : 0u; };
  side.end = packet.sequence + packet.summary.payload_bytes + is(wire::kTcpSyn) + is(wire::kTcpFin);
  const bool ahead = side.end - side.newest_end < 0x80000000u;
  if (!side.seen || ahead) side.newest_end = side.end;
  side.seen = true;
  side.last = packet;
}

}  // namespace

Made NextPacket::RowsOf(const std::vector<Packet>& packets, Nanos) {
  Made made;
  Rows& rows = made.rows;
  const std::size_t count = packets.size();
  rows.classes.assign(kColumns, std::vector<std::int8_t>(count, kUnknown));
  rows.values.resize(kColumns);
  made.known_ns.assign(kColumns, std::vector<std::int64_t>(count, -1));
  VmContexts contexts;
  std::vector<predict::ConversationState> states;
  std::vector<Conversation> conversations;
  std::vector<predict::SenderState> senders(std::size_t{UINT16_MAX} + 1);
  for (const Packet& packet : packets) {
    if (packet.conversation >= conversations.size()) {
      conversations.resize(packet.conversation + std::size_t{1});
      states.resize(conversations.size());
    }
    Conversation& conversation = conversations[packet.conversation];
    const Kinds kinds = KindsOf(packet, conversation);
    const Nanos now = packet.summary.arrival;
    if (conversation.row != SIZE_MAX) {
      const std::size_t row = conversation.row;
      rows.next_time_ns[row] = rows.resolved_ns[row] = now.count();
      rows.classes[kNextDirection][row] = packet.direction == conversation.direction ? 0 : 1;
      rows.classes[kNextSize][row] = SizeClassOf(packet);
      rows.classes[kNextGap][row] = GapClassOf(now - Nanos(rows.time_ns[row]));
      for (std::size_t field = 0; field < kFields; ++field)
        rows.classes[kFirstField + field][row] = kinds[field];
      for (auto& known : made.known_ns) known[row] = now.count();
    }
    conversation.row = rows.size();
    conversation.direction = packet.direction;
    Remember(packet, conversation.side[packet.direction]);

    predict::SequenceInputs inputs;
    SequenceStep(packet.summary, packet.direction, states[packet.conversation],
                 senders[packet.summary.key.vm], inputs);
    AddRow(packet, packet.conversation, inputs, contexts.Next(packet), rows);
    for (const std::int8_t kind : kinds) rows.inputs.push_back(static_cast<float>(kind + 1) * 0.25F);
  }
  return made;
}

Description NextPacket::Describe() const {
  Description description;
  description.task = "next-packet";
  description.feature_set = predict::kSequenceFeatureSet;
  description.symbols = predict::kSequenceSymbols;
  description.input_names = SequenceInputNames();
  description.targets = {{"next_direction", {"same", "other"}, ""},
                         {"next_size", SizeClasses(), ""},
                         {"next_gap", GapClasses(), ""}};
  for (const char* name : kFieldNames) {
    description.input_names.emplace_back(name);
    description.targets.push_back({name, {"static", "inferred", "delta", "random"}, ""});
  }
  return description;
}

}  // namespace foreflow::dataset
