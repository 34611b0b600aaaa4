// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/host_frame.h"

#include <optional>

#include "models/base/hash.h"
#include "models/flow/flow_key.h"
#include "models/wire/dissect.h"
#include "models/wire/rewrite.h"
#include "models/wire/tunnel.h"

namespace foreflow::shard {
namespace {

constexpr KeyHasher kFlowHasher(0);

bool HasIp(const wire::Dissection& packet) {
  return packet.l3 == wire::Layer3::kIpv4 || packet.l3 == wire::Layer3::kIpv6;
}

}  // namespace

HostFrame ReadHostFrame(BytesView frame, Work& work) {
  const wire::Dissection packet =
      wire::Dissect(wire::Link::kEthernet, frame, static_cast<std::uint32_t>(frame.size), work);
  flow::FlowKey key = flow::KeyOf(packet, 0);
  // Later fragments have no ports: all fragments of a packet go by one way.
  if (packet.is_fragment) key.source_port = key.destination_port = 0;
  work.Add(WorkItem::kHash);
  HostFrame read;
  read.ecn = HasIp(packet) ? packet.ecn : std::uint8_t{0};
  read.flow = static_cast<std::uint16_t>(kFlowHasher(&key) >> 48);
  return read;
}

bool TakeOverEcn(std::uint8_t outer, MutableBytes frame, Work& work) {
  wire::Dissection packet =
      wire::Dissect(wire::Link::kEthernet, frame, static_cast<std::uint32_t>(frame.size), work);
  if (!HasIp(packet)) return true;
  const std::optional<std::uint8_t> ecn = wire::DecapsulatedEcn(packet.ecn, outer);
  if (!ecn) return false;
  if (*ecn != packet.ecn) wire::SetEcn(*ecn, frame, packet);
  return true;
}

}  // namespace foreflow::shard
