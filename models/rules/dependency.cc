// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/dependency.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "models/base/refusal.h"
#include "models/rules/match.h"

namespace foreflow::rules {
namespace {

constexpr unsigned kNarrow = 16;
constexpr unsigned kMiddle = 8;

std::uint32_t BucketOf(const Rule& rule, const Prefix& prefix, unsigned bits) {
  const std::uint32_t leading = static_cast<std::uint32_t>(prefix.address[0]) << 8 |
                                (bits > kMiddle ? prefix.address[1] : std::uint8_t{0});
  return static_cast<std::uint32_t>(rule.l3) << 16 | leading;
}

void Append(const std::vector<std::uint32_t>& some, std::vector<std::uint32_t>& out) {
  out.insert(out.end(), some.begin(), some.end());
}

std::uint32_t NearestRank(const std::vector<std::uint32_t>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

RuleDependencies::RuleDependencies(const std::vector<Rule>& rules) {
  rules_.reserve(rules.size());
  for (const Rule& rule : rules) Insert(rule);
}

void RuleDependencies::AddTo(Index& index, const Rule& rule, const Prefix& prefix, Slot slot) {
  if (prefix.length >= kNarrow) {
    index.narrow[BucketOf(rule, prefix, kNarrow)].push_back(slot);
  } else if (prefix.length >= kMiddle) {
    index.middle[BucketOf(rule, prefix, kMiddle)].push_back(slot);
  } else {
    index.wide.push_back(slot);
  }
}

void RuleDependencies::RemoveFrom(Index& index, const Rule& rule, const Prefix& prefix, Slot slot) {
  const auto take = [slot](std::vector<Slot>& slots) {
    slots.erase(std::find(slots.begin(), slots.end(), slot));
    return slots.empty();
  };
  if (prefix.length < kMiddle) {
    take(index.wide);
    return;
  }
  Buckets& buckets = prefix.length >= kNarrow ? index.narrow : index.middle;
  const auto bucket = buckets.find(BucketOf(rule, prefix, prefix.length >= kNarrow ? kNarrow : kMiddle));
  if (take(bucket->second)) buckets.erase(bucket);
}

void RuleDependencies::Insert(const Rule& rule) {
  const bool has_free = !free_.empty();
  const Slot slot = has_free ? free_.back() : static_cast<Slot>(rules_.size());
  if (!by_id_.emplace(rule.id, slot).second) {
    throw Refusal("rule " + std::to_string(rule.id), "id", std::to_string(rule.id), "each id once");
  }
  if (has_free) {
    free_.pop_back();
    rules_[slot] = rule;
  } else {
    rules_.push_back(rule);
  }
  AddTo(by_source_, rule, rule.source, slot);
  AddTo(by_destination_, rule, rule.destination, slot);
}

bool RuleDependencies::Erase(std::uint32_t id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return false;
  const Slot slot = found->second;
  RemoveFrom(by_source_, rules_[slot], rules_[slot].source, slot);
  RemoveFrom(by_destination_, rules_[slot], rules_[slot].destination, slot);
  by_id_.erase(found);
  free_.push_back(slot);
  return true;
}

void RuleDependencies::Candidates(const Rule& rule, std::vector<Slot>& out) const {
  const bool by_source = rule.source.length > rule.destination.length;
  const Index& index = by_source ? by_source_ : by_destination_;
  const Prefix& prefix = by_source ? rule.source : rule.destination;
  Append(index.wide, out);
  if (prefix.length < kMiddle) {
    for (const Buckets* buckets : {&index.middle, &index.narrow}) {
      for (const auto& [key, slots] : *buckets) Append(slots, out);
    }
    return;
  }
  const auto middle = index.middle.find(BucketOf(rule, prefix, kMiddle));
  if (middle != index.middle.end()) Append(middle->second, out);
  const std::uint32_t first = BucketOf(rule, prefix, prefix.length >= kNarrow ? kNarrow : kMiddle);
  const std::uint32_t last = prefix.length >= kNarrow ? first : first | 0xff;
  for (auto at = index.narrow.lower_bound(first); at != index.narrow.end() && at->first <= last; ++at) {
    Append(at->second, out);
  }
}

std::vector<RuleDependencies::Slot> RuleDependencies::AboveSlots(Slot of) const {
  const Rule& rule = rules_[of];
  std::vector<Slot> above;
  Candidates(rule, above);
  above.erase(std::remove_if(
                  above.begin(), above.end(),
                  [&](Slot slot) { return !Outranks(rules_[slot], rule) || !Overlap(rules_[slot], rule); }),
              above.end());
  std::sort(above.begin(), above.end(), [&](Slot a, Slot b) { return Outranks(rules_[b], rules_[a]); });
  return above;
}

std::vector<RuleDependencies::Slot> RuleDependencies::DirectSlots(Slot of) const {
  const Rule& rule = rules_[of];
  std::vector<Slot> direct;
  for (const Slot slot : AboveSlots(of)) {
    const Rule shared = Intersection(rules_[slot], rule);
    const bool is_hidden = std::any_of(direct.begin(), direct.end(),
                                       [&](Slot between) { return Encloses(rules_[between], shared); });
    if (is_hidden) continue;
    direct.push_back(slot);
    if (Encloses(rules_[slot], rule)) break;  // hides all that is above it
  }
  return direct;
}

std::vector<std::uint32_t> RuleDependencies::Above(std::uint32_t id) const {
  std::vector<std::uint32_t> ids;
  for (const Slot slot : AboveSlots(by_id_.at(id))) ids.push_back(rules_[slot].id);
  return ids;
}

std::vector<std::uint32_t> RuleDependencies::Direct(std::uint32_t id) const {
  std::vector<std::uint32_t> ids;
  for (const Slot slot : DirectSlots(by_id_.at(id))) ids.push_back(rules_[slot].id);
  return ids;
}

std::vector<std::uint32_t> RuleDependencies::Closure(std::uint32_t id) const {
  std::vector<bool> seen(rules_.size());
  std::vector<Slot> waiting{by_id_.at(id)};
  std::vector<std::uint32_t> ids;
  while (!waiting.empty()) {
    const Slot slot = waiting.back();
    waiting.pop_back();
    for (const Slot above : DirectSlots(slot)) {
      if (seen[above]) continue;
      seen[above] = true;
      ids.push_back(rules_[above].id);
      waiting.push_back(above);
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

RuleDependencies::Statistics RuleDependencies::Measure(std::size_t sample) const {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, slot] : by_id_) ids.push_back(id);
  Statistics statistics;
  if (ids.empty() || sample == 0) return statistics;
  // Rules are met again and again: each is asked once.
  std::vector<std::vector<Slot>> direct(rules_.size());
  std::vector<bool> asked(rules_.size());
  const auto direct_of = [&](Slot slot) -> const std::vector<Slot>& {
    if (!asked[slot]) {
      direct[slot] = DirectSlots(slot);
      asked[slot] = true;
    }
    return direct[slot];
  };
  std::vector<std::uint32_t> seen_for(rules_.size());
  std::vector<std::uint32_t> closures;
  std::vector<Slot> waiting;
  double direct_sum = 0, closure_sum = 0;
  const std::size_t count = std::min(sample, ids.size());
  for (std::size_t i = 0; i < count; ++i) {
    const Slot root = by_id_.at(ids[i * ids.size() / count]);
    const auto mark = static_cast<std::uint32_t>(i + 1);
    std::uint32_t reached = 0;
    waiting.assign(1, root);
    while (!waiting.empty()) {
      const Slot slot = waiting.back();
      waiting.pop_back();
      for (const Slot above : direct_of(slot)) {
        if (seen_for[above] == mark) continue;
        seen_for[above] = mark;
        ++reached;
        waiting.push_back(above);
      }
    }
    const auto own = static_cast<std::uint32_t>(direct_of(root).size());
    direct_sum += own;
    statistics.most_direct = std::max(statistics.most_direct, own);
    closure_sum += reached;
    closures.push_back(reached);
  }
  std::sort(closures.begin(), closures.end());
  statistics.rules = count;
  statistics.mean_direct = direct_sum / static_cast<double>(count);
  statistics.mean_closure = closure_sum / static_cast<double>(count);
  statistics.p50 = NearestRank(closures, 0.5);
  statistics.p90 = NearestRank(closures, 0.9);
  statistics.p99 = NearestRank(closures, 0.99);
  statistics.most = closures.back();
  return statistics;
}

}  // namespace foreflow::rules
