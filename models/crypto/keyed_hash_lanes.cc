// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/keyed_hash_lanes.h"

#include <cstring>

#include "models/base/vector_clones.h"

namespace foreflow::crypto {
namespace {

using Lanes = std::uint64_t __attribute__((vector_size(sizeof(LaneWords))));

template <int kBits>
[[gnu::always_inline]] inline void Rotate(Lanes& x) {
  x = x << kBits | x >> (64 - kBits);
}

// SipRound (Aumasson, Bernstein 2012, section 2.2).
[[gnu::always_inline]] inline void Round(Lanes& v0, Lanes& v1, Lanes& v2, Lanes& v3) {
  v0 += v1;
  v2 += v3;
  Rotate<13>(v1);
  Rotate<16>(v3);
  v1 ^= v0;
  v3 ^= v2;
  Rotate<32>(v0);
  v2 += v1;
  v0 += v3;
  Rotate<17>(v1);
  Rotate<21>(v3);
  v1 ^= v2;
  v3 ^= v0;
  Rotate<32>(v2);
}

[[gnu::always_inline]] inline void Load(const LaneWords& from, Lanes& to) {
  std::memcpy(&to, &from, sizeof(to));
}

}  // namespace

FOREFLOW_VECTOR_CLONES
void KeyedHashLanes(const LaneWords* key, const LaneWords* message, std::size_t words, LaneWords& tag) {
  Lanes k0, k1;
  Load(key[0], k0);
  Load(key[1], k1);
  Lanes v0 = k0 ^ 0x736f6d6570736575u;
  Lanes v1 = k1 ^ 0x646f72616e646f6du;
  Lanes v2 = k0 ^ 0x6c7967656e657261u;
  Lanes v3 = k1 ^ 0x7465646279746573u;
  for (std::size_t word = 0; word <= words; ++word) {
    Lanes m = {};
    if (word < words) {
      Load(message[word], m);
    } else {
      m += std::uint64_t{words} << 59;  // the message's length in bytes, in the last word's uppermost byte
    }
    v3 ^= m;
    Round(v0, v1, v2, v3);
    Round(v0, v1, v2, v3);
    v0 ^= m;
  }
  v2 ^= 0xffu;
  for (int i = 0; i < 4; ++i) Round(v0, v1, v2, v3);
  const Lanes result = v0 ^ v1 ^ v2 ^ v3;
  std::memcpy(tag.lane.data(), &result, sizeof(tag));
}

}  // namespace foreflow::crypto
