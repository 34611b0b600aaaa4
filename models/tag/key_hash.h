// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_KEY_HASH_H_
#define FOREFLOW_MODELS_TAG_KEY_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/flow/flow_key.h"

namespace foreflow::tag {

// A flow key as machine words, for hashing and masking. Byte order is the machine's: it decides where an
// entry lies and how many slots a search probes, never what is found.
constexpr std::size_t kKeyWords = sizeof(flow::FlowKey) / sizeof(std::uint64_t);
using KeyWords = std::array<std::uint64_t, kKeyWords>;

inline KeyWords WordsOf(const flow::FlowKey& key) {
  KeyWords words;
  std::memcpy(words.data(), &key, sizeof(key));
  return words;
}

// Multiply and fold, one word at a time; constants of SplitMix64 (Steele, Lea, Flood 2014). Not keyed.
inline std::uint64_t HashOf(const KeyWords& words) {
  std::uint64_t hash = 0x9e3779b97f4a7c15u;
  for (const std::uint64_t word : words) {
    hash = (hash ^ word) * 0xbf58476d1ce4e5b9u;
    hash ^= hash >> 32;
  }
  hash *= 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_KEY_HASH_H_
