// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/resident_rules.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"
#include "models/rules/match.h"

namespace foreflow::rules {
namespace {

constexpr std::size_t kMostSlots = std::size_t{1} << 24;

bool Contains(const PortRange& range, std::uint16_t port) { return range.low <= port && port <= range.high; }

}  // namespace

ResidentRules::ResidentRules(const CoverPlan& plan, std::size_t slots) : plan_(&plan) {
  if (slots < 1 || slots > kMostSlots) {
    throw Refusal("configuration", "device.rules", std::to_string(slots), "1.." + std::to_string(kMostSlots));
  }
  entries_.resize(slots);
  free_.reserve(slots);
  for (std::size_t i = slots; i-- > 0;) free_.push_back(static_cast<Index>(i));
  std::size_t buckets = 1;
  while (buckets < 2 * slots) buckets *= 2;
  buckets_.assign(buckets, kNone);
  live_.reserve(std::min(slots, plan.masks().size()));
  live_at_.assign(plan.masks().size(), kNone);
  at_.assign(plan.size(), kNone);
  first_merged_.assign(plan.size(), kNone);
}

ResidentRules::Answer ResidentRules::Find(const flow::FlowKey& key, wire::VlanKey vlan, Nanos now,
                                          std::uint32_t& rank, Work& work) const {
  work.Add(WorkItem::kProbe);
  work.Add(WorkItem::kRuleCompare);
  const MatchWords words = MatchWordsOf(key, vlan);
  std::uint64_t best = UINT64_MAX;
  Answer answer = Answer::kNothing;
  for (const Live& live : live_) {
    const MatchWords masked = And(words, plan_->masks()[live.mask]);
    for (Index i = buckets_[Hash(masked, live.mask) & (buckets_.size() - 1)]; i != kNone;
         i = entries_[i].next) {
      const Entry& entry = entries_[i];
      // A merged cover lies just above its rule.
      const std::uint64_t order = 2 * std::uint64_t{entry.rank} + (entry.is_merged ? 0 : 1);
      if (order >= best || now < entry.cover_ready || entry.match.mask != live.mask ||
          entry.match.key != masked || !Contains(entry.match.destination_port, key.destination_port) ||
          !Contains(entry.match.source_port, key.source_port)) {
        continue;
      }
      best = order;
      rank = entry.rank;
      answer = entry.is_rule && now >= entry.rule_ready ? Answer::kRule : Answer::kCover;
    }
  }
  return answer;
}

std::size_t ResidentRules::SlotsFor(std::uint32_t rank) const {
  std::size_t slots = at_[rank] == kNone ? 1 : 0;
  const CoverPlan::Cover* const covers = plan_->covers(rank);
  for (std::size_t i = 0; i < plan_->cover_count(rank); ++i) {
    if (covers[i].shared == CoverPlan::kNone || at_[covers[i].shared] == kNone) ++slots;
  }
  return slots;
}

std::size_t ResidentRules::SlotsFreedBy(std::uint32_t rank, std::uint32_t newcomer) const {
  const CoverPlan::Cover* const needed = plan_->covers(newcomer);
  const auto is_needed = [&](std::uint32_t cover) {
    return cover == newcomer ||
           std::any_of(needed, needed + plan_->cover_count(newcomer),
                       [cover](const CoverPlan::Cover& of) { return of.shared == cover; });
  };
  std::size_t slots = entries_[at_[rank]].needers == 0 && !is_needed(rank) ? 1 : 0;
  const CoverPlan::Cover* const covers = plan_->covers(rank);
  for (std::size_t i = 0; i < plan_->cover_count(rank); ++i) {
    const std::uint32_t shared = covers[i].shared;
    if (shared == CoverPlan::kNone) {
      ++slots;
      continue;
    }
    const Entry& cover = entries_[at_[shared]];
    if (cover.needers == 1 && !cover.is_rule && !is_needed(shared)) ++slots;
  }
  return slots;
}

std::uint32_t ResidentRules::Hold(std::uint32_t rank, Nanos ready, Work& work) {
  std::uint32_t writes = 1;
  const CoverPlan::Cover* const covers = plan_->covers(rank);
  for (std::size_t i = 0; i < plan_->cover_count(rank); ++i) {
    const std::uint32_t shared = covers[i].shared;
    if (shared == CoverPlan::kNone) {
      const Index merged = Take(covers[i].match, rank, ready);
      entries_[merged].is_merged = true;
      entries_[merged].next_merged = first_merged_[rank];
      first_merged_[rank] = merged;
      ++writes;
      continue;
    }
    if (at_[shared] == kNone) {
      at_[shared] = Take(plan_->match(shared), shared, ready);
      ++writes;
    }
    ++entries_[at_[shared]].needers;
  }
  if (at_[rank] == kNone) at_[rank] = Take(plan_->match(rank), rank, ready);
  Entry& entry = entries_[at_[rank]];
  entry.is_rule = true;
  entry.rule_ready = ready;
  ++rules_held_;
  work.Add(WorkItem::kInstall, writes);
  return writes;
}

std::uint32_t ResidentRules::Evict(std::uint32_t rank, Work& work) {
  std::uint32_t writes = 1;  // the rule goes, or becomes a cover
  const CoverPlan::Cover* const covers = plan_->covers(rank);
  for (std::size_t i = 0; i < plan_->cover_count(rank); ++i) {
    const std::uint32_t shared = covers[i].shared;
    if (shared == CoverPlan::kNone) continue;
    Entry& entry = entries_[at_[shared]];
    --entry.needers;
    if (entry.needers > 0 || entry.is_rule) continue;
    Release(at_[shared]);
    at_[shared] = kNone;
    ++writes;
  }
  for (Index i = first_merged_[rank]; i != kNone;) {
    const Index next = entries_[i].next_merged;
    Release(i);
    ++writes;
    i = next;
  }
  first_merged_[rank] = kNone;
  Entry& own = entries_[at_[rank]];
  own.is_rule = false;
  if (own.needers == 0) {
    Release(at_[rank]);
    at_[rank] = kNone;
  }
  --rules_held_;
  work.Add(WorkItem::kUpdate, writes);
  return writes;
}

ResidentRules::Index ResidentRules::Take(const CoverPlan::Match& match, std::uint32_t rank, Nanos ready) {
  const Index i = free_.back();
  free_.pop_back();
  Entry& entry = entries_[i];
  entry = Entry{};
  entry.match = match;
  entry.rank = rank;
  entry.cover_ready = ready;
  Index& bucket = BucketOf(match.key, match.mask);
  entry.next = bucket;
  bucket = i;
  if (live_at_[match.mask] == kNone) {
    live_at_[match.mask] = static_cast<std::uint32_t>(live_.size());
    live_.push_back({match.mask, 0});
  }
  ++live_[live_at_[match.mask]].entries;
  return i;
}

void ResidentRules::Release(Index i) {
  const CoverPlan::Match& match = entries_[i].match;
  Index* link = &BucketOf(match.key, match.mask);
  while (*link != i) link = &entries_[*link].next;
  *link = entries_[i].next;
  free_.push_back(i);
  const std::uint32_t position = live_at_[match.mask];
  if (--live_[position].entries > 0) return;
  live_at_[match.mask] = kNone;
  if (position + 1 < live_.size()) {
    live_[position] = live_.back();
    live_at_[live_[position].mask] = position;
  }
  live_.pop_back();
}

}  // namespace foreflow::rules
