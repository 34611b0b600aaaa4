// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_HOST_FRAME_H_
#define FOREFLOW_MODELS_SHARD_HOST_FRAME_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/base/work.h"

namespace foreflow::shard {

// What those who carry frames to and from a unit have to know of them, the same in every door.

struct HostFrame {
  std::uint8_t ecn = 0;    // of the IP packet inside; 0 where there is none
  std::uint16_t flow = 0;  // the same for all packets of a flow in one direction
};
// `frame` is a whole Ethernet frame without its check sequence. Work: as wire::Dissect, and a hash.
HostFrame ReadHostFrame(BytesView frame, Work& work);

// A frame that was made whole takes over what its fragments met on the way, `outer` of UnitPacket::ecn, as
// RFC 6040 wants it. False: the frame is to be dropped, since its sender does not heed marks and it was
// marked.
bool TakeOverEcn(std::uint8_t outer, MutableBytes frame, Work& work);

// The UDP source port of a datagram of this flow, by which switches keep it on one way: RFC 6335's dynamic
// ports, as in RFC 7348.
constexpr std::uint16_t SourcePortOf(std::uint16_t flow) {
  return static_cast<std::uint16_t>(0xc000u | (flow & 0x3fffu));
}

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_HOST_FRAME_H_
