// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_REPAIR_H_
#define FOREFLOW_MODELS_SHARD_REPAIR_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"

namespace foreflow::shard {

// A repair is the sum without carry (XOR) of a packet's fragments, the last padded by zeros: the single
// parity of RFC 5109 and of many tunnels. Adding all but one to it leaves that one.
//
// `sum` is at least as long as `part`.
inline void AddInto(MutableBytes sum, BytesView part) {
  std::size_t at = 0;
  for (; at + 8 <= part.size; at += 8)
    StoreWord(sum.data + at, LoadWord(sum.data + at) ^ LoadWord(part.data + at));
  for (; at < part.size; ++at) sum.data[at] = static_cast<std::uint8_t>(sum.data[at] ^ part.data[at]);
}

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_REPAIR_H_
