// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_residency.h"

#include <algorithm>
#include <numeric>

namespace foreflow::rules {
namespace {

constexpr std::uint32_t kBurstWrites = 1024;

}  // namespace

RuleResidency::RuleResidency(const CoverPlan& plan, const ResidencyPolicy& policy, const Config& config)
    : plan_(&plan),
      policy_(&policy),
      config_(config),
      table_(plan, config.slots),
      budget_(config.writes_per_second, kBurstWrites),
      rules_(plan.size()),
      order_(plan.size()) {
  heap_.reserve(std::min(plan.size(), config.slots));
  if (config.demand != nullptr) {
    idle_.reserve(heap_.capacity());
    busy_.reserve(heap_.capacity());
  }
  if (policy.StartsFull()) FillFromStart();
}

// What is known before the first packet was written before it, and is no part of any budget.
void RuleResidency::FillFromStart() {
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(),
            [this](std::uint32_t a, std::uint32_t b) { return IsWorthLess(b, a); });
  Work before;
  for (const std::uint32_t rank : order_) {
    if (policy_->Worth(rank) <= 0) break;
    if (!Fits(rank) || table_.Holds(rank) || table_.SlotsFor(rank) > table_.free_slots()) continue;
    table_.Hold(rank, Nanos(INT64_MIN), before);
    AddToHeap(rank);
  }
}

bool RuleResidency::Fits(std::uint32_t rank) const {
  return plan_->IsWorthHolding(rank) && 1 + plan_->cover_count(rank) <= table_.slots();
}

bool RuleResidency::Want(std::uint32_t rank, Nanos now, Work& work) {
  work.Add(WorkItem::kUpdate);
  Rule& rule = rules_[rank];
  rule.lift = INT64_MIN;
  if (rule.heap_position != kNone) {
    Sift(rule.heap_position);
    return false;
  }
  if (rule.unused_slots == 0) return false;
  const std::int64_t wait = std::max<std::int64_t>((now - rule.predicted).count(), 1);
  usual_wait_ = usual_wait_ == 0 ? wait : usual_wait_ + (wait - usual_wait_) / 8;
  Forget(rank);
  AddToHeap(rank);
  return true;
}

bool RuleResidency::Miss(std::uint32_t rank, bool by_demand, Nanos now, Work& work) {
  if (table_.Holds(rank) || !Fits(rank) || !policy_->WritesOnMiss()) return false;
  if (!by_demand || config_.demand == nullptr) return WriteInPlace(rank, false, now, work);
  const std::uint32_t taken = SlotsToWrite(rank);
  if (!budget_.Take(now, taken)) return false;
  if (!MakeRoomByDemand(rank, work)) {
    budget_.GiveBack(taken);
    return false;
  }
  Write(rank, now + config_.install_latency, work);
  AddToHeap(rank);
  return true;
}

bool RuleResidency::Predict(const Prediction& prediction, Nanos now, Work& work) {
  const std::uint32_t rank = prediction.rank;
  if (config_.knows_future) {
    return !table_.Holds(rank) && Fits(rank) && WriteInPlace(rank, false, now, work);
  }
  if (table_.Holds(rank)) {
    if (rules_[rank].heap_position == kNone) return false;
    rules_[rank].lift = policy_->WorthIfUsedNow(rank);
    Sift(rules_[rank].heap_position);
    return false;
  }
  if (!Fits(rank)) return false;
  // Where the demand is known, it says what is late.
  if (config_.demand == nullptr) RemoveLatePredictions(now, work);
  const std::size_t limit = unused_slot_limit();
  if (config_.demand == nullptr && MostSlots(rank) > limit) return false;
  if (!prediction.is_due && unused_slots_ + table_.SlotsFor(rank) > limit) return false;
  const std::uint32_t taken = SlotsToWrite(rank);
  if (!budget_.Take(now, taken)) return false;
  if (prediction.confidence < 65535 - budget_.Level()) {
    budget_.GiveBack(taken);
    return false;
  }
  if (!MakeRoomForPrediction(rank, work)) {
    budget_.GiveBack(taken);
    return false;
  }
  Rule& rule = rules_[rank];
  rule.unused_slots = SlotsToWrite(rank);
  rule.predicted = now;
  Write(rank, now + config_.install_latency, work);
  rule.older = newest_;
  rule.newer = kNone;
  (newest_ == kNone ? oldest_ : rules_[newest_].newer) = rank;
  newest_ = rank;
  unused_slots_ += rule.unused_slots;
  return true;
}

