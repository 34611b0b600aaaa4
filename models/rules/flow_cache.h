// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_FLOW_CACHE_H_
#define FOREFLOW_MODELS_RULES_FLOW_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/hash.h"
#include "models/base/units.h"
#include "models/rules/rule_changes.h"
#include "models/rules/rule_limits.h"

namespace foreflow::rules {

// Why an entry is in the device.
enum class InstallCause : std::uint8_t { kMiss, kPredicted };

// The device's bounded memory of decisions: exact match on EntryKey. Full means evict: the least recently
// used entry, or, when next uses are known (the oracle), the one used farthest in the future (Belady 1966).
// An entry may be asked for before it is ready: writes reach the device after the install latency.
//
// Predicted entries. A predicted entry enters as the most recently used one and is *unused* until a packet
// wants it (a hit, or a miss because it was not ready yet). At most capacity / 4 entries, rounded down, are
// unused predictions: one more evicts the oldest of them, never an entry that packets use. Below a capacity
// of 4 the share is 0 and predictions are refused. Invariant: whatever is predicted, the capacity - capacity
// / 4 most recently wanted keys stay resident, so a cache flooded with wrong predictions hits wherever LRU of
// three quarters of the size would. Entries with a known next use are exempt: they are not guesses.
//
// VMs share. Where a VM's entries are bounded, one that has as many as it may gives up its own least recently
// used entry, whatever room there is, and at most a quarter of its entries are unused predictions; stale ones
// count as its entries until their places are taken. Invariant: the capacity less what the other VMs that
// send may have is a VM's own, whatever those send. A prediction that two entries would have to go for, one
// of its VM and one of the others' predictions, is refused. Belady's order decides among all VMs' entries
// alone.
//
// Rules change. Whoever looks up shows the changes of the rules in use: an entry of an older generation that
// none of them touches is stamped with the present one when it is looked up, any other misses from then on.
// Where the changes since the last look are not all known, all entries become stale at once. Places of stale
// entries are taken before any live entry is evicted for want of room.
class FlowCache {
 public:
  // Throws Refusal unless 1 <= capacity <= 2^24. All memory is taken here, about 130 B an entry, 12 B more
  // where VMs are bounded. Guests choose keys: a seed they cannot know keeps them from filling one bucket. It
  // changes work, never an answer.
  explicit FlowCache(std::size_t capacity, std::uint64_t hash_seed = 0)
      : FlowCache(capacity, hash_seed, VmBound{}) {}
  FlowCache(std::size_t capacity, std::uint64_t hash_seed, const VmBound& bound);

  struct Hit {
    Decision decision;
    InstallCause cause = InstallCause::kMiss;
    bool first_use = false;  // of an entry installed by prediction: the prediction paid
  };
  // Finds a ready entry whose decision still holds and marks it used. False on a miss; `hit` is then as it
  // was. A miss on an entry that is still on its way counts as a want: it is as recent as a use, and a
  // prediction that came too late becomes an entry of cause kMiss. Rules of a generation older than one seen
  // before miss.
  bool Lookup(const EntryKey& key, const RuleChanges& rules, Nanos now, Hit& hit, Work& work) {
    return Lookup(key, HashOf(key), rules, now, hit, work);
  }
  // Whether such an entry is there, ready or on its way; does not count as a use.
  bool Contains(const EntryKey& key, const RuleChanges& rules) const {
    return Contains(key, HashOf(key), rules);
  }

  // What is known of an entry, for descriptions: looking at it is no use of it.
  struct Resident {
    Decision decision;
    Nanos ready;
    InstallCause cause = InstallCause::kMiss;
    bool unused_prediction = false;
  };
  // False where Contains is.
  bool Peek(const EntryKey& key, const RuleChanges& rules, Resident& resident) const;

  struct Install {
    EntryKey key;
    Decision decision;  // of the rules shown with it
    Nanos ready;        // when the device can use it
    InstallCause cause = InstallCause::kMiss;
    std::uint64_t next_use = 0;  // farthest-in-future eviction; 0 everywhere means LRU
  };
  struct Evicted {
    bool any = false;
    EntryKey key;
    bool was_unused_prediction = false;  // installed by prediction, evicted before its first use
    bool installed = true;               // false: refused, the cache is as it was
  };
  // Writes an entry. Refused (`installed` false) when the rules are older than ones seen before, when
  // predictions have no share, and when the cache is full, next uses are known and the newcomer's is no
  // nearer than the farthest of them (Belady with bypass). A key that is there already keeps its place: the
  // earlier `ready` and the new next_use count, and cause kMiss makes it as recent as a use.
  Evicted Put(const Install& install, const RuleChanges& rules, Work& work) {
    return Put(install, HashOf(install.key), rules, work);
  }
  // Tells the oracle's eviction when the entry will be used next; 0 takes the knowledge back. Entries whose
  // next use is unknown are evicted only where none is known.
  void SetNextUse(const EntryKey& key, std::uint64_t next_use);

