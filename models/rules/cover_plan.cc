// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/cover_plan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "models/rules/dependency.h"
#include "models/rules/match.h"

namespace foreflow::rules {
namespace {

// Dependencies that one merged cover stands for, as what they share with the rule.
struct Group {
  std::vector<std::uint32_t> members;  // positions among the dependencies
  Rule hull;
  std::int64_t log_volume = 0;
};

Rule HullOf(const std::vector<std::uint32_t>& members, const std::vector<Rule>& shared) {
  Rule hull = shared[members.front()];
  for (const std::uint32_t member : members) hull = Hull(hull, shared[member]);
  return hull;
}

Group GroupOf(std::vector<std::uint32_t> members, const std::vector<Rule>& shared) {
  Group group;
  group.hull = HullOf(members, shared);
  group.log_volume = LogVolume(group.hull);
  group.members = std::move(members);
  return group;
}

// In which order members are cut in two: by one field.
constexpr std::size_t kOrders = 5;
bool IsBefore(std::size_t order, const Rule& a, const Rule& b) {
  switch (order) {
    case 0:
      return a.destination.address < b.destination.address;
    case 1:
      return a.source.address < b.source.address;
    case 2:
      return a.destination_port.low < b.destination_port.low;
    case 3:
      return a.source_port.low < b.source_port.low;
    default:
      return a.ip_protocol != b.ip_protocol ? a.ip_protocol < b.ip_protocol : a.l3 < b.l3;
  }
}

// The two parts whose larger hull is smallest.
std::pair<Group, Group> Cut(const Group& group, const std::vector<Rule>& shared) {
  const std::size_t count = group.members.size();
  std::pair<std::int64_t, std::int64_t> best{INT64_MAX, INT64_MAX};
  std::vector<std::uint32_t> best_order;
  std::size_t best_cut = 1;
  for (std::size_t order = 0; order < kOrders; ++order) {
    std::vector<std::uint32_t> members = group.members;
    std::stable_sort(members.begin(), members.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return IsBefore(order, shared[a], shared[b]); });
    std::vector<std::int64_t> behind(count);
    Rule hull = shared[members.back()];
    for (std::size_t i = count; i-- > 0;) {
      hull = Hull(hull, shared[members[i]]);
      behind[i] = LogVolume(hull);
    }
    hull = shared[members.front()];
    for (std::size_t cut = 1; cut < count; ++cut) {
      hull = Hull(hull, shared[members[cut - 1]]);
      const std::int64_t ahead = LogVolume(hull);
      const std::pair<std::int64_t, std::int64_t> volumes{std::max(ahead, behind[cut]),
                                                          std::min(ahead, behind[cut])};
      if (volumes >= best) continue;
      best = volumes;
      best_order = members;
      best_cut = cut;
    }
  }
  const auto middle = best_order.begin() + static_cast<std::ptrdiff_t>(best_cut);
  return {GroupOf({best_order.begin(), middle}, shared), GroupOf({middle, best_order.end()}, shared)};
}

}  // namespace

CoverPlan::CoverPlan(const std::vector<Rule>& rules, std::size_t most_covers) : rules_(rules) {
  std::sort(rules_.begin(), rules_.end(), Outranks);
  ids_.reserve(rules_.size());
  for (std::size_t rank = 0; rank < rules_.size(); ++rank) {
    ids_.push_back({rules_[rank].id, static_cast<std::uint32_t>(rank)});
  }
  std::sort(ids_.begin(), ids_.end(), [](const Id& a, const Id& b) { return a.id < b.id; });

  for (const Rule& rule : rules_) masks_.push_back(MaskOf(rule));
  std::sort(masks_.begin(), masks_.end());
  masks_.erase(std::unique(masks_.begin(), masks_.end()), masks_.end());
  matches_.reserve(rules_.size());
  for (const Rule& rule : rules_) matches_.push_back(MatchOf(rule));

  const RuleDependencies dependencies(rules_);
  is_worth_holding_.assign(rules_.size(), 1);
  first_cover_.reserve(rules_.size() + 1);
  first_cover_.push_back(0);
  std::vector<std::uint32_t> direct;
  for (std::size_t rank = 0; rank < rules_.size(); ++rank) {
    direct.clear();
    for (const std::uint32_t id : dependencies.Direct(rules_[rank].id)) direct.push_back(RankOf(id));
    PlanCovers(static_cast<std::uint32_t>(rank), direct, most_covers);
    first_cover_.push_back(static_cast<std::uint32_t>(covers_.size()));
  }
}

std::uint32_t CoverPlan::RankOf(std::uint32_t id) const {
  const auto at =
      std::lower_bound(ids_.begin(), ids_.end(), id, [](const Id& a, std::uint32_t b) { return a.id < b; });
  return at != ids_.end() && at->id == id ? at->rank : kNone;
}

CoverPlan::Match CoverPlan::MatchOf(const Rule& box) {
  const MatchWords mask = MaskOf(box);
  // The rules' own masks come first, in order; those of merged covers behind them.
  auto at = std::find(masks_.begin(), masks_.end(), mask);
  if (at == masks_.end()) at = masks_.insert(masks_.end(), mask);
  Match match;
  match.key = MaskedKeyOf(box);
  match.mask = static_cast<std::uint32_t>(at - masks_.begin());
  match.source_port = box.source_port;
  match.destination_port = box.destination_port;
  return match;
}

void CoverPlan::PlanCovers(std::uint32_t rank, const std::vector<std::uint32_t>& direct,
                           std::size_t most_covers) {
  Cover cover;
  if (direct.size() <= most_covers) {
    for (const std::uint32_t above : direct) {
      cover.shared = above;
      covers_.push_back(cover);
      if (Encloses(rules_[above], rules_[rank])) is_worth_holding_[rank] = 0;
    }
    return;
  }
  std::vector<Rule> shared;
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < direct.size(); ++i) {
    shared.push_back(Intersection(rules_[direct[i]], rules_[rank]));
    all.push_back(static_cast<std::uint32_t>(i));
  }
  std::vector<Group> groups;
  groups.push_back(GroupOf(std::move(all), shared));
  while (groups.size() < most_covers) {
    const auto widest = std::max_element(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
      const bool a_whole = a.members.size() == 1, b_whole = b.members.size() == 1;
      return a_whole != b_whole ? a_whole : a.log_volume < b.log_volume;
    });
    if (widest->members.size() == 1) break;
    auto [first, second] = Cut(*widest, shared);
    *widest = std::move(first);
    groups.push_back(std::move(second));
  }
  for (const Group& group : groups) {
    if (Encloses(group.hull, rules_[rank])) is_worth_holding_[rank] = 0;
    cover = Cover{};
    if (group.members.size() == 1) {
      cover.shared = direct[group.members.front()];
    } else {
      cover.match = MatchOf(group.hull);
    }
    covers_.push_back(cover);
  }
}

std::size_t CoverPlan::bytes() const {
  return rules_.capacity() * sizeof(Rule) + matches_.capacity() * sizeof(Match) +
         ids_.capacity() * sizeof(Id) + covers_.capacity() * sizeof(Cover) +
         first_cover_.capacity() * sizeof(std::uint32_t) + is_worth_holding_.capacity() +
         masks_.capacity() * sizeof(MatchWords);
}

}  // namespace foreflow::rules
