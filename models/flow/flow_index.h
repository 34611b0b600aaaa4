// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_FLOW_FLOW_INDEX_H_
#define FOREFLOW_MODELS_FLOW_FLOW_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/hash.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/flow/flow_key.h"

namespace foreflow::flow {

// Number of a flow's record, below the capacity; the same for as long as the flow is held, then used again.
// State of one's own is kept in arrays indexed by it.
using Slot = std::uint32_t;
constexpr Slot kNoSlot = 0xffffffffu;

// Packets looked up together: long enough to hide memory latency.
constexpr std::size_t kBurst = 32;

// From flow key to slot: buckets of one cache line with ten 16-bit signatures, compared at once, and ten
// slots, at most 83 % full; a full bucket overflows into the next and counts what went past it, so that a
// search knows where to end (as in F14, Bronson and Shi 2019) and a removal leaves no mark. The key lies
// beside what every packet writes, in one more cache line: a hit touches two lines.
//
// Bounded: insertion into a full index is the caller's error; FlowTable evicts first. No allocation after
// construction. Work: kHash, then kProbe and kCacheLine for each bucket and each key looked at.
class FlowIndex {
 public:
  // A key and the counters that every packet of the flow writes: one cache line.
  struct alignas(64) Entry {
    FlowKey key;
    Nanos last;  // time of the last packet
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  static_assert(sizeof(Entry) == 64);

  // Throws Refusal unless 1 <= capacity <= 2^30.
  FlowIndex(std::size_t capacity, std::uint64_t seed);

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return entries_.size(); }
  // Memory in all, which does not grow.
  std::size_t bytes() const {
    return buckets_.size() * sizeof(Bucket) + entries_.size() * (sizeof(Entry) + sizeof(Slot));
  }

  // kNoSlot where the key is not held.
  Slot Find(const FlowKey& key, Work& work) const;
  // The same for a burst, with the memory of all keys fetched at the same time; any count, cut into bursts.
  void FindBulk(const FlowKey* keys, std::size_t count, Slot* slots, Work& work) const;

  // Starts fetching the memory that up to kBurst keys need, ahead of finding, inserting or erasing each.
  // Changes nothing. candidates[i] is the slot that keys[i] most likely has, or kNoSlot.
  void Prefetch(const FlowKey* keys, std::size_t count, Slot* candidates) const;

  struct Place {
    Slot slot = kNoSlot;  // kNoSlot: not there, and the index is full
    bool fresh = false;   // not there before: the entry's counters are zero
  };
  // Finds the key, or inserts it where there is room.
  Place FindOrInsert(const FlowKey& key, Work& work);
  // The slot of the key inserted `ahead` insertions from now, if none is freed before; kNoSlot where that is
  // not known because the index is full then.
  Slot FreeSlot(std::size_t ahead) const {
    const std::size_t free = entries_.size() - size_;
    return ahead < free ? free_[free - 1 - ahead] : kNoSlot;
  }
  // Frees a slot that is in use.
  void Erase(Slot slot, Work& work);

  // Of a slot that is in use; valid for as long as the index, but another key's once the slot is freed.
  Entry& entry(Slot slot) { return entries_[slot]; }
  const Entry& entry(Slot slot) const { return entries_[slot]; }

 private:
  static constexpr std::size_t kWays = 10;
  struct alignas(64) Bucket {
    std::array<std::uint16_t, kWays> signature{};  // 0: free
    std::uint32_t passed = 0;                      // keys that hash here or before and lie further on
    std::array<Slot, kWays> slot{};
  };
  static_assert(sizeof(Bucket) == 64);
  struct Hashed {
    std::uint32_t bucket;
    std::uint16_t signature;
  };

  Hashed Hash(const FlowKey& key) const;
  // One bit for each way of the bucket whose signature is the given one.
  static std::uint32_t Match(const Bucket& bucket, std::uint16_t signature);
  // Begins a burst: fetches buckets, then the entries of the first candidates.
  void Begin(const FlowKey* keys, std::size_t count, Hashed* hashed, Slot* candidates) const;
  Slot FindFrom(const FlowKey& key, Hashed hashed, Work& work) const;
  std::uint32_t After(std::uint32_t bucket) const { return bucket + 1 == buckets_.size() ? 0 : bucket + 1; }

  KeyHasher hasher_;
  std::vector<Bucket> buckets_;
  std::vector<Entry> entries_;
  std::size_t size_ = 0;
  std::vector<Slot> free_;  // a stack: the first capacity() - size() are valid, the last of them is used next
};

}  // namespace foreflow::flow

#endif  // FOREFLOW_MODELS_FLOW_FLOW_INDEX_H_
