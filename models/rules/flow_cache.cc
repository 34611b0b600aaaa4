// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/flow_cache.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::rules {
namespace {

constexpr std::size_t kMaxCapacity = std::size_t{1} << 24;

std::size_t PowerOfTwoFrom(std::size_t least) {
  std::size_t power = 1;
  while (power < least) power *= 2;
  return power;
}

}  // namespace

FlowCache::FlowCache(std::size_t capacity, std::uint64_t hash_seed, const VmBound& bound)
    : hasher_(hash_seed), most_of_vm_(bound.entries) {
  if (capacity < 1 || capacity > kMaxCapacity) {
    throw Refusal("flow cache", "capacity", std::to_string(capacity), "1..16777216 entries");
  }
  if (bound.entries < 1) throw Refusal("flow cache", "entries of one VM", "0", "1 or more");
  entries_.resize(capacity);
  states_.resize(capacity + kLists);
  next_uses_.resize(capacity);
  buckets_.assign(PowerOfTwoFrom(2 * capacity), kNone);
  heap_.assign(capacity, kNone);
  free_.reserve(capacity);
  for (std::size_t i = capacity; i > 0; --i) free_.push_back(static_cast<Index>(i - 1));
  for (const List list : {kWanted, kProbation, kStale}) {
    states_[Head(list)].older = Head(list);
    states_[Head(list)].newer = Head(list);
  }
  if (bound.entries >= capacity) return;
  of_vm_.resize(bound.vms + 1);
  own_.resize(capacity + 2 * of_vm_.size());
  for (std::size_t head = capacity; head < own_.size(); ++head) {
    own_[head].older = static_cast<Index>(head);
    own_[head].newer = static_cast<Index>(head);
  }
}

FlowCache::Index FlowCache::FindUnchanged(const EntryKey& key, std::uint64_t hash,
                                          const RuleChanges& rules) const {
  if (rules.generation() < generation_) return kNone;
  Index i = buckets_[BucketOf(hash)];
  for (; i != kNone; i = entries_[i].next_in_bucket) {
    if (!(entries_[i].key == key) || states_[i].is_stale) continue;
    Work uncounted;
    if (rules.Holds(key, DecisionOf(i), states_[i].generation, uncounted)) break;
  }
  return i;
}

bool FlowCache::Peek(const EntryKey& key, const RuleChanges& rules, Resident& resident) const {
  const Index i = FindUnchanged(key, HashOf(key), rules);
  if (i == kNone) return false;
  resident = {DecisionOf(i), entries_[i].ready, states_[i].cause, states_[i].unused_prediction};
  return true;
}

FlowCache::Evicted FlowCache::Put(const Install& install, std::uint64_t hash, const RuleChanges& rules,
                                  Work& work) {
  Evicted evicted;
  See(rules);
  if (rules.generation() != generation_) {
    evicted.installed = false;
    return evicted;
  }
  const Index present = Find(install.key, hash, rules, work);
  if (present != kNone) {
    Entry& entry = entries_[present];
    entry.ready = std::min(entry.ready, install.ready);
    UpdateNextUse(present, install.next_use);
    if (install.cause == InstallCause::kMiss) {
      Want(present);
      states_[present].cause = InstallCause::kMiss;
    }
    work.Add(WorkItem::kUpdate);
    return evicted;
  }

  const bool is_guess = install.cause == InstallCause::kPredicted && install.next_use == 0;
  if (is_guess && std::min(unused_prediction_limit(), most_of_vm_ / 4) == 0) {
    evicted.installed = false;
    return evicted;
  }
  const bool guesses_are_full = is_guess && unused_predictions_ == unused_prediction_limit();
  Index victim = IsBounded() ? OwnVictim(install.key, is_guess) : kNone;
  if (victim != kNone) {
    evicted.installed = !guesses_are_full || IsLiveGuess(victim);
  } else if (guesses_are_full) {
    victim = Oldest(kProbation);
  } else if (free_.empty()) {
    victim = Victim();
    const bool is_known = heap_size_ > 0 && IsEmpty(kStale);
    evicted.installed = !is_known || install.next_use < next_uses_[victim].packet;
  }
  if (!evicted.installed) return evicted;
  if (victim != kNone) Remove(victim, evicted);
  Insert(install, hash);
  work.Add(WorkItem::kInstall);
  return evicted;
}

