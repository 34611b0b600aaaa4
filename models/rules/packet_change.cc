// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/packet_change.h"

#include "models/base/refusal.h"

namespace foreflow::rules {

void CheckChange(const PacketChange& change, const std::string& where) {
  wire::CheckRewrite(change.rewrite, where);
  if (change.push_vlan) {
    const std::uint16_t vid = change.push_vlan->vid;
    if (vid == 0 || vid > 4094) throw Refusal(where, "push_vlan", std::to_string(vid), "1..4094");
    if (change.push_vlan->priority > 7) {
      throw Refusal(where, "priority", std::to_string(change.push_vlan->priority), "0..7");
    }
  }
  if (change.tunnel) wire::CheckTunnel(*change.tunnel, where);
}

std::size_t Headroom(const PacketChange& change, std::size_t option_bytes) {
  return (change.push_vlan ? wire::VlanTag::kBytes : 0) +
         (change.tunnel ? wire::OuterBytes(*change.tunnel, option_bytes) : 0);
}

ChangeStatus Judge(const PacketChange& change, wire::Link link, const wire::Dissection& packet,
                   std::uint32_t wire_bytes, Work& work, std::size_t option_bytes) {
  const bool needs_frame = change.pop_vlan || change.push_vlan || change.tunnel;
  if (needs_frame && link != wire::Link::kEthernet) return ChangeStatus::kNoFrame;
  const bool has_ip = packet.l3 == wire::Layer3::kIpv4 || packet.l3 == wire::Layer3::kIpv6;
  if (change.rewrite.decrement_ttl && has_ip && packet.ttl <= 1) return ChangeStatus::kExpired;
  std::uint32_t inner_bytes = wire_bytes;
  if (change.pop_vlan && packet.l3_offset > wire::EthernetHeader::kBytes) {
    inner_bytes -= static_cast<std::uint32_t>(wire::VlanTag::kBytes);
    work.Add(WorkItem::kHeader);
  }
  if (change.push_vlan) {
    inner_bytes += static_cast<std::uint32_t>(wire::VlanTag::kBytes);
    work.Add(WorkItem::kHeader);
  }
  work.Add(WorkItem::kHeader, wire::HeadersOf(change.rewrite));
  if (!change.tunnel) return ChangeStatus::kOk;
  if (!wire::Fits(*change.tunnel, inner_bytes, option_bytes)) return ChangeStatus::kTooLong;
  work.Add(WorkItem::kHeader, 4);
  if (change.tunnel->udp_checksum) work.Add(WorkItem::kByteCopied, inner_bytes);
  return ChangeStatus::kOk;
}

Changed Apply(const PacketChange& change, wire::Link link, MutableBytes captured, std::uint32_t wire_bytes,
              const wire::Dissection& packet, std::uint64_t flow_hash, BytesView options) {
  Work counted_by_judge;
  Changed changed{Judge(change, link, packet, wire_bytes, counted_by_judge, options.size), captured,
                  wire_bytes};
  if (changed.status != ChangeStatus::kOk) return changed;
  wire::Dissection inner = packet;
  wire::Rewrite(change.rewrite, link, captured, inner, counted_by_judge);
  if (change.pop_vlan && wire::PopVlan(changed.captured)) {
    changed.captured = {changed.captured.data + wire::VlanTag::kBytes,
                        changed.captured.size - wire::VlanTag::kBytes};
    changed.wire_bytes -= static_cast<std::uint32_t>(wire::VlanTag::kBytes);
  }
  // A frame that was cut inside its own header has nothing behind which a tag could stand.
  if (change.push_vlan && changed.captured.size >= wire::EthernetHeader::kBytes) {
    wire::PushVlan(change.push_vlan->vid, change.push_vlan->priority, changed.captured.data);
    changed.captured = {changed.captured.data - wire::VlanTag::kBytes,
                        changed.captured.size + wire::VlanTag::kBytes};
    changed.wire_bytes += static_cast<std::uint32_t>(wire::VlanTag::kBytes);
  }
  if (!change.tunnel) return changed;
  const std::size_t outer = wire::OuterBytes(*change.tunnel, options.size);
  std::uint8_t* const begin = changed.captured.data - outer;
  wire::Encapsulate(*change.tunnel, inner, changed.captured, changed.wire_bytes, flow_hash, options, begin,
                    counted_by_judge);
  changed.captured = {begin, changed.captured.size + outer};
  changed.wire_bytes += static_cast<std::uint32_t>(outer);
  return changed;
}

}  // namespace foreflow::rules
