// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TYPE_COUNTS_H_
#define FOREFLOW_MODELS_PREDICT_TYPE_COUNTS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "models/predict/calibrator.h"
#include "models/predict/packet_type.h"

namespace foreflow::predict {

// 2^32 / n for n up to kCount - 1; a division on the data path would cost more than all else here.
template <std::size_t kCount>
constexpr std::array<std::uint32_t, kCount> MakeReciprocals() {
  std::array<std::uint32_t, kCount> reciprocal{};
  for (std::size_t n = 2; n < kCount; ++n) {
    reciprocal[n] = static_cast<std::uint32_t>((std::uint64_t{1} << 32) / n);
  }
  return reciprocal;
}
inline constexpr auto kReciprocal = MakeReciprocals<1023 + kPacketTypes + 1>();

// How often each type came in one context. All counts are halved when `total` reaches kLimit, so that what
// was seen long ago fades.
template <typename Count, std::uint32_t kLimit>
struct TypeCounts {
  static_assert(kLimit + kPacketTypes < kReciprocal.size());
  std::array<Count, kPacketTypes> count{};
  Count total = 0;

  void Add(PacketType type) {
    if (total >= kLimit) Halve();
    ++count[static_cast<std::size_t>(type)];
    ++total;
  }

  // Rounds down: a type that came once is forgotten.
  void Halve() {
    total = 0;
    for (Count& each : count) {
      each = static_cast<Count>(each / 2);
      total = static_cast<Count>(total + each);
    }
  }

  // Types that were counted.
  std::uint32_t Distinct() const {
    if constexpr (sizeof(*this) == sizeof(std::uint64_t)) {
      // All bytes at once, little-endian; the uppermost is `total`.
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, this, sizeof(bytes));
      constexpr std::uint64_t kLow7 = 0x007f7f7f7f7f7f7f;
      constexpr std::uint64_t kTops = 0x0080808080808080;
      const std::uint64_t non_zero = (((bytes & kLow7) + kLow7) | bytes) & kTops;
      return static_cast<std::uint32_t>(((non_zero >> 7) * 0x0101010101010101) >> 56);
    } else {
      std::uint32_t distinct = 0;
      for (const Count each : count) distinct += each != 0 ? 1u : 0u;
      return distinct;
    }
  }

  // Mixes the counts into what shorter contexts say (`shorter`, in place), by Witten and Bell's method C:
  // shorter contexts weigh as many observations as there are different types in this one.
  void MixInto(Distribution& shorter) const {
    const std::uint32_t distinct = Distinct();
    const std::uint64_t reciprocal = kReciprocal[std::uint32_t{total} + distinct];
    // What is seen or not seen is nothing that a processor could foresee: no branch.
    const std::uint32_t kept = distinct == 0 ? ~0u : 0;
    for (std::size_t i = 0; i < kPacketTypes; ++i) {
      const std::uint32_t sum = (std::uint32_t{count[i]} << 16) + distinct * shorter[i];
      const auto mixed = static_cast<std::uint32_t>((sum * reciprocal) >> 32);
      shorter[i] = (shorter[i] & kept) | mixed;  // without observations `mixed` is 0
    }
  }
};

using ContextCounts = TypeCounts<std::uint8_t, 255>;    // 8 B: one context of many
using OverallCounts = TypeCounts<std::uint16_t, 1023>;  // the empty context

// Counts of the contexts of one order, 2 ways a set. A context is stored under the part of it that the set
// does not tell, so contexts are never mistaken for each other. In a full set, newcomers halve the counts of
// the lesser way until little is left of it, then take it.
class ContextTable {
 public:
  // Contexts are numbers below 2^context_bits; 2^(set_bits + 1) of them are kept. context_bits - set_bits
  // <= 15.
  ContextTable(unsigned context_bits, unsigned set_bits);

  // Where a context is looked for.
  struct Place {
    std::size_t set;
    std::uint16_t tag;
  };
  // A bijection of context_bits bits (odd factors, shifted xor), whose lower bits are the set.
  Place PlaceOf(std::uint32_t context) const {
    const std::uint32_t mask = (1u << context_bits_) - 1;
    std::uint32_t x = (context * 0x9e3779b1u) & mask;
    x ^= x >> (context_bits_ / 2);
    x = (x * 0x85ebca6bu) & mask;
    x ^= x >> (context_bits_ / 2);
    const std::uint32_t set = x & ((1u << set_bits_) - 1);
    return {set, static_cast<std::uint16_t>((x >> set_bits_) + 1)};
  }
  // The context's counts, or none at all. Without branches, which nobody could foresee.
  ContextCounts CountsAt(const Place& place) const {
    const Set& set = sets_[place.set];
    std::uint64_t words[2];
    std::memcpy(words, set.way, sizeof(words));
    words[0] &= set.tag[0] == place.tag ? ~std::uint64_t{0} : 0;
    words[0] |= set.tag[1] == place.tag ? words[1] : 0;
    ContextCounts counts;
    std::memcpy(static_cast<void*>(&counts), words, sizeof(counts));
    return counts;
  }
  ContextCounts CountsOf(std::uint32_t context) const { return CountsAt(PlaceOf(context)); }
  void Prefetch(const Place& place) const { __builtin_prefetch(&sets_[place.set], 1); }
  // The counts to learn in; nullptr while the context has to wait for a place.
  ContextCounts* FindOrTake(const Place& place);
  ContextCounts* FindOrTake(std::uint32_t context) { return FindOrTake(PlaceOf(context)); }
  // Forgets all contexts.
  void Clear() { std::fill(sets_.begin(), sets_.end(), Set{}); }
  std::size_t bytes() const { return sets_.size() * sizeof(Set); }

 private:
  struct Set {
    ContextCounts way[2];
    std::uint16_t tag[2] = {};  // 0: free
  };
  static_assert(sizeof(Set) == 20, "a set lies in one cache line, or two");
  unsigned context_bits_;
  unsigned set_bits_;
  std::vector<Set> sets_;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TYPE_COUNTS_H_
