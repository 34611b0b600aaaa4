// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_HASH_H_
#define FOREFLOW_MODELS_BASE_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"

namespace foreflow {

// A bijection of 64-bit words that spreads every input bit over the word: the finaliser of SplitMix64
// (Steele, Lea, Flood 2014, after Stafford's variant 13).
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// FNV-1a of a name (Fowler, Noll, Vo), for set-up: names of random streams.
constexpr std::uint32_t HashName(const char* name) {
  std::uint32_t hash = 0x811c9dc5u;
  for (; *name != 0; ++name) hash = (hash ^ static_cast<std::uint8_t>(*name)) * 0x01000193u;
  return hash;
}

// The hash of tables on the data path: 40-byte keys, 64 bits out, about 2 ns. Multiply and fold (as in
// wyhash, Wang Yi), with every factor masked by a word of the seed, so that no key is known to zero a
// product. Not a MAC: whoever can see hashes can find collisions; KeyedHash is for that. The same on every
// little-endian machine.
class KeyHasher {
 public:
  static constexpr std::size_t kKeyBytes = 40;

  explicit constexpr KeyHasher(std::uint64_t seed) {
    for (std::size_t i = 0; i < mask_.size(); ++i) {
      mask_[i] = Mix64(seed + (i + 1) * 0x9e3779b97f4a7c15u);
    }
  }

  // `key` points to 40 bytes of any alignment.
  std::uint64_t operator()(const void* key) const {
    const std::uint64_t a = Fold(LoadWord(key, 0) ^ mask_[0], LoadWord(key, 1) ^ mask_[1]);
    const std::uint64_t b = Fold(LoadWord(key, 2) ^ mask_[2], LoadWord(key, 3) ^ mask_[3]);
    const std::uint64_t c = Fold(LoadWord(key, 4) ^ mask_[4], a ^ mask_[5]);
    return Fold(b ^ c, mask_[6] | 1);
  }

 private:
  __extension__ using Wide = unsigned __int128;

  static constexpr std::uint64_t Fold(std::uint64_t a, std::uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::array<std::uint64_t, 7> mask_{};
};

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_HASH_H_
