// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_KEYED_HASH_LANES_H_
#define FOREFLOW_MODELS_CRYPTO_KEYED_HASH_LANES_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow::crypto {

constexpr std::size_t kHashLanes = 8;

// A 64-bit word of each of kHashLanes messages.
struct alignas(64) LaneWords {
  std::array<std::uint64_t, kHashLanes> lane{};
};

// KeyedHash of kHashLanes messages at once, each `words` 8 B words long (below 32) and under a key of its
// own, in a quarter of the time or less: one SipHash is a chain of operations that each wait for the one
// before. Keys (two words) and messages are read as little-endian, as KeyedHash reads them. Not by libsodium,
// which has one message at a time only.
void KeyedHashLanes(const LaneWords* key, const LaneWords* message, std::size_t words, LaneWords& tag);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_KEYED_HASH_LANES_H_
