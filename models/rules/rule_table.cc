// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "models/base/refusal.h"
#include "models/wire/dissect.h"

namespace foreflow::rules {
namespace {

constexpr std::size_t kPortRulesPerLine = 5;  // 12 B each in a line of 64 B

bool Outranks(const Rule& a, const Rule& b) {
  return a.priority != b.priority ? a.priority > b.priority : a.id < b.id;
}

unsigned LongestPrefix(std::uint8_t l3) {
  if (l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv4)) return 32;
  if (l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv6)) return 128;
  return 0;
}

void CheckPrefix(const Rule& rule, const Prefix& prefix, const char* field, const std::string& where) {
  const unsigned longest = LongestPrefix(rule.l3);
  if (prefix.length > longest) {
    throw Refusal(where, std::string(field) + " prefix length", std::to_string(prefix.length),
                  flow::IsIp(rule.l3) ? "0.." + std::to_string(longest) : "0 unless l3 is ipv4 or ipv6");
  }
}

void CheckRange(const PortRange& range, const char* field, const std::string& where) {
  if (range.low > range.high) {
    throw Refusal(where, field, "[" + std::to_string(range.low) + ", " + std::to_string(range.high) + "]",
                  "[low, high] with low <= high, both 0..65535");
  }
}

void CheckRule(const Rule& rule) {
  const std::string where = "rule " + std::to_string(rule.id);
  if (rule.id == kNoRule) throw Refusal(where, "id", std::to_string(rule.id), "0..4294967294");
  if (rule.l3 > static_cast<std::uint8_t>(wire::Layer3::kIpv6)) {
    throw Refusal(where, "l3", std::to_string(rule.l3), "0 (any), 1 (arp), 2 (ipv4), 3 (ipv6)");
  }
  if (rule.ip_protocol > 255 && rule.ip_protocol != kAnyProtocol) {
    throw Refusal(where, "protocol", std::to_string(rule.ip_protocol), "0..255 or any");
  }
  CheckPrefix(rule, rule.source, "source", where);
  CheckPrefix(rule, rule.destination, "destination", where);
  CheckRange(rule.source_port, "source_port", where);
  CheckRange(rule.destination_port, "destination_port", where);
  CheckAction(rule.action, where);
}

void SetPrefixMask(std::array<std::uint8_t, 16>& mask, unsigned length) {
  for (unsigned i = 0; i < 16 && i * 8 < length; ++i) {
    const unsigned bits = std::min(8u, length - i * 8);
    mask[i] = static_cast<std::uint8_t>(0xff00u >> bits);
  }
}

flow::FlowKey MaskOf(const Rule& rule) {
  flow::FlowKey mask;
  SetPrefixMask(mask.source_address, rule.source.length);
  SetPrefixMask(mask.destination_address, rule.destination.length);
  if (rule.vm != kAnyVm) mask.vm = 0xffff;
  if (rule.ip_protocol != kAnyProtocol) mask.ip_protocol = 0xff;
  if (rule.l3 != 0) mask.l3 = 0xff;
  return mask;
}

KeyWords And(const KeyWords& a, const KeyWords& b) {
  KeyWords out;
  for (std::size_t i = 0; i < kKeyWords; ++i) out[i] = a[i] & b[i];
  return out;
}

KeyWords MaskedKeyOf(const Rule& rule, const KeyWords& mask) {
  flow::FlowKey key;
  key.source_address = rule.source.address;
  key.destination_address = rule.destination.address;
  key.vm = rule.vm;
  key.ip_protocol = static_cast<std::uint8_t>(rule.ip_protocol);
  key.l3 = rule.l3;
  return And(WordsOf(key), mask);
}

// The elementary intervals of one port field.
PortClasses ClassesOf(const std::vector<Rule>& rules, PortRange Rule::*field) {
  PortClasses classes;
  for (const Rule& rule : rules) {
    classes.Begin((rule.*field).low);
    classes.Begin((rule.*field).high + 1u);
  }
  classes.Finish();
  return classes;
}

}  // namespace

void CheckAction(const Action& action, const std::string& where) {
  if (action.verb > Verb::kTrap) {
    throw Refusal(where, "verb", std::to_string(static_cast<unsigned>(action.verb)),
                  "0 (forward), 1 (drop), 2 (trap)");
  }
  if (action.queue >= kQueues && action.queue != kNoQueue) {
    throw Refusal(where, "queue", std::to_string(action.queue),
                  "0.." + std::to_string(kQueues - 1) + " or none");
  }
}

bool RuleTable::PortRule::Matches(const flow::FlowKey& key) const {
  return key.source_port >= source.low && key.source_port <= source.high &&
         key.destination_port >= destination.low && key.destination_port <= destination.high;
}

