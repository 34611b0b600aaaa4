// SPDX-License-Identifier: BSD-3-Clause
#include "models/rules/rule_table.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "models/base/refusal.h"
#include "models/rules/match.h"
#include "models/wire/dissect.h"

namespace foreflow::rules {
namespace {

constexpr std::uint16_t kMostVid = 4095;
constexpr std::uint8_t kMostVlanPriority = 7;

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

void CheckVlan(const Rule& rule, const std::string& where) {
  if (rule.vlan > kMostVid && rule.vlan != kAnyVlan && rule.vlan != kUntagged) {
    throw Refusal(where, "vlan", std::to_string(rule.vlan), "0..4095, none or any");
  }
  if (rule.vlan_priority == kAnyVlanPriority) return;
  const std::string priority = std::to_string(rule.vlan_priority);
  if (rule.vlan_priority > kMostVlanPriority) throw Refusal(where, "vlan_priority", priority, "0..7 or any");
  if (rule.vlan == kUntagged) throw Refusal(where, "vlan_priority", priority, "any where vlan is none");
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
  CheckVlan(rule, where);
  CheckAction(rule.action, where);
}

constexpr std::size_t kLeastErased = 1024;  // rules that went, before searches are made tidy again
constexpr std::uint8_t kIpv4 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
constexpr std::uint8_t kIpv6 = static_cast<std::uint8_t>(wire::Layer3::kIpv6);

// Higher priority wins, among equals the lower id. Never 0: no rule has the reserved id.
std::uint64_t PrecedenceOf(const Rule& rule) {
  const std::uint32_t priority = static_cast<std::uint32_t>(rule.priority) ^ 0x80000000u;
  return std::uint64_t{priority} << 32 | (kNoRule - rule.id);
}

template <std::size_t kWords>
std::array<std::uint64_t, kWords> Narrowed(const MatchWords& words) {
  if constexpr (kWords == 1) {
    return {words[kKeyWords - 1]};
  } else if constexpr (kWords == 2) {
    return {(words[0] & 0xffffffffu) | words[2] << 32, words[kKeyWords - 1]};
  } else if constexpr (kWords == 5) {
    return {words[0], words[1], words[2], words[3], words[4]};
  } else {
    return {words[5], words[0], words[1], words[2], words[3], words[4]};
  }
}

template <std::size_t kWords>
Pattern<kWords> PatternOf(const Rule& rule) {
  Pattern<kWords> pattern;
  const MatchWords mask = MaskOf(rule);
  pattern.mask = Narrowed<kWords>(mask);
  pattern.value = Narrowed<kWords>(MaskedKeyOf(rule));
  pattern.value[kWords - 1] |= rule.source_port.low | std::uint64_t{rule.destination_port.low} << 16;
  pattern.source_port = rule.source_port;
  pattern.destination_port = rule.destination_port;
  pattern.precedence = PrecedenceOf(rule);
  pattern.decision = {rule.id, rule.action};
  return pattern;
}

// Of the space that the rule is in.
template <std::size_t kWords>
Pattern<kWords> PatternOf(const Rule& rule, const TupleSpace<kWords>&) {
  return PatternOf<kWords>(rule);
}

bool SameMatch(const Rule& a, const Rule& b) {
  const MatchWords mask = MaskOf(a);
  return a.priority == b.priority && mask == MaskOf(b) && MaskedKeyOf(a) == MaskedKeyOf(b) &&
         a.source_port.low == b.source_port.low && a.source_port.high == b.source_port.high &&
         a.destination_port.low == b.destination_port.low &&
         a.destination_port.high == b.destination_port.high;
}

bool IsMeteredTrap(const Rule& rule) {
  return rule.action.verb == Verb::kTrap && rule.action.meter != kNoMeter;
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

template <typename Spaces, typename Do>
void RuleTable::WithSpaceOf(Spaces& table, const Rule& rule, const Do& act) {
  if (VlanMaskOf(rule) != 0) {
    act(table.vlans_);
  } else if (rule.l3 == kIpv4) {
    act(table.ipv4_);
  } else if (rule.l3 == kIpv6) {
    act(table.ipv6_);
  } else {
    act(table.no_addresses_);
  }
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

  RuleTable loaded(limits_);
  std::vector<flow::VmId> vms;
  loaded.held_.reserve(rules.size());
  loaded.index_.Reserve(rules.size());
  for (const Rule& rule : rules) {
    loaded.index_.Set(rule.id, static_cast<std::uint32_t>(loaded.held_.size()));
    loaded.held_.push_back({rule});
    loaded.Count(rule, true);
    vms.push_back(rule.vm);
    loaded.AddToVlanMask(rule);
    loaded.source_class_.Begin(rule.source_port.low);
    loaded.source_class_.Begin(rule.source_port.high + 1u);
    loaded.destination_class_.Begin(rule.destination_port.low);
    loaded.destination_class_.Begin(rule.destination_port.high + 1u);
  }
  loaded.CheckLimits(rules.size(), vms);
  loaded.source_class_.Finish();
  loaded.destination_class_.Finish();
  loaded.BuildSpaces();
  Swap(loaded);
}

void RuleTable::Swap(RuleTable& other) noexcept {
  const std::uint64_t next = generation() + 1;
  std::swap(*this, other);
  changes_.Restart(next);
}

void RuleTable::BuildSpaces() {
  std::vector<std::pair<std::uint64_t, const Rule*>> ranked;
  ranked.reserve(held_.size());
  for (const Held& held : held_) ranked.emplace_back(PrecedenceOf(held.rule), &held.rule);
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Pattern<1>> no_addresses;
  std::vector<Pattern<2>> ipv4;
  std::vector<Pattern<5>> ipv6;
  std::vector<Pattern<6>> vlans;
  for (const auto& [precedence, rule] : ranked) {
    if (VlanMaskOf(*rule) != 0) {
      vlans.push_back(PatternOf<6>(*rule));
    } else if (rule->l3 == kIpv4) {
      ipv4.push_back(PatternOf<2>(*rule));
    } else if (rule->l3 == kIpv6) {
      ipv6.push_back(PatternOf<5>(*rule));
    } else {
      no_addresses.push_back(PatternOf<1>(*rule));
    }
  }
  const auto note = [this](std::uint32_t place, std::uint32_t id) { held_[index_.Find(id)].place = place; };
  no_addresses_.Build(no_addresses);
  no_addresses_.ForEach(note);
  ipv4_.Build(ipv4);
  ipv4_.ForEach(note);
  ipv6_.Build(ipv6);
  ipv6_.ForEach(note);
  vlans_.Build(vlans);
  vlans_.ForEach(note);
}

void RuleTable::Count(const Rule& rule, bool is_there) {
  const std::size_t one = is_there ? 1 : std::size_t{0} - 1;
  if (IsMeteredTrap(rule)) metered_traps_ += one;
  if (rule.vm == kAnyVm) return;
  auto& [count, masks] = of_vm_[rule.vm];
  count += one;
  const auto mask = std::make_pair(rule.vm, MaskOf(rule));
  std::size_t& of_mask = masks_[mask];
  if (is_there && of_mask == 0) ++masks;
  of_mask += one;
  if (of_mask != 0) return;
  --masks;
  masks_.erase(mask);
  if (count == 0) of_vm_.erase(rule.vm);
}

void RuleTable::CheckLimits(std::size_t rules, const std::vector<flow::VmId>& vms) const {
  if (rules > limits_.rules) {
    throw Refusal("rules", "number", std::to_string(rules),
                  "0.." + std::to_string(limits_.rules) + " (device.rule_limit)");
  }
  for (const flow::VmId vm : vms) {
    const auto found = of_vm_.find(vm);
    if (found == of_vm_.end()) continue;
    const auto& [count, masks] = found->second;
    const std::string where = "rules of vm " + std::to_string(vm);
    if (count > limits_.rules_per_vm) {
      throw Refusal(where, "number", std::to_string(count),
                    "0.." + std::to_string(limits_.rules_per_vm) + " (device.vm_rule_limit)");
    }
    if (masks > limits_.masks_per_vm) {
      throw Refusal(where, "number of different masks", std::to_string(masks),
                    "0.." + std::to_string(limits_.masks_per_vm) +
                        " (device.vm_mask_limit): use fewer combinations of prefix lengths, protocol, VLAN "
                        "fields and family");
    }
  }
}

std::vector<const Rule*> RuleTable::CheckBatch(const RuleBatch& batch) const {
  if (batch.generation != generation()) {
    throw Refusal("rule batch", "generation", std::to_string(batch.generation),
                  std::to_string(generation()) + ", that of the rules in use");
  }
  for (const RuleChange& change : batch.changes) index_.Prefetch(change.rule.id);
  std::vector<const Rule*> taken;
  taken.reserve(batch.changes.size());
  IdIndex latest;  // change of an id
  latest.Reserve(batch.changes.size());
  for (const RuleChange& change : batch.changes) {
    if (change.operation > RuleOperation::kErase) {
      throw Refusal("rule batch", "operation", std::to_string(static_cast<unsigned>(change.operation)),
                    "0 (insert), 1 (modify), 2 (erase)");
    }
    const std::uint32_t id = change.rule.id;
    if (change.operation != RuleOperation::kErase) CheckRule(change.rule);
    const Rule* present = nullptr;
    if (const IdIndex::Position earlier = latest.Find(id); earlier != IdIndex::kNone) {
      const RuleChange& before = batch.changes[earlier];
      if (before.operation != RuleOperation::kErase) present = &before.rule;
    } else {
      present = Find(id);
    }
    if ((present != nullptr) == (change.operation == RuleOperation::kInsert)) {
      throw Refusal(
          "rule " + std::to_string(id), "id", std::to_string(id),
          present != nullptr ? "an id that is not there yet, to insert" : "the id of a rule that is there");
    }
    latest.Set(id, static_cast<std::uint32_t>(taken.size()));
    taken.push_back(present);
  }
  return taken;
}

void RuleTable::Apply(const RuleBatch& batch) {
  const std::vector<const Rule*> taken = CheckBatch(batch);
  // What goes and what comes, in order: counted first, so that a refusal leaves only counts to take back.
  const std::vector<RuleChange>& changes = batch.changes;
  std::vector<flow::VmId> vms;
  std::size_t size = held_.size();
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (taken[i] != nullptr) {
      Count(*taken[i], false);
      --size;
    }
    if (changes[i].operation == RuleOperation::kErase) continue;
    Count(changes[i].rule, true);
    if (changes[i].rule.vm != kAnyVm) vms.push_back(changes[i].rule.vm);
    ++size;
  }
  try {
    CheckLimits(size, vms);
  } catch (const Refusal&) {
    for (std::size_t i = changes.size(); i-- > 0;) {
      if (changes[i].operation != RuleOperation::kErase) Count(changes[i].rule, false);
      if (taken[i] != nullptr) Count(*taken[i], true);
    }
    throw;
  }

  constexpr std::size_t kAhead = 16;
  changes_.Begin();
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (i % kAhead == 0) PrefetchChanges(batch, i, std::min(i + kAhead, changes.size()));
    const RuleChange& change = changes[i];
    const std::uint32_t id = change.rule.id;
    if (change.operation == RuleOperation::kInsert) {
      changes_.Came(change.rule);
    } else if (change.operation == RuleOperation::kErase) {
      changes_.Went(id);
    } else {
      const Rule& old = *Find(id);
      const bool same_match = SameMatch(old, change.rule);
      if (same_match && old.action == change.rule.action) continue;
      changes_.Went(id);
      if (!same_match) changes_.Came(change.rule);
    }
    if (change.operation != RuleOperation::kInsert) Erase(id);
    if (change.operation != RuleOperation::kErase) Insert(change.rule);
  }
  const std::size_t erased = no_addresses_.erased() + ipv4_.erased() + ipv6_.erased() + vlans_.erased();
  if (erased > kLeastErased + held_.size()) BuildSpaces();
}

// Each step for all changes before the next, so that memory asked for in one has arrived in the next.
void RuleTable::PrefetchChanges(const RuleBatch& batch, std::size_t first, std::size_t end) const {
  const auto for_present = [&](const auto& act) {
    for (std::size_t i = first; i < end; ++i) {
      const IdIndex::Position at = index_.Find(batch.changes[i].rule.id);
      if (at != IdIndex::kNone) act(held_[at]);
    }
  };
  for_present([](const Held& held) {
    __builtin_prefetch(&held.place, 1);
    __builtin_prefetch(&held, 1);
  });
  for_present([this](const Held& held) {
    WithSpaceOf(*this, held.rule, [&](const auto& space) { space.PrefetchPattern(held.place); });
  });
  for_present([this](const Held& held) {
    WithSpaceOf(*this, held.rule, [&](const auto& space) { space.PrefetchBucket(held.place); });
  });
}

void RuleTable::AddToVlanMask(const Rule& rule) {
  vlan_mask_ = static_cast<wire::VlanKey>(vlan_mask_ | VlanMaskOf(rule));
}

void RuleTable::Insert(const Rule& rule) {
  source_class_.Split(rule.source_port.low);
  source_class_.Split(rule.source_port.high + 1u);
  destination_class_.Split(rule.destination_port.low);
  destination_class_.Split(rule.destination_port.high + 1u);
  AddToVlanMask(rule);
  index_.Set(rule.id, static_cast<std::uint32_t>(held_.size()));
  held_.push_back({rule});
  Held& held = held_.back();
  WithSpaceOf(*this, rule, [&](auto& space) { held.place = space.Insert(PatternOf(rule, space)); });
}

void RuleTable::Erase(std::uint32_t id) {
  const IdIndex::Position at = index_.Find(id);
  Held& held = held_[at];
  WithSpaceOf(*this, held.rule, [&](auto& space) { space.Erase(held.place); });
  index_.Erase(id);
  if (at + 1 < held_.size()) {
    held = held_.back();
    index_.Set(held.rule.id, at);
  }
  held_.pop_back();
}

const Rule* RuleTable::Find(std::uint32_t id) const {
  const IdIndex::Position at = index_.Find(id);
  return at == IdIndex::kNone ? nullptr : &held_[at].rule;
}

std::vector<Rule> RuleTable::Rules() const {
  std::vector<Rule> rules;
  rules.reserve(held_.size());
  for (const Held& held : held_) rules.push_back(held.rule);
  std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.id < b.id; });
  return rules;
}

