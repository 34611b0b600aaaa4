// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/flow_index.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::flow {
namespace {

constexpr std::size_t kMostFlows = std::size_t{1} << 30;
constexpr std::size_t kBucketsPer100Flows = 12;

// Without branches between the words: keys with the same signature are nearly always equal.
bool Equal(const FlowKey& a, const FlowKey& b) {
  std::array<std::uint64_t, 5> x;
  std::array<std::uint64_t, 5> y;
  std::memcpy(x.data(), &a, sizeof(a));
  std::memcpy(y.data(), &b, sizeof(b));
  return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

unsigned LowestBit(std::uint32_t bits) { return static_cast<unsigned>(__builtin_ctz(bits)); }

void Count(Work& work, std::uint32_t hashes, std::uint32_t looks) {
  work.Add(WorkItem::kHash, hashes);
  work.Add(WorkItem::kProbe, looks);
  work.Add(WorkItem::kCacheLine, looks);
}

}  // namespace

FlowIndex::FlowIndex(std::size_t capacity, std::uint64_t seed) : hasher_(seed) {
  if (capacity < 1 || capacity > kMostFlows) {
    throw Refusal("flow table", "capacity", std::to_string(capacity), "1 .. " + std::to_string(kMostFlows));
  }
  entries_.resize(capacity);
  buckets_.resize(capacity * kBucketsPer100Flows / 100 + 1);
  free_.resize(capacity);
  for (std::size_t i = 0; i < capacity; ++i) free_[i] = static_cast<Slot>(capacity - 1 - i);
}

inline FlowIndex::Hashed FlowIndex::Hash(const FlowKey& key) const {
  const std::uint64_t hash = hasher_(&key);
  // The upper half chooses the bucket (a product instead of a division), the lower end is the signature.
  const auto bucket = static_cast<std::uint32_t>(((hash >> 32) * buckets_.size()) >> 32);
  const auto signature = static_cast<std::uint16_t>(hash);
  return {bucket, signature == 0 ? std::uint16_t{1} : signature};
}

inline std::uint32_t FlowIndex::Match(const Bucket& bucket, std::uint16_t signature) {
#ifdef __SSE2__
  // Ways 0..7 by one load, 2..9 by another.
  const __m128i wanted = _mm_set1_epi16(static_cast<short>(signature));
  const auto* ways = bucket.signature.data();
  const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(ways));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(ways + 2));
  const auto bits = static_cast<std::uint32_t>(
      _mm_movemask_epi8(_mm_packs_epi16(_mm_cmpeq_epi16(low, wanted), _mm_cmpeq_epi16(high, wanted))));
  return (bits & 0xffu) | (bits >> 6 & 0x300u);
#else
  std::uint32_t bits = 0;
  for (std::size_t way = 0; way < kWays; ++way) {
    bits |= static_cast<std::uint32_t>(bucket.signature[way] == signature) << way;
  }
  return bits;
#endif
}

inline Slot FlowIndex::FindFrom(const FlowKey& key, Hashed hashed, Work& work) const {
  std::uint32_t looks = 0;
  Slot found = kNoSlot;
  // In a small index every bucket may have been passed: a search ends after one turn at the latest.
  std::uint32_t at = hashed.bucket;
  for (std::size_t turn = 0; turn < buckets_.size(); ++turn, at = After(at)) {
    const Bucket& bucket = buckets_[at];
    ++looks;
    for (std::uint32_t ways = Match(bucket, hashed.signature); ways != 0; ways &= ways - 1) {
      const Slot slot = bucket.slot[LowestBit(ways)];
      ++looks;
      if (Equal(entries_[slot].key, key)) {
        found = slot;
        break;
      }
    }
    if (found != kNoSlot || bucket.passed == 0) break;
  }
  Count(work, 0, looks);
  return found;
}

Slot FlowIndex::Find(const FlowKey& key, Work& work) const {
  work.Add(WorkItem::kHash);
  return FindFrom(key, Hash(key), work);
}