bool RuleResidency::MakeRoomForPrediction(std::uint32_t rank, Work& work) {
  if (config_.demand != nullptr) return MakeRoomByDemand(rank, work);
  while (unused_slots_ + table_.SlotsFor(rank) > unused_slot_limit() && oldest_ != kNone) {
    RemoveOldestPrediction(work);
  }
  while (table_.SlotsFor(rank) > table_.free_slots()) {
    if (heap_.empty()) return false;
    Remove(heap_.front(), work);
  }
  return true;
}

bool RuleResidency::MakeRoomByDemand(std::uint32_t rank, Work& work) {
  const std::size_t needed = table_.SlotsFor(rank);
  std::size_t room = table_.free_slots();
  if (needed <= room) return true;
  idle_.clear();
  busy_.clear();
  const auto look_at = [&](std::uint32_t held) {
    const Held seen{held, table_.SlotsFreedBy(held, rank), DemandOf(held)};
    if (seen.demand > 0) return busy_.push_back(seen);
    idle_.push_back(seen);
    room += seen.slots;
  };
  for (std::uint32_t held = oldest_; room < needed && held != kNone; held = rules_[held].newer) look_at(held);
  while (room < needed && !heap_.empty()) {
    const std::uint32_t held = heap_.front();
    TakeFromHeap(held);
    look_at(held);
  }
  work.Add(WorkItem::kUpdate, static_cast<std::uint32_t>(idle_.size() + busy_.size()));
  if (room < needed) {
    std::sort(busy_.begin(), busy_.end(), [](const Held& a, const Held& b) {
      const std::uint64_t left = a.demand * b.slots, right = b.demand * a.slots;
      return left != right ? left < right : a.rank > b.rank;
    });
    const std::uint64_t level = std::max(budget_.Level(), kLeastLevel);
    const std::uint64_t demand = DemandOf(rank) * kAdvantageOf * level;
    for (const Held& held : busy_) {
      if (room >= needed || held.demand * needed * kAdvantage * 65535 >= demand * held.slots) break;
      idle_.push_back(held);
      room += held.slots;
    }
  }
  if (room >= needed) {
    for (std::size_t i = 0; i < idle_.size() && table_.SlotsFor(rank) > table_.free_slots(); ++i) {
      if (rules_[idle_[i].rank].unused_slots > 0) {
        Forget(idle_[i].rank);
        ++wasted_;
      }
      Remove(idle_[i].rank, work);
    }
  }
  for (const auto* looked_at : {&idle_, &busy_}) {
    for (const Held& held : *looked_at) {
      const Rule& rule = rules_[held.rank];
      const bool is_out = table_.Holds(held.rank) && rule.unused_slots == 0 && rule.heap_position == kNone;
      if (is_out) AddToHeap(held.rank);
    }
  }
  return table_.SlotsFor(rank) <= table_.free_slots();
}

void RuleResidency::Exchange(std::size_t swaps, Nanos now, Work& work) {
  // The worths of all have changed.
  for (std::size_t i = heap_.size() / 2; i-- > 0;) SiftDown(i);
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(),
            [this](std::uint32_t a, std::uint32_t b) { return IsWorthLess(b, a); });
  work.Add(WorkItem::kUpdate, static_cast<std::uint32_t>(order_.size()));
  for (const std::uint32_t rank : order_) {
    if (swaps == 0 || policy_->Worth(rank) <= 0) return;
    if (table_.Holds(rank) || !Fits(rank)) continue;
    if (WriteInPlace(rank, true, now, work)) --swaps;
  }
}

void RuleResidency::RemoveLatePredictions(Nanos now, Work& work) {
  if (usual_wait_ == 0) return;
  while (oldest_ != kNone && (now - rules_[oldest_].predicted).count() > kPatience * usual_wait_) {
    RemoveOldestPrediction(work);
  }
}