std::size_t RuleTable::tuples() const {
  return no_addresses_.tuples() + std::max(ipv4_.tuples(), ipv6_.tuples()) + vlans_.tuples();
}

std::size_t RuleTable::search_bytes() const {
  return no_addresses_.bytes() + ipv4_.bytes() + ipv6_.bytes() + vlans_.bytes();
}

std::size_t RuleTable::bytes() const {
  constexpr std::size_t kTreeNode = 4 * sizeof(void*);  // of a map, besides what it holds
  return sizeof(*this) + search_bytes() + source_class_.bytes() + destination_class_.bytes() +
         changes_.bytes() + held_.capacity() * sizeof(Held) + index_.bytes() +
         masks_.size() * (kTreeNode + sizeof(*masks_.begin())) +
         of_vm_.size() * (kTreeNode + sizeof(*of_vm_.begin()));
}

Decision RuleTable::Classify(const flow::FlowKey& key, wire::VlanKey vlan, Work& work) const {
  const MatchWords words = MatchWordsOf(key, vlan);
  PatternMatch best;
  if (vlans_.size() > 0) vlans_.Search(Narrowed<6>(words), best, work);
  no_addresses_.Search(Narrowed<1>(words), best, work);
  if (key.l3 == kIpv4) {
    ipv4_.Search(Narrowed<2>(words), best, work);
  } else if (key.l3 == kIpv6) {
    ipv6_.Search(Narrowed<5>(words), best, work);
  }
  return best.decision;
}

void RuleTable::ClassifyBurst(const flow::FlowKey* keys, std::size_t count, Decision* decisions,
                              Work& work) const {
  std::array<std::array<std::uint64_t, 2>, kBurst> words;
  std::array<TupleSpace<2>::Plan, kBurst> plans;
  for (std::size_t i = 0; i < count; ++i) {
    words[i] = Narrowed<2>(MatchWordsOf(keys[i], wire::kNoVlan));
    if (keys[i].l3 == kIpv4) ipv4_.PrefetchFields(words[i]);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (keys[i].l3 == kIpv4) ipv4_.Begin(words[i], plans[i], work);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (keys[i].l3 == kIpv4) ipv4_.Continue(plans[i], work);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (keys[i].l3 != kIpv4) {
      decisions[i] = Classify(keys[i], work);
      continue;
    }
    PatternMatch best;
    if (vlans_.size() > 0) {
      vlans_.Search(Narrowed<6>(MatchWordsOf(keys[i], wire::kNoVlan)), best, work);
    }
    no_addresses_.Search({words[i][1]}, best, work);
    ipv4_.Finish(words[i], plans[i], best, work);
    decisions[i] = best.decision;
  }
}

}  // namespace foreflow::rules
