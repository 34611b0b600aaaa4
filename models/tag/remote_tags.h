// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_REMOTE_TAGS_H_
#define FOREFLOW_MODELS_TAG_REMOTE_TAGS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "models/base/bytes.h"
#include "models/tag/prediction_tag.h"

namespace foreflow::tag {

// A host whose tags this device verifies.
struct TagPeer {
  std::array<std::uint8_t, 16> address{};  // of its tunnel end point, as in wire::Dissection
  crypto::Key128 master{};                 // shared with this host alone: from it come the keys of its VMs
  std::vector<std::uint32_t> networks;     // networks[vm]: the virtual network (VNI) that the VM belongs to
};

// The receiving device's half of tags that travel between hosts (tag_option.h). Each peer has keys and replay
// windows of its own, so no host can speak for another's VMs.
class RemoteTags {
 public:
  // Throws Refusal: an address that comes twice, a peer without VMs or with more than 65 536.
  explicit RemoteTags(const std::vector<TagPeer>& peers);

  // The tag among the Geneve options of a packet from `peer` in the network `vni`. `packet` is the inner
  // packet's flow, whose `vm` is not looked at; `wire_bytes` is the inner frame's length. As
  // TagChecker::Check, besides: kAbsent without an option, kForged where the peer is unknown, kWrongVm where
  // the VM that the tag names is not in that network. Counts kCacheLine for each peer looked at.
  TagStatus Check(const std::array<std::uint8_t, 16>& peer, std::uint32_t vni, BytesView options,
                  const flow::FlowKey& packet, std::uint32_t wire_bytes, PredictionTag& tag, Work& work);
  // As TagChecker's. False, and nothing done: there is no such peer, or it has no such VM.
  bool Rotate(const std::array<std::uint8_t, 16>& peer, flow::VmId vm);

 private:
  struct Peer {
    std::array<std::uint8_t, 16> address{};
    std::vector<std::uint32_t> networks;
    TagChecker checker;
  };
  Peer* Find(const std::array<std::uint8_t, 16>& address, Work& work);

  std::vector<Peer> peers_;  // by address
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_REMOTE_TAGS_H_