  // The same for a caller that holds the key's hash already, which it needs to fetch memory ahead.
  std::uint64_t HashOf(const EntryKey& key) const { return rules::HashOf(hasher_, key); }
  bool Lookup(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules, Nanos now, Hit& hit,
              Work& work);
  bool Contains(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules) const;
  Evicted Put(const Install& install, std::uint64_t hash, const RuleChanges& rules, Work& work);
  // Brings what a look-up will touch nearer, in two steps some time apart: where the entry is, the entry.
  void PrefetchBucket(std::uint64_t hash) const { __builtin_prefetch(&buckets_[BucketOf(hash)]); }
  void PrefetchEntry(std::uint64_t hash) const {
    const Index i = buckets_[BucketOf(hash)];
    if (i == kNone) return;
    __builtin_prefetch(&entries_[i]);
    __builtin_prefetch(&states_[i], 1);
  }

  // Rises whenever entries are removed or may have become stale: while it stays, what was contained is
  // contained.
  std::uint64_t removals() const { return removals_; }

  std::size_t size() const { return size_; }  // stale entries included
  std::size_t capacity() const { return entries_.size(); }
  std::size_t unused_predictions() const { return unused_predictions_; }
  std::size_t unused_prediction_limit() const { return capacity() / 4; }

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;

  // What a look-up compares: one cache line. The rest is touched on a match only.
  struct alignas(64) Entry {
    EntryKey key;
    Action action;
    Index next_in_bucket = kNone;
    Nanos ready;
  };
  static_assert(sizeof(Entry) == 64, "an entry fills one cache line");
  struct alignas(32) State {
    Index older = kNone;  // neighbours in the list the entry is on
    Index newer = kNone;
    std::uint64_t last_wanted = 0;  // serial number of the last want or install
    std::uint64_t generation = 0;   // whose decision it is
    std::uint32_t rule = kNoRule;   // that decided
    bool unused_prediction = false;
    bool on_probation = false;  // unused prediction that counts against the share
    bool is_stale = false;      // found not to hold
    InstallCause cause = InstallCause::kMiss;
  };
  // Of the oracle alone.
  struct NextUse {
    std::uint64_t packet = 0;     // meaningless where unknown
    Index heap_position = kNone;  // kNone: unknown
  };
  static_assert(sizeof(State) == 32, "two to a cache line");
  // Of one VM, where VMs are bounded.
  struct VmEntries {
    Index entries = 0;
    Index guesses = 0;
  };
  // Its entries in order of use, those that no packet has wanted apart.
  struct Own {
    Index older = kNone;
    Index newer = kNone;
    bool is_guess = false;
  };
  // List heads, kept behind the entries so that linking needs no special cases.
  enum List : Index { kWanted, kProbation, kStale, kLists };

  Index Head(List list) const { return static_cast<Index>(capacity() + list); }
  bool IsEmpty(List list) const { return states_[Head(list)].newer == Head(list); }
  Index Oldest(List list) const { return states_[Head(list)].newer; }
  void Unlink(Index i);
  void LinkNewest(List list, Index i);
  void MakeStale(List list);
  void See(const RuleChanges& rules);
  void BeginGeneration(const RuleChanges& rules);
  Decision DecisionOf(Index i) const { return {states_[i].rule, entries_[i].action}; }
  bool IsLiveGuess(Index i) const {
    const State& state = states_[i];
    return state.on_probation && !state.is_stale && state.generation >= stale_before_;
  }

  bool IsBounded() const { return !of_vm_.empty(); }
  std::size_t VmOf(const EntryKey& key) const { return key.fields.vm < of_vm_.size() ? key.fields.vm : 0; }
  Index OwnHead(std::size_t vm, bool is_guess) const {
    return static_cast<Index>(capacity() + 2 * vm + (is_guess ? 1 : 0));
  }
  void LinkOwn(Index i, bool is_guess);
  void UnlinkOwn(Index i);
  Index Older(Index a, Index b) const { return states_[a].last_wanted < states_[b].last_wanted ? a : b; }
  Index Victim() const;
  Index OwnVictim(const EntryKey& key, bool is_guess) const;

