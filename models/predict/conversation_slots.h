// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_CONVERSATION_SLOTS_H_
#define FOREFLOW_MODELS_PREDICT_CONVERSATION_SLOTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace foreflow::predict {

// Where the state of each conversation lies: a fixed number of slots, found by the hash of the conversation's
// key. A hash may lie in one of the kWays slots of its set; a newcomer to a full set takes the slot that was
// used longest ago, and with it begins a new state. So memory is bounded, a look-up touches one line, and one
// who opens many conversations displaces at most those of the sets that he hits.
//
// Conversations are told apart by 64 bits of hash alone. Two that share them share a state: that can cost a
// prediction, never a decision.
class ConversationSlots {
 public:
  static constexpr std::size_t kWays = 4;

  // Room for at least `conversations` >= 1: the next power of two, at least kWays.
  explicit ConversationSlots(std::uint32_t conversations) {
    std::size_t sets = 1;
    while (sets * kWays < conversations) sets *= 2;
    set_.resize(sets);
  }

  struct Found {
    std::uint32_t slot = 0;
    bool is_new = false;
  };
  // `now` counts the look-ups; ages are told apart over 2^32 of them.
  Found FindOrTake(std::uint64_t hash, std::uint32_t now) {
    const std::uint64_t tag = hash | 1;  // 0: free
    const std::size_t index = IndexOf(hash);
    Set& set = set_[index];
    std::size_t oldest = 0;
    for (std::size_t way = 0; way < kWays; ++way) {
      if (set.tag[way] == tag) {
        set.used[way] = now;
        return {static_cast<std::uint32_t>(index * kWays + way), false};
      }
      if (IsOlder(set, way, oldest, now)) oldest = way;
    }
    set.tag[oldest] = tag;
    set.used[oldest] = now;
    return {static_cast<std::uint32_t>(index * kWays + oldest), true};
  }
  // Brings nearer what FindOrTake will touch.
  void Prefetch(std::uint64_t hash) const { __builtin_prefetch(&set_[IndexOf(hash)], 1); }

  // Slots are numbered below it.
  std::size_t size() const { return set_.size() * kWays; }
  std::size_t bytes() const { return set_.size() * sizeof(Set); }

 private:
  struct alignas(64) Set {
    std::array<std::uint64_t, kWays> tag{};
    std::array<std::uint32_t, kWays> used{};
  };

  // Free ways are the oldest of all.
  static bool IsOlder(const Set& set, std::size_t way, std::size_t than, std::uint32_t now) {
    if (set.tag[way] == 0 || set.tag[than] == 0) return set.tag[than] != 0;
    return now - set.used[way] > now - set.used[than];
  }
  // The upper half: other tables take the lower bits of the same hash.
  std::size_t IndexOf(std::uint64_t hash) const { return (hash >> 32) & (set_.size() - 1); }

  std::vector<Set> set_;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_CONVERSATION_SLOTS_H_