// Of all, where there is no room.
FlowCache::Index FlowCache::Victim() const {
  if (!IsEmpty(kStale)) return Oldest(kStale);
  if (heap_size_ > 0) return heap_[0];
  if (IsEmpty(kProbation)) return Oldest(kWanted);
  if (IsEmpty(kWanted)) return Oldest(kProbation);
  return Older(Oldest(kWanted), Oldest(kProbation));
}

// Of the VM's own, where it may have no more; kNone where it may.
FlowCache::Index FlowCache::OwnVictim(const EntryKey& key, bool is_guess) const {
  const std::size_t vm = VmOf(key);
  const VmEntries& of_vm = of_vm_[vm];
  const Index guess = own_[OwnHead(vm, true)].newer;
  const Index wanted = own_[OwnHead(vm, false)].newer;
  if (is_guess && of_vm.guesses > 0 && of_vm.guesses >= most_of_vm_ / 4) return guess;
  if (of_vm.entries < most_of_vm_) return kNone;
  if (of_vm.guesses == 0) return wanted;
  if (of_vm.guesses == of_vm.entries) return guess;
  return Older(wanted, guess);
}

void FlowCache::LinkOwn(Index i, bool is_guess) {
  const std::size_t vm = VmOf(entries_[i].key);
  ++of_vm_[vm].entries;
  if (is_guess) ++of_vm_[vm].guesses;
  const Index head = OwnHead(vm, is_guess);
  const Index newest = own_[head].older;
  own_[i] = {newest, head, is_guess};
  own_[newest].newer = i;
  own_[head].older = i;
}

void FlowCache::UnlinkOwn(Index i) {
  const Own& own = own_[i];
  VmEntries& of_vm = of_vm_[VmOf(entries_[i].key)];
  --of_vm.entries;
  if (own.is_guess) --of_vm.guesses;
  own_[own.older].newer = own.newer;
  own_[own.newer].older = own.older;
}

void FlowCache::SetNextUse(const EntryKey& key, std::uint64_t next_use) {
  Index i = buckets_[BucketOf(HashOf(key))];
  while (i != kNone &&
         (!(entries_[i].key == key) || states_[i].is_stale || states_[i].generation < stale_before_)) {
    i = entries_[i].next_in_bucket;
  }
  if (i != kNone) UpdateNextUse(i, next_use);
}

// Moves a whole list behind the stale one.
void FlowCache::MakeStale(List list) {
  if (IsEmpty(list)) return;
  State& from = states_[Head(list)];
  State& stale = states_[Head(kStale)];
  states_[stale.older].newer = from.newer;
  states_[from.newer].older = stale.older;
  states_[from.older].newer = Head(kStale);
  stale.older = from.older;
  from.older = Head(list);
  from.newer = Head(list);
}

void FlowCache::BeginGeneration(const RuleChanges& rules) {
  const bool all_known = rules.Reaches(generation_);
  generation_ = rules.generation();
  ++removals_;
  if (all_known) return;
  stale_before_ = generation_;
  MakeStale(kWanted);
  MakeStale(kProbation);
  unused_predictions_ = 0;
}

// An entry of an older generation joins the present one or becomes stale.
void FlowCache::Settle(Index i, const RuleChanges& rules, Work& work) {
  State& state = states_[i];
  work.Add(WorkItem::kUpdate);
  const bool is_listed_stale = state.is_stale || state.generation < stale_before_;
  if (!is_listed_stale && rules.Holds(entries_[i].key, DecisionOf(i), state.generation, work)) {
    state.generation = generation_;
    return;
  }
  state.is_stale = true;
  state.generation = generation_;
  if (is_listed_stale) return;
  if (state.on_probation) --unused_predictions_;
  state.on_probation = false;
  Unlink(i);
  LinkNewest(kStale, i);
}

