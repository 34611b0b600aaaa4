// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/remote_tags.h"

#include <algorithm>

#include "models/base/refusal.h"
#include "models/tag/tag_option.h"

namespace foreflow::tag {

RemoteTags::RemoteTags(const std::vector<TagPeer>& peers) {
  for (const TagPeer& peer : peers) {
    if (peer.networks.empty() || peer.networks.size() > 65536) {
      throw Refusal("tag peer " + std::to_string(&peer - peers.data()), "networks",
                    std::to_string(peer.networks.size()), "1..65536 VMs");
    }
    peers_.push_back({peer.address, peer.networks, TagChecker(peer.master, peer.networks.size() - 1)});
  }
  const auto by_address = [](const Peer& a, const Peer& b) { return a.address < b.address; };
  std::sort(peers_.begin(), peers_.end(), by_address);
  const auto is_same = [](const Peer& a, const Peer& b) { return a.address == b.address; };
  if (std::adjacent_find(peers_.begin(), peers_.end(), is_same) != peers_.end()) {
    throw Refusal("tag peers: an address comes twice, allowed: each once");
  }
}

RemoteTags::Peer* RemoteTags::Find(const std::array<std::uint8_t, 16>& address, Work& work) {
  const auto found = std::lower_bound(peers_.begin(), peers_.end(), address,
                                      [&](const Peer& peer, const std::array<std::uint8_t, 16>& sought) {
                                        work.Add(WorkItem::kCacheLine);
                                        return peer.address < sought;
                                      });
  return found != peers_.end() && found->address == address ? &*found : nullptr;
}

TagStatus RemoteTags::Check(const std::array<std::uint8_t, 16>& peer, std::uint32_t vni, BytesView options,
                            const flow::FlowKey& packet, std::uint32_t wire_bytes, PredictionTag& tag,
                            Work& work) {
  SealedTag sealed;
  if (!DecodeOption(options, sealed)) return TagStatus::kAbsent;
  Peer* const from = Find(peer, work);
  PredictionTag claimed;
  if (from == nullptr || !Decode({sealed.data(), kTagFieldBytes}, claimed)) return TagStatus::kForged;
  if (claimed.vm >= from->networks.size() || from->networks[claimed.vm] != vni) return TagStatus::kWrongVm;
  flow::FlowKey sent = packet;
  sent.vm = claimed.vm;
  return from->checker.Check(&sealed, sent, wire_bytes, tag, work);
}

bool RemoteTags::Rotate(const std::array<std::uint8_t, 16>& peer, flow::VmId vm) {
  Work uncounted;
  Peer* const from = Find(peer, uncounted);
  if (from == nullptr || vm >= from->networks.size()) return false;
  from->checker.Rotate(vm);
  return true;
}

}  // namespace foreflow::tag
