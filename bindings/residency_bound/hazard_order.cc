// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/residency_bound/hazard_order.h"

#include <algorithm>

namespace foreflow::bound {
namespace {

constexpr std::size_t kLookedAt = 32;  // candidates whose shared covers count; the rest fills what is left
constexpr std::size_t kForced = 3;     // of those left out, that are tried first
constexpr std::size_t kNobody = SIZE_MAX;

}  // namespace

using rules::CoverPlan;

HazardOrder::HazardOrder(const CoverPlan& plan, std::size_t slots)
    : plan_(plan), slots_(slots), present_(plan.size()), taken_(plan.size()), is_wanted_(plan.size()) {}

std::size_t HazardOrder::SlotsFor(std::uint32_t rank) const {
  std::size_t slots = IsPresent(rank) ? 0 : 1;
  for (std::size_t i = 0; i < plan_.cover_count(rank); ++i) {
    const std::uint32_t shared = plan_.covers(rank)[i].shared;
    if (shared == CoverPlan::kNone || !IsPresent(shared)) ++slots;
  }
  return slots;
}

void HazardOrder::Take(std::uint32_t rank) {
  free_ -= SlotsFor(rank);
  present_[rank] = taken_[rank] = choice_;
  for (std::size_t i = 0; i < plan_.cover_count(rank); ++i) {
    const std::uint32_t shared = plan_.covers(rank)[i].shared;
    if (shared != CoverPlan::kNone) present_[shared] = choice_;
  }
}

double HazardOrder::Fill(std::size_t first, std::vector<std::uint32_t>& ranks) {
  ++choice_;
  free_ = slots_;
  ranks.clear();
  double sum = 0;
  const auto take = [&](const Candidate& candidate) {
    Take(candidate.rank);
    ranks.push_back(candidate.rank);
    sum += candidate.rate;
  };
  if (first != kNobody) take(sorted_[first]);
  const std::size_t looked_at = std::min(sorted_.size(), kLookedAt);
  for (;;) {
    std::size_t best = kNobody;
    double best_rate = 0;
    for (std::size_t i = 0; i < looked_at; ++i) {
      const Candidate& candidate = sorted_[i];
      if (taken_[candidate.rank] == choice_) continue;
      const std::size_t slots = SlotsFor(candidate.rank);
      if (slots > free_) continue;
      const double rate = slots == 0 ? 1e300 : candidate.rate / static_cast<double>(slots);
      if (rate > best_rate) {
        best = i;
        best_rate = rate;
      }
    }
    if (best == kNobody) break;
    take(sorted_[best]);
  }
  for (std::size_t i = looked_at; i < sorted_.size() && free_ > 0; ++i) {
    if (SlotsFor(sorted_[i].rank) <= free_) take(sorted_[i]);
  }
  return sum;
}

const std::vector<std::uint32_t>& HazardOrder::Choose(const std::vector<Candidate>& candidates) {
  sorted_.clear();
  for (Candidate candidate : candidates) {
    const std::size_t slots = 1 + plan_.cover_count(candidate.rank);
    if (candidate.rate <= 0 || !plan_.IsWorthHolding(candidate.rank) || slots > slots_) continue;
    candidate.a_slot = candidate.rate / static_cast<double>(slots);
    sorted_.push_back(candidate);
  }
  const auto comes_first = [](const Candidate& a, const Candidate& b) {
    return a.a_slot != b.a_slot ? a.a_slot > b.a_slot : a.rank < b.rank;
  };
  // More than these never find room, but for those whose covers are all there.
  const std::size_t most_taken = std::min(sorted_.size(), 2 * slots_ + kLookedAt);
  std::partial_sort(sorted_.begin(), sorted_.begin() + static_cast<std::ptrdiff_t>(most_taken), sorted_.end(),
                    comes_first);
  sorted_.resize(most_taken);
  double most = Fill(kNobody, best_);
  std::vector<std::size_t> left_out;
  for (std::size_t i = 0; i < std::min(sorted_.size(), kLookedAt); ++i) {
    if (taken_[sorted_[i].rank] != choice_) left_out.push_back(i);
  }
  const std::size_t tried = std::min(left_out.size(), kForced);
  std::partial_sort(left_out.begin(), left_out.begin() + static_cast<std::ptrdiff_t>(tried), left_out.end(),
                    [this](std::size_t a, std::size_t b) {
                      return sorted_[a].rate != sorted_[b].rate ? sorted_[a].rate > sorted_[b].rate : a < b;
                    });
  for (std::size_t i = 0; i < tried; ++i) {
    const double sum = Fill(left_out[i], other_);
    if (sum <= most) continue;
    most = sum;
    best_.swap(other_);
  }
  return best_;
}

std::uint64_t HazardOrder::Apply(const std::vector<std::uint32_t>& chosen, Nanos ready,
                                 rules::ResidentRules& table) {
  ++calls_;
  Work uncounted;
  std::uint64_t writes = 0;
  for (const std::uint32_t rank : chosen) is_wanted_[rank] = calls_;
  for (const std::uint32_t rank : chosen) {
    if (table.Holds(rank)) continue;
    // What nobody wants any more goes when its room is needed.
    for (std::size_t i = 0; i < held_.size() && table.SlotsFor(rank) > table.free_slots();) {
      if (is_wanted_[held_[i]] == calls_) {
        ++i;
        continue;
      }
      writes += table.Evict(held_[i], uncounted);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (table.SlotsFor(rank) > table.free_slots()) continue;
    writes += table.Hold(rank, ready, uncounted);
    held_.push_back(rank);
  }
  return writes;
}

}  // namespace foreflow::bound
