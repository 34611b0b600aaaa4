// SPDX-License-Identifier: BSD-3-Clause
#include "models/flow/flow_table.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::flow {
namespace {

// Flows considered for one eviction.
constexpr int kCandidates = 4;
constexpr std::size_t kMostVms = 65536;
constexpr std::int64_t kMostTicks = (std::int64_t{1} << 31) - 1;

}  // namespace

FlowTable::FlowTable(const FlowTableConfig& config)
    : index_(config.capacity, config.seed),
      wheel_(config.capacity, config.tick, config.start),
      timeouts_(config.timeouts),
      cold_(config.capacity) {
  const std::size_t most = std::min(kMostVms, config.capacity);
  if (config.vms < 1 || config.vms > most) {
    throw Refusal("flow table", "vms", std::to_string(config.vms), "1 .. " + std::to_string(most));
  }
  for (std::size_t i = 0; i < kPhases; ++i) {
    const Nanos timeout = timeouts_.by_phase[i];
    if (timeout < Nanos() || timeout / config.tick >= kMostTicks) {
      throw Refusal("flow table", std::string("timeout of phase ") + Name(static_cast<Phase>(i)),
                    std::to_string(timeout.count()) + " ns", "0 .. 2^31 - 1 ticks");
    }
  }
  count_.assign(config.vms, 0);
  hand_.assign(config.vms, kNoSlot);
  share_ = config.capacity / config.vms;
}

std::size_t FlowTable::bytes() const {
  return index_.bytes() + wheel_.bytes() + cold_.size() * sizeof(Cold) +
         count_.size() * (sizeof(std::uint32_t) + sizeof(Slot)) + sizeof(*this);
}

// Saturates: captures with a broken clock may lie at the end of the range.
inline Nanos FlowTable::Deadline(Slot slot) const {
  const std::int64_t last = index_.entry(slot).last.count();
  const std::int64_t timeout = timeouts_[cold_[slot].connection.phase()].count();
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  return Nanos(last > kEnd - timeout ? kEnd : last + timeout);
}

void FlowTable::Prefetch(const FlowKey* keys, std::size_t count) const {
  std::array<Slot, kBurst> candidates;
  count = std::min(count, kBurst);
  index_.Prefetch(keys, count, candidates.data());
  std::size_t newcomers = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Slot slot = candidates[i];
    if (slot == kNoSlot) {
      slot = index_.FreeSlot(newcomers++);
      if (slot == kNoSlot) continue;
      __builtin_prefetch(&index_.entry(slot), 1);
    }
    __builtin_prefetch(&cold_[slot], 1);
    wheel_.Prefetch(slot);
  }
}

FlowTable::Inserted FlowTable::FindOrInsert(const FlowKey& key, Nanos now, Work& work, FlowRecord* gone) {
  FlowIndex::Place place = index_.FindOrInsert(key, work);
  if (place.slot != kNoSlot && !place.fresh) return {place.slot, false, false};
  const bool evict = place.slot == kNoSlot;
  if (evict) {
    const Slot victim = ChooseVictim(key.vm, work);
    if (gone != nullptr) *gone = record(victim);
    Remove(victim, work);
    place = index_.FindOrInsert(key, work);
  }
  index_.entry(place.slot).last = now;
  cold_[place.slot].first = now;
  cold_[place.slot].connection = ConnectionState();
  Link(place.slot);
  wheel_.Arm(place.slot, Deadline(place.slot));
  work.Add(WorkItem::kUpdate);
  work.Add(WorkItem::kCacheLine);
  return {place.slot, true, evict};
}

