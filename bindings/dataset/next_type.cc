// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "bindings/dataset/tasks.h"

namespace foreflow::dataset {
namespace {

enum Column : std::size_t { kType, kNextType, kNextDirection, kNextSize, kNextGap, kColumns };
constexpr std::size_t kNone = SIZE_MAX;

std::vector<std::string> TypeNames() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < predict::kPacketTypes; ++i)
    names.emplace_back(Name(static_cast<predict::PacketType>(i)));
  return names;
}

// Of a symbol of sequence_features.h.
std::int8_t DirectionOf(std::uint8_t symbol) {
  if (symbol < predict::kSequenceFirstRole) return 2;
  return symbol < predict::kSequenceFirstRole + predict::kSequenceKinds ? 0 : 1;
}

// The next packet of the same VM.
std::vector<std::size_t> Followers(const std::vector<Packet>& packets) {
  std::vector<std::size_t> follower(packets.size(), kNone), next(std::size_t{UINT16_MAX} + 1, kNone);
  for (std::size_t i = packets.size(); i-- > 0;) {
    std::size_t& of_vm = next[packets[i].summary.key.vm];
    follower[i] = of_vm;
    of_vm = i;
  }
  return follower;
}

}  // namespace

Made NextType::RowsOf(const std::vector<Packet>& packets, Nanos horizon) {
  Made made;
  Rows& rows = made.rows;
  VmContexts contexts;
  std::vector<predict::ConversationState> conversations;
  std::vector<predict::SenderState> senders(std::size_t{UINT16_MAX} + 1);
  for (const Packet& packet : packets) {
    if (packet.conversation >= conversations.size())
      conversations.resize(packet.conversation + std::size_t{1});
    predict::SequenceInputs inputs;
    SequenceStep(packet.summary, packet.direction, conversations[packet.conversation],
                 senders[packet.summary.key.vm], inputs);
    AddRow(packet, packet.conversation, inputs, contexts.Next(packet), rows);
  }

  const std::size_t count = packets.size();
  rows.classes.assign(kColumns, std::vector<std::int8_t>(count, -1));
  rows.values.resize(kColumns);
  made.known_ns.assign(kColumns, std::vector<std::int64_t>(count, -1));
  const std::vector<std::size_t> followers = Followers(packets);
  for (std::size_t i = 0; i < count; ++i) {
    if (packets[i].summary.key.vm == 0) continue;
    const Nanos time = packets[i].summary.arrival;
    rows.classes[kType][i] = static_cast<std::int8_t>(packets[i].type);
    made.known_ns[kType][i] = rows.resolved_ns[i] = (time + horizon).count();
    const std::size_t next = followers[i];
    if (next == kNone) continue;
    const Nanos then = packets[next].summary.arrival;
    rows.next_time_ns[i] = then.count();
    rows.classes[kNextType][i] = static_cast<std::int8_t>(packets[next].type);
    rows.classes[kNextDirection][i] = DirectionOf(rows.symbol[next]);
    rows.classes[kNextSize][i] = SizeClassOf(packets[next]);
    rows.classes[kNextGap][i] = GapClassOf(then - time);
    for (std::size_t column = kNextType; column < kColumns; ++column) made.known_ns[column][i] = then.count();
    made.known_ns[kNextType][i] = (then + horizon).count();
  }
  return made;
}

Description NextType::Describe() const {
  Description description;
  description.task = "next-type";
  description.feature_set = predict::kSequenceFeatureSet;
  description.symbols = predict::kSequenceSymbols;
  description.input_names = SequenceInputNames();
  description.targets = {{"type", TypeNames(), ""},
                         {"next_type", TypeNames(), ""},
                         {"next_direction", {"asks", "answers", "neither"}, ""},
                         {"next_size", SizeClasses(), ""},
                         {"next_gap", GapClasses(), ""}};
  return description;
}

}  // namespace foreflow::dataset