  std::size_t BucketOf(std::uint64_t hash) const { return hash & (buckets_.size() - 1); }
  Index Find(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules, Work& work);
  Index FindUnchanged(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules) const;
  void Settle(Index i, const RuleChanges& rules, Work& work);
  void Want(Index i);
  void Remove(Index i, Evicted& evicted);
  void Insert(const Install& install, std::uint64_t hash);

  // The heap of known next uses, stale entries' too: those leave before it is asked.
  bool IsFarther(Index a, Index b) const;
  void PlaceInHeap(std::size_t position, Index i);
  void SiftUp(std::size_t position);
  void SiftDown(std::size_t position);
  void RemoveFromHeap(Index i);
  void UpdateNextUse(Index i, std::uint64_t next_use);

  KeyHasher hasher_;
  std::vector<Entry> entries_;
  std::vector<State> states_;
  std::vector<NextUse> next_uses_;
  std::vector<Index> buckets_;
  std::vector<Index> free_;
  std::size_t most_of_vm_;
  std::vector<VmEntries> of_vm_;  // by VM; empty where none is bounded
  std::vector<Own> own_;          // by entry, then the heads
  std::vector<Index> heap_;       // entries with a known next use, farthest first
  std::size_t heap_size_ = 0;
  std::size_t size_ = 0;
  std::size_t unused_predictions_ = 0;
  std::uint64_t serial_ = 0;
  std::uint64_t removals_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t stale_before_ = 0;  // entries of earlier generations became stale all at once
};

inline void FlowCache::Unlink(Index i) {
  const State& state = states_[i];
  states_[state.older].newer = state.newer;
  states_[state.newer].older = state.older;
}

inline void FlowCache::LinkNewest(List list, Index i) {
  const Index head = Head(list);
  const Index newest = states_[head].older;
  states_[i].older = newest;
  states_[i].newer = head;
  states_[newest].newer = i;
  states_[head].older = i;
}

inline void FlowCache::See(const RuleChanges& rules) {
  if (rules.generation() > generation_) BeginGeneration(rules);
}

// The live entry with that key; stale ones may lie beside it until they are reclaimed. What is learnt of
// entries of older generations is written down.
inline FlowCache::Index FlowCache::Find(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules,
                                        Work& work) {
  std::uint32_t probes = 0;
  std::uint32_t lines = 1;
  Index i = buckets_[BucketOf(hash)];
  for (; i != kNone; i = entries_[i].next_in_bucket) {
    ++probes;
    ++lines;
    if (!(entries_[i].key == key)) continue;
    ++lines;
    if (states_[i].generation != generation_) Settle(i, rules, work);
    if (!states_[i].is_stale) break;
  }
  work.Add(WorkItem::kHash);
  work.Add(WorkItem::kProbe, probes);
  work.Add(WorkItem::kCacheLine, lines);
  return i;
}

inline void FlowCache::Want(Index i) {
  State& state = states_[i];
  if (state.on_probation) --unused_predictions_;
  state.on_probation = false;
  state.unused_prediction = false;
  state.last_wanted = ++serial_;
  Unlink(i);
  LinkNewest(kWanted, i);
  if (IsBounded()) {
    UnlinkOwn(i);
    LinkOwn(i, false);
  }
  if (heap_size_ == 0 || next_uses_[i].heap_position == kNone) return;
  SiftDown(next_uses_[i].heap_position);  // among equals, recent use counts as nearer
}

inline bool FlowCache::Lookup(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules, Nanos now,
                              Hit& hit, Work& work) {
  See(rules);
  const bool is_old = rules.generation() != generation_;
  const Index i = is_old ? kNone : Find(key, hash, rules, work);
  if (i == kNone) return false;
  Entry& entry = entries_[i];
  State& state = states_[i];
  work.Add(WorkItem::kUpdate);
  if (now < entry.ready) {
    Want(i);
    state.cause = InstallCause::kMiss;
    return false;
  }
  hit.decision = {state.rule, entry.action};
  hit.cause = state.cause;
  hit.first_use = state.unused_prediction;
  Want(i);
  return true;
}

inline bool FlowCache::Contains(const EntryKey& key, std::uint64_t hash, const RuleChanges& rules) const {
  return FindUnchanged(key, hash, rules) != kNone;
}

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_FLOW_CACHE_H_