void FlowCache::Remove(Index i, Evicted& evicted) {
  const State& state = states_[i];
  evicted.any = true;
  evicted.key = entries_[i].key;
  evicted.was_unused_prediction = state.unused_prediction;
  if (IsLiveGuess(i)) --unused_predictions_;
  if (IsBounded()) UnlinkOwn(i);
  if (heap_size_ > 0 && next_uses_[i].heap_position != kNone) RemoveFromHeap(i);
  Unlink(i);
  Index* link = &buckets_[BucketOf(HashOf(entries_[i].key))];
  while (*link != i) link = &entries_[*link].next_in_bucket;
  *link = entries_[i].next_in_bucket;
  free_.push_back(i);
  --size_;
  ++removals_;
}

void FlowCache::Insert(const Install& install, std::uint64_t hash) {
  const Index i = free_.back();
  free_.pop_back();
  ++size_;
  Index& bucket = buckets_[BucketOf(hash)];
  entries_[i] = {install.key, install.decision.action, bucket, install.ready};
  bucket = i;
  State& state = states_[i];
  state.generation = generation_;
  state.rule = install.decision.rule;
  state.is_stale = false;
  state.last_wanted = ++serial_;
  state.cause = install.cause;
  state.unused_prediction = install.cause == InstallCause::kPredicted;
  state.on_probation = state.unused_prediction && install.next_use == 0;
  if (state.on_probation) ++unused_predictions_;
  LinkNewest(state.on_probation ? kProbation : kWanted, i);
  if (IsBounded()) LinkOwn(i, state.on_probation);
  UpdateNextUse(i, install.next_use);
}

bool FlowCache::IsFarther(Index a, Index b) const {
  if (next_uses_[a].packet != next_uses_[b].packet) return next_uses_[a].packet > next_uses_[b].packet;
  return states_[a].last_wanted < states_[b].last_wanted;
}

void FlowCache::PlaceInHeap(std::size_t position, Index i) {
  heap_[position] = i;
  next_uses_[i].heap_position = static_cast<Index>(position);
}

void FlowCache::SiftUp(std::size_t position) {
  const Index i = heap_[position];
  while (position > 0 && IsFarther(i, heap_[(position - 1) / 2])) {
    PlaceInHeap(position, heap_[(position - 1) / 2]);
    position = (position - 1) / 2;
  }
  PlaceInHeap(position, i);
}

void FlowCache::SiftDown(std::size_t position) {
  const Index i = heap_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_size_) break;
    if (child + 1 < heap_size_ && IsFarther(heap_[child + 1], heap_[child])) ++child;
    if (!IsFarther(heap_[child], i)) break;
    PlaceInHeap(position, heap_[child]);
    position = child;
  }
  PlaceInHeap(position, i);
}

void FlowCache::RemoveFromHeap(Index i) {
  const std::size_t position = next_uses_[i].heap_position;
  next_uses_[i].heap_position = kNone;
  --heap_size_;
  if (position == heap_size_) return;
  PlaceInHeap(position, heap_[heap_size_]);
  SiftUp(position);
  SiftDown(next_uses_[heap_[position]].heap_position);
}

void FlowCache::UpdateNextUse(Index i, std::uint64_t next_use) {
  if (next_use == 0 && heap_size_ == 0) return;
  const bool was_known = next_uses_[i].heap_position != kNone;
  if (next_use == 0) {
    if (was_known) RemoveFromHeap(i);
    return;
  }
  next_uses_[i].packet = next_use;
  if (!was_known) {
    PlaceInHeap(heap_size_, i);
    ++heap_size_;
  }
  SiftUp(next_uses_[i].heap_position);
  SiftDown(next_uses_[i].heap_position);
}

}  // namespace foreflow::rules