inline void FlowIndex::Begin(const FlowKey* keys, std::size_t count, Hashed* hashed, Slot* candidates) const {
  for (std::size_t i = 0; i < count; ++i) {
    hashed[i] = Hash(keys[i]);
    __builtin_prefetch(&buckets_[hashed[i].bucket]);
  }
  // The first candidate of each is nearly always the only one.
  for (std::size_t i = 0; i < count; ++i) {
    const Bucket& bucket = buckets_[hashed[i].bucket];
    const std::uint32_t ways = Match(bucket, hashed[i].signature);
    candidates[i] = ways != 0 ? bucket.slot[LowestBit(ways)] : kNoSlot;
    if (ways != 0) {
      __builtin_prefetch(&entries_[candidates[i]]);
    } else if (bucket.passed != 0) {
      __builtin_prefetch(&buckets_[After(hashed[i].bucket)]);
    }
  }
}

void FlowIndex::Prefetch(const FlowKey* keys, std::size_t count, Slot* candidates) const {
  std::array<Hashed, kBurst> hashed;
  Begin(keys, count, hashed.data(), candidates);
}

void FlowIndex::FindBulk(const FlowKey* keys, std::size_t count, Slot* slots, Work& work) const {
  std::uint32_t looks = 0;
  std::array<Hashed, kBurst> hashed;
  for (std::size_t done = 0; done < count; done += kBurst) {
    const std::size_t burst = std::min(kBurst, count - done);
    const FlowKey* key = keys + done;
    Slot* slot = slots + done;
    Begin(key, burst, hashed.data(), slot);
    for (std::size_t i = 0; i < burst; ++i) {
      if (slot[i] != kNoSlot && Equal(entries_[slot[i]].key, key[i])) {
        looks += 2;
      } else if (slot[i] == kNoSlot && buckets_[hashed[i].bucket].passed == 0) {
        looks += 1;
      } else {
        slot[i] = FindFrom(key[i], hashed[i], work);
      }
    }
  }
  Count(work, static_cast<std::uint32_t>(count), looks);
}

FlowIndex::Place FlowIndex::FindOrInsert(const FlowKey& key, Work& work) {
  const Hashed hashed = Hash(key);
  const Slot found = FindFrom(key, hashed, work);
  work.Add(WorkItem::kHash);
  if (found != kNoSlot) return {found, false};
  if (size_ == entries_.size()) return {kNoSlot, false};

  const Slot slot = FreeSlot(0);
  std::uint32_t at = hashed.bucket;
  std::uint32_t vacant = Match(buckets_[at], 0);
  for (; vacant == 0; vacant = Match(buckets_[at], 0)) {
    ++buckets_[at].passed;
    at = After(at);
    Count(work, 0, 1);
  }
  const unsigned way = LowestBit(vacant);
  buckets_[at].signature[way] = hashed.signature;
  buckets_[at].slot[way] = slot;
  entries_[slot] = Entry{key, Nanos(), 0, 0};
  ++size_;
  work.Add(WorkItem::kUpdate);
  return {slot, true};
}

void FlowIndex::Erase(Slot slot, Work& work) {
  const Hashed hashed = Hash(entries_[slot].key);
  std::uint32_t looks = 1;
  for (std::uint32_t at = hashed.bucket;; at = After(at), ++looks) {
    Bucket& bucket = buckets_[at];
    std::uint32_t ways = Match(bucket, hashed.signature);
    while (ways != 0 && bucket.slot[LowestBit(ways)] != slot) ways &= ways - 1;
    if (ways != 0) {
      bucket.signature[LowestBit(ways)] = 0;
      break;
    }
    --bucket.passed;
  }
  --size_;
  free_[entries_.size() - size_ - 1] = slot;
  Count(work, 1, looks);
  work.Add(WorkItem::kUpdate);
}

}  // namespace foreflow::flow
