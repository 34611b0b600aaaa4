// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dataset/packets.h"

#include <unordered_map>

#include "models/base/hash.h"
#include "models/path/future.h"
#include "models/wire/be.h"

namespace foreflow::dataset {
namespace {

struct KeyHash {
  std::size_t operator()(const flow::FlowKey& key) const { return KeyHasher(0)(&key); }
};

constexpr std::size_t kIdentificationAt = 4;  // in the IPv4 header

void TakeHeader(const path::Arrival& arrival, const wire::Dissection& from, Packet& packet) {
  packet.ttl = from.ttl;
  packet.traffic_class = static_cast<std::uint8_t>(from.dscp << 2 | from.ecn);
  packet.window = from.tcp_window;
  packet.sequence = from.tcp_sequence;
  packet.acknowledgement = from.tcp_acknowledgement;
  packet.header_bytes = from.header_bytes;
  const std::size_t at = from.l3_offset + kIdentificationAt;
  packet.has_identification = from.l3 == wire::Layer3::kIpv4 && at + 2 <= arrival.captured.size;
  if (packet.has_identification) packet.identification = wire::Load16(arrival.captured.data + at);
}

}  // namespace

std::vector<Packet> PacketsOf(const pcap::Traffic& traffic, Nanos horizon) {
  const path::Future future(traffic.arrivals, horizon);
  std::unordered_map<flow::FlowKey, std::uint32_t, KeyHash> conversations;  // looked up only
  std::vector<Packet> packets;
  packets.reserve(traffic.arrivals.size());
  for (std::size_t i = 0; i < traffic.arrivals.size(); ++i) {
    const path::Arrival& arrival = traffic.arrivals[i];
    const path::Parsed parsed = path::Parse(arrival);
    if (!parsed.decidable) continue;
    Packet packet;
    packet.summary = predict::Summarise(parsed.packet, parsed.key, arrival.sent, arrival.wire_bytes);
    packet.type = future.type(i);
    bool swapped = false;
    const flow::FlowKey canonical = flow::Canonical(parsed.key, swapped);
    packet.direction = swapped ? 1 : 0;
    const auto next = static_cast<std::uint32_t>(conversations.size());
    packet.conversation = conversations.emplace(canonical, next).first->second;
    TakeHeader(arrival, parsed.packet, packet);
    packets.push_back(packet);
  }
  return packets;
}

std::array<std::uint8_t, 4> VmContexts::Next(const Packet& packet) {
  const flow::VmId vm = packet.summary.key.vm;
  if (vm >= vms_.size()) vms_.resize(vm + std::size_t{1});
  Vm& own = vms_[vm];
  const predict::Symbol symbol = predict::SymbolOf(packet.summary, own.features);
  own.context.symbol = {symbol, own.context.symbol[0], own.context.symbol[1]};
  if (own.context.length < own.context.symbol.size()) ++own.context.length;
  return {own.context.symbol[0], own.context.symbol[1], own.context.symbol[2], own.context.length};
}

}  // namespace foreflow::dataset
