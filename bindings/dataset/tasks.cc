// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dataset/tasks.h"

namespace foreflow::dataset {
namespace {

constexpr std::array<std::uint32_t, 4> kSizes = {1, 64, 512, 1200};
constexpr std::array<Nanos, 5> kGaps = {Micros(100), Millis(1), Millis(10), Millis(50), Millis(200)};

}  // namespace

std::vector<std::string> SizeClasses() { return {"none", "below_64", "below_512", "below_1200", "full"}; }

std::int8_t SizeClassOf(const Packet& packet) {
  std::int8_t index = 0;
  for (const std::uint32_t size : kSizes)
    index = static_cast<std::int8_t>(index + (packet.summary.payload_bytes >= size));
  return index;
}

std::vector<std::string> GapClasses() {
  return {"below_100us", "below_1ms", "below_10ms", "below_50ms", "below_200ms", "longer"};
}

std::int8_t GapClassOf(Nanos gap) {
  std::int8_t index = 0;
  for (const Nanos edge : kGaps) index = static_cast<std::int8_t>(index + (gap >= edge));
  return index;
}

std::vector<std::string> SequenceInputNames() {
  return {predict::kSequenceInputNames.begin(), predict::kSequenceInputNames.end()};
}

void AddRow(const Packet& packet, std::uint32_t sequence, const predict::SequenceInputs& inputs,
            const std::array<std::uint8_t, 4>& context, Rows& rows) {
  rows.time_ns.push_back(packet.summary.arrival.count());
  rows.sequence.push_back(sequence);
  rows.vm.push_back(packet.summary.key.vm);
  rows.symbol.push_back(inputs.symbol);
  rows.inputs.insert(rows.inputs.end(), inputs.value.begin(), inputs.value.end());
  rows.next_time_ns.push_back(-1);
  rows.resolved_ns.push_back(-1);
  rows.known_packets.push_back(0);
  rows.context.push_back(context);
}

}  // namespace foreflow::dataset