void FlowTable::Observe(Slot slot, Nanos now, std::uint32_t wire_bytes, const ConnectionPacket& packet,
                        Work& work) {
  FlowIndex::Entry& entry = index_.entry(slot);
  entry.last = std::max(entry.last, now);
  ++entry.packets;
  entry.bytes += wire_bytes;
  work.Add(WorkItem::kUpdate);
  work.Add(WorkItem::kCacheLine, 2);
  // A new phase may end earlier than the timer was armed for; a later end is found when the timer fires.
  if (cold_[slot].connection.Track(packet)) {
    const Nanos deadline = Deadline(slot);
    if (deadline < wheel_.FiresAt(slot)) wheel_.Arm(slot, deadline);
  }
}

bool FlowTable::Erase(const FlowKey& key, Work& work) {
  const Slot slot = index_.Find(key, work);
  if (slot == kNoSlot) return false;
  Remove(slot, work);
  return true;
}

bool FlowTable::Expire(Nanos now, FlowRecord& gone, Work& work) {
  for (Slot slot = wheel_.Next(now); slot != ExpiryWheel::kNone; slot = wheel_.Next(now)) {
    const Nanos deadline = Deadline(slot);
    work.Add(WorkItem::kProbe);
    work.Add(WorkItem::kCacheLine);
    if (deadline > wheel_.time()) {
      wheel_.Arm(slot, deadline);
      continue;
    }
    gone = record(slot);
    Remove(slot, work);
    return true;
  }
  return false;
}

FlowRecord FlowTable::record(Slot slot) const {
  const FlowIndex::Entry& entry = index_.entry(slot);
  const Cold& cold = cold_[slot];
  return {entry.key, cold.first, entry.last, entry.packets, entry.bytes, cold.connection.phase()};
}

Slot FlowTable::ChooseVictim(VmId newcomer, Work& work) {
  std::size_t account = AccountOf(newcomer);
  if (count_[account] < share_) {
    // The table is full and the newcomer below its share, so the VM that holds most is above its own.
    account = static_cast<std::size_t>(std::max_element(count_.begin(), count_.end()) - count_.begin());
    work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(count_.size() / 16 + 1));
  }
  Slot victim = hand_[account];
  Slot candidate = victim;
  for (int i = 0; i < kCandidates; ++i) {
    if (Deadline(candidate) < Deadline(victim)) victim = candidate;
    candidate = cold_[candidate].ring.next;
    work.Add(WorkItem::kProbe);
    work.Add(WorkItem::kCacheLine, 2);
  }
  hand_[account] = candidate;
  return victim;
}

inline void FlowTable::Link(Slot slot) {
  Cold& cold = cold_[slot];
  cold.order = {newest_, kNoSlot};
  (newest_ == kNoSlot ? oldest_ : cold_[newest_].order.next) = slot;
  newest_ = slot;

  const std::size_t account = AccountOf(index_.entry(slot).key.vm);
  const Slot hand = hand_[account];
  if (hand == kNoSlot) {
    cold.ring = {slot, slot};
    hand_[account] = slot;
  } else {
    // Before the hand: it comes here last.
    const Slot last = cold_[hand].ring.previous;
    cold.ring = {last, hand};
    cold_[last].ring.next = slot;
    cold_[hand].ring.previous = slot;
  }
  ++count_[account];
}

void FlowTable::Remove(Slot slot, Work& work) {
  const Cold& cold = cold_[slot];
  (cold.order.previous == kNoSlot ? oldest_ : cold_[cold.order.previous].order.next) = cold.order.next;
  (cold.order.next == kNoSlot ? newest_ : cold_[cold.order.next].order.previous) = cold.order.previous;

  const std::size_t account = AccountOf(index_.entry(slot).key.vm);
  cold_[cold.ring.previous].ring.next = cold.ring.next;
  cold_[cold.ring.next].ring.previous = cold.ring.previous;
  if (hand_[account] == slot) hand_[account] = cold.ring.next == slot ? kNoSlot : cold.ring.next;
  --count_[account];

  wheel_.Disarm(slot);
  index_.Erase(slot, work);
  work.Add(WorkItem::kUpdate);
  work.Add(WorkItem::kCacheLine);
}

}  // namespace foreflow::flow
