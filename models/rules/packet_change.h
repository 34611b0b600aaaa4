// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_PACKET_CHANGE_H_
#define FOREFLOW_MODELS_RULES_PACKET_CHANGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "models/base/bytes.h"
#include "models/base/work.h"
#include "models/wire/dissect.h"
#include "models/wire/ethernet.h"
#include "models/wire/rewrite.h"
#include "models/wire/tunnel.h"

namespace foreflow::rules {

// What an action does to the headers of the packet that leaves, in this order: fields are rewritten, the
// outermost VLAN tag is taken out, one is put in, the whole is put into a tunnel. VLANs and tunnels are of
// Ethernet alone.
struct PacketChange {
  struct Vlan {
    std::uint16_t vid = 0;      // 1..4094
    std::uint8_t priority = 0;  // 0..7
  };
  wire::HeaderRewrite rewrite;
  bool pop_vlan = false;
  std::optional<Vlan> push_vlan;
  std::optional<wire::Tunnel> tunnel;
};

// Throws Refusal: what CheckRewrite and CheckTunnel refuse, a VLAN outside 1..4094, a priority above 7.
// `where` names the change.
void CheckChange(const PacketChange& change, const std::string& where);

// Whether a changed packet can leave, or why not.
enum class ChangeStatus : std::uint8_t {
  kOk,
  kExpired,  // the TTL would reach 0
  kTooLong,  // for the tunnel's MTU
  kNoFrame,  // a VLAN or a tunnel asked for on a link without Ethernet frames
};

// Bytes that Apply may need in front of a packet.
std::size_t Headroom(const PacketChange& change, std::size_t option_bytes = 0);

// Whether the changed packet can leave, by what it is before: nothing is looked at but the dissection and the
// length. Counts what Apply will do: kHeader for each header written, kByteCopied over what a tunnel's
// checksum is over.
ChangeStatus Judge(const PacketChange& change, wire::Link link, const wire::Dissection& packet,
                   std::uint32_t wire_bytes, Work& work, std::size_t option_bytes = 0);

// What a change makes of a packet.
struct Changed {
  ChangeStatus status = ChangeStatus::kOk;
  MutableBytes captured;         // begins up to Headroom before where it began
  std::uint32_t wire_bytes = 0;  // may be more than was captured, as before
};

// Changes the packet in `captured`, in front of which Headroom(change, options.size) bytes are the caller's.
// `packet` is its dissection; `flow_hash` and `options` as of wire::Encapsulate. Unless Judge says kOk,
// nothing is changed.
Changed Apply(const PacketChange& change, wire::Link link, MutableBytes captured, std::uint32_t wire_bytes,
              const wire::Dissection& packet, std::uint64_t flow_hash, BytesView options);

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_PACKET_CHANGE_H_