void RuleTable::Load(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) CheckRule(rule);
  std::vector<std::uint32_t> ids;
  ids.reserve(rules.size());
  for (const Rule& rule : rules) ids.push_back(rule.id);
  std::sort(ids.begin(), ids.end());
  const auto repeated = std::adjacent_find(ids.begin(), ids.end());
  if (repeated != ids.end()) {
    throw Refusal("rule " + std::to_string(*repeated), "id", std::to_string(*repeated), "each id once");
  }

  std::vector<Rule> ranked = rules;
  std::sort(ranked.begin(), ranked.end(), Outranks);
  BuildPortClasses(ranked);
  BuildTuples(ranked);
  by_rank_.clear();
  by_rank_.reserve(ranked.size());
  for (const Rule& rule : ranked) by_rank_.push_back({rule.id, rule.action});
  ++generation_;
}

void RuleTable::Swap(RuleTable& other) noexcept {
  const std::uint32_t next = generation_ + 1;
  std::swap(*this, other);
  generation_ = next;
}

void RuleTable::BuildPortClasses(const std::vector<Rule>& ranked) {
  source_class_ = ClassesOf(ranked, &Rule::source_port);
  destination_class_ = ClassesOf(ranked, &Rule::destination_port);
}

void RuleTable::BuildTuples(const std::vector<Rule>& ranked) {
  struct Placed {
    KeyWords mask;
    KeyWords key;
    std::uint32_t rank;
  };
  std::vector<Placed> placed;
  placed.reserve(ranked.size());
  for (std::size_t rank = 0; rank < ranked.size(); ++rank) {
    const KeyWords mask = WordsOf(MaskOf(ranked[rank]));
    placed.push_back({mask, MaskedKeyOf(ranked[rank], mask), static_cast<std::uint32_t>(rank)});
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    if (a.mask != b.mask) return a.mask < b.mask;
    if (a.key != b.key) return a.key < b.key;
    return a.rank < b.rank;
  });

  tuples_.clear();
  slots_.clear();
  port_rules_.clear();
  for (std::size_t begin = 0; begin < placed.size();) {
    Tuple tuple;
    tuple.mask = placed[begin].mask;
    tuple.best_rank = placed[begin].rank;
    std::size_t end = begin;
    std::size_t buckets = 0;
    for (; end < placed.size() && placed[end].mask == tuple.mask; ++end) {
      tuple.best_rank = std::min(tuple.best_rank, placed[end].rank);
      if (end == begin || placed[end].key != placed[end - 1].key) ++buckets;
    }
    std::size_t capacity = 2;  // at most half full, so that probing always meets a free slot
    while (capacity < 2 * buckets) capacity *= 2;
    tuple.first_slot = static_cast<std::uint32_t>(slots_.size());
    tuple.slot_mask = static_cast<std::uint32_t>(capacity - 1);
    slots_.resize(slots_.size() + capacity);

    Slot* slot = nullptr;
    for (std::size_t i = begin; i < end; ++i) {
      if (i == begin || placed[i].key != placed[i - 1].key) {
        std::uint64_t position = hasher_(placed[i].key.data()) & tuple.slot_mask;
        while (slots_[tuple.first_slot + position].rules != 0) position = (position + 1) & tuple.slot_mask;
        slot = &slots_[tuple.first_slot + position];
        slot->key = placed[i].key;
        slot->first_rule = static_cast<std::uint32_t>(port_rules_.size());
      }
      ++slot->rules;
      const Rule& rule = ranked[placed[i].rank];
      port_rules_.push_back({rule.source_port, rule.destination_port, placed[i].rank});
    }
    tuples_.push_back(tuple);
    begin = end;
  }
  std::sort(tuples_.begin(), tuples_.end(),
            [](const Tuple& a, const Tuple& b) { return a.best_rank < b.best_rank; });
}

Decision RuleTable::Classify(const flow::FlowKey& key, Work& work) const {
  const KeyWords words = WordsOf(key);
  auto best = static_cast<std::uint32_t>(by_rank_.size());
  for (const Tuple& tuple : tuples_) {
    if (tuple.best_rank > best) break;
    const KeyWords masked = And(words, tuple.mask);
    work.Add(WorkItem::kHash);
    work.Add(WorkItem::kCacheLine);
    for (std::uint64_t position = hasher_(masked.data()) & tuple.slot_mask;;
         position = (position + 1) & tuple.slot_mask) {
      const Slot& slot = slots_[tuple.first_slot + position];
      work.Add(WorkItem::kProbe);
      work.Add(WorkItem::kCacheLine);
      if (slot.rules == 0) break;
      if (slot.key != masked) continue;
      std::uint32_t compared = 0;
      while (compared < slot.rules) {
        const PortRule& rule = port_rules_[slot.first_rule + compared];
        if (rule.rank > best) break;
        ++compared;
        if (rule.Matches(key)) {
          best = rule.rank;
          break;
        }
      }
      work.Add(WorkItem::kRuleCompare, compared);
      work.Add(WorkItem::kCacheLine,
               static_cast<std::uint32_t>((compared + kPortRulesPerLine - 1) / kPortRulesPerLine));
      break;
    }
  }
  return best < by_rank_.size() ? by_rank_[best] : Decision{};
}

}  // namespace foreflow::rules
