// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "bindings/dataset/tasks.h"
#include "models/base/hash.h"
#include "models/wire/ipv4.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::dataset {
namespace {

enum Column : std::size_t { kDestination, kRank, kColumns };

// What the destination is known by, in a flow key that holds nothing else.
flow::FlowKey DestinationOf(const predict::PacketSummary& packet) {
  flow::FlowKey key;
  key.destination_address = packet.key.destination_address;
  key.ip_protocol = packet.key.ip_protocol;
  key.l3 = packet.key.l3;
  if (key.ip_protocol == wire::kProtocolTcp || key.ip_protocol == wire::kProtocolUdp) {
    key.destination_port = std::min(packet.key.source_port, packet.key.destination_port);
  }
  return key;
}

// One VM: where it has been, the latest first, and the row of its last turn.
struct Walk {
  std::vector<std::uint32_t> visited;
  std::size_t row = SIZE_MAX;
  std::uint32_t stayed = 0;
  Nanos turned;
};

// How many others the VM has been at since it was there, the present one left out.
std::size_t RankOf(const Walk& walk, std::uint32_t destination) {
  const auto found = std::find(walk.visited.begin(), walk.visited.end(), destination);
  const std::size_t most = NextDestination::kRanks - 1;
  if (found == walk.visited.end()) return most;
  const auto place = static_cast<std::size_t>(found - walk.visited.begin());
  return std::min(place == 0 ? 0 : place - 1, most);
}

void MoveToFront(Walk& walk, std::uint32_t destination) {
  const auto found = std::find(walk.visited.begin(), walk.visited.end(), destination);
  if (found == walk.visited.end()) {
    walk.visited.insert(walk.visited.begin(), destination);
  } else {
    std::rotate(walk.visited.begin(), found, found + 1);
  }
}

std::uint8_t SymbolOfNumber(std::uint32_t number) {
  return static_cast<std::uint8_t>(std::min<std::uint32_t>(number, NextDestination::kNamed));
}

}  // namespace

std::size_t NextDestination::KeyHash::operator()(const flow::FlowKey& key) const {
  return KeyHasher(0)(&key);
}

std::uint32_t NextDestination::NumberOf(const Packet& packet) {
  const auto next = static_cast<std::uint32_t>(numbers_.size());
  return numbers_.emplace(DestinationOf(packet.summary), next).first->second;
}

Made NextDestination::RowsOf(const std::vector<Packet>& packets, Nanos) {
  Made made;
  Rows& rows = made.rows;
  rows.classes.resize(kColumns);
  rows.values.resize(kColumns);
  made.known_ns.resize(kColumns);
  VmContexts contexts;
  std::vector<Walk> walks(std::size_t{UINT16_MAX} + 1);
  for (const Packet& packet : packets) {
    const std::array<std::uint8_t, 4> context = contexts.Next(packet);
    const flow::VmId vm = packet.summary.key.vm;
    if (vm == 0 || packet.summary.is_group_addressed) continue;
    Walk& walk = walks[vm];
    const std::uint32_t number = NumberOf(packet);
    if (!walk.visited.empty() && walk.visited.front() == number) {
      ++walk.stayed;
      continue;
    }
    const Nanos now = packet.summary.arrival;
    const std::size_t rank = RankOf(walk, number);
    if (walk.row != SIZE_MAX) {
      rows.next_time_ns[walk.row] = rows.resolved_ns[walk.row] = now.count();
      rows.classes[kDestination][walk.row] = static_cast<std::int8_t>(SymbolOfNumber(number));
      rows.classes[kRank][walk.row] = static_cast<std::int8_t>(rank);
      for (auto& known : made.known_ns) known[walk.row] = now.count();
    }
    const std::uint64_t gap =
        walk.row == SIZE_MAX ? UINT64_MAX : static_cast<std::uint64_t>((now - walk.turned).count());
    predict::SequenceInputs inputs;
    inputs.symbol = SymbolOfNumber(number);
    inputs.value = {predict::LogInput(gap >> 10), predict::LogInput(walk.stayed),
                    static_cast<float>(rank) * (1.0F / kRanks), predict::LogInput(walk.visited.size())};
    MoveToFront(walk, number);
    walk.row = rows.size();
    walk.stayed = 0;
    walk.turned = now;
    AddRow(packet, vm, inputs, context, rows);
    for (auto& column : rows.classes) column.push_back(-1);
    for (auto& known : made.known_ns) known.push_back(-1);
  }
  return made;
}

Description NextDestination::Describe() const {
  Description description;
  description.task = "next-destination";
  description.feature_set = 1;
  description.symbols = kNamed + 1;
  description.input_names = {"turn_gap", "stayed", "rank", "visited"};
  std::vector<std::string> destinations, ranks;
  for (std::size_t i = 0; i < kNamed; ++i) destinations.push_back("destination_" + std::to_string(i));
  destinations.emplace_back("later");
  for (std::size_t i = 0; i + 1 < kRanks; ++i) ranks.push_back("rank_" + std::to_string(i));
  ranks.emplace_back("older_or_new");
  description.targets = {{"next_destination", destinations, ""}, {"next_rank", ranks, ""}};
  return description;
}

}  // namespace foreflow::dataset