bool RuleResidency::MakeRoom(std::uint32_t rank, bool is_swap, Nanos now, Work& work) {
  if (table_.SlotsFor(rank) > table_.free_slots()) RemoveLatePredictions(now, work);
  while (table_.SlotsFor(rank) > table_.free_slots()) {
    if (heap_.empty()) {
      if (oldest_ == kNone) return false;
      RemoveOldestPrediction(work);
      continue;
    }
    const std::uint32_t victim = heap_.front();
    const bool may =
        is_swap ? policy_->Worth(rank) > policy_->Worth(victim) : policy_->Displaces(rank, victim);
    if (!may) return false;
    Remove(victim, work);
  }
  return true;
}

// A cover becomes a rule in its slot.
std::uint32_t RuleResidency::SlotsToWrite(std::uint32_t rank) const {
  return std::max(static_cast<std::uint32_t>(table_.SlotsFor(rank)), 1u);
}

bool RuleResidency::WriteInPlace(std::uint32_t rank, bool is_swap, Nanos now, Work& work) {
  const std::uint32_t taken = SlotsToWrite(rank);
  if (!budget_.Take(now, taken)) return false;
  if (!MakeRoom(rank, is_swap, now, work)) {
    budget_.GiveBack(taken);
    return false;
  }
  Write(rank, now + config_.install_latency, work);
  AddToHeap(rank);
  return true;
}

void RuleResidency::Write(std::uint32_t rank, Nanos ready, Work& work) {
  writes_ += table_.Hold(rank, ready, work);
}

void RuleResidency::Remove(std::uint32_t rank, Work& work) {
  if (rules_[rank].heap_position != kNone) TakeFromHeap(rank);
  rules_[rank].lift = INT64_MIN;
  writes_ += table_.Evict(rank, work);
  ++removals_;
}

void RuleResidency::Forget(std::uint32_t rank) {
  Rule& rule = rules_[rank];
  (rule.older == kNone ? oldest_ : rules_[rule.older].newer) = rule.newer;
  (rule.newer == kNone ? newest_ : rules_[rule.newer].older) = rule.older;
  unused_slots_ -= rule.unused_slots;
  rule.unused_slots = 0;
}

void RuleResidency::RemoveOldestPrediction(Work& work) {
  const std::uint32_t rank = oldest_;
  Forget(rank);
  Remove(rank, work);
  ++wasted_;
}

// Among equals the one of lower rank stays: it wins over the others.
bool RuleResidency::IsWorthLess(std::uint32_t a, std::uint32_t b) const {
  const std::int64_t worth_a = Worth(a), worth_b = Worth(b);
  return worth_a != worth_b ? worth_a < worth_b : a > b;
}

void RuleResidency::Place(std::size_t position, std::uint32_t rank) {
  heap_[position] = rank;
  rules_[rank].heap_position = static_cast<std::uint32_t>(position);
}

void RuleResidency::SiftDown(std::size_t position) {
  const std::uint32_t rank = heap_[position];
  for (std::size_t child = 2 * position + 1; child < heap_.size(); child = 2 * position + 1) {
    if (child + 1 < heap_.size() && IsWorthLess(heap_[child + 1], heap_[child])) ++child;
    if (!IsWorthLess(heap_[child], rank)) break;
    Place(position, heap_[child]);
    position = child;
  }
  Place(position, rank);
}

void RuleResidency::Sift(std::size_t position) {
  const std::uint32_t rank = heap_[position];
  while (position > 0 && IsWorthLess(rank, heap_[(position - 1) / 2])) {
    Place(position, heap_[(position - 1) / 2]);
    position = (position - 1) / 2;
  }
  Place(position, rank);
  SiftDown(position);
}

void RuleResidency::AddToHeap(std::uint32_t rank) {
  heap_.push_back(rank);
  Sift(heap_.size() - 1);
}

void RuleResidency::TakeFromHeap(std::uint32_t rank) {
  const std::size_t position = rules_[rank].heap_position;
  rules_[rank].heap_position = kNone;
  const std::uint32_t last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  Place(position, last);
  Sift(position);
}

}  // namespace foreflow::rules
