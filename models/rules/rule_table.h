// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_TABLE_H_
#define FOREFLOW_MODELS_RULES_RULE_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "models/base/work.h"
#include "models/rules/id_index.h"
#include "models/rules/key_words.h"
#include "models/rules/port_classes.h"
#include "models/rules/rule.h"
#include "models/rules/rule_batch.h"
#include "models/rules/rule_changes.h"
#include "models/rules/rule_limits.h"
#include "models/rules/tuple_space.h"

namespace foreflow::rules {

// All standard rules, in the host's software: a tuple space for each family (tuple_space.h). Port ranges are
// cut into elementary intervals, the port classes (as in recursive flow classification, Gupta and McKeown
// 1999): ports that no rule tells apart share a class, which is what makes one flow entry serve every
// connection to one service.
//
// What a rule means, field by field, for a key of any kind:
// - l3, vm and ip_protocol: equal, or any. Keys without IP carry ip_protocol 0.
// - a prefix longer than 0 needs a rule whose l3 is IPv4 or IPv6 and compares the first `length` bits in
//   network order; rule bits behind it are ignored. For ARP, for keys without IP and for rules of any family
//   the only prefix is length 0, which matches everything: the MACs such keys hold as addresses are never
//   compared.
// - vlan and vlan_priority: of the outermost tag, or any. Whoever does not say a packet's VLAN key says that
//   it has no tag.
// - ports are numbers in the key whatever they stand for: 0 in later fragments, identifier and type/code for
//   ICMP, the ethertype as source port where there is no IP.
//
// Invariant: equal EntryKeyOf implies equal Classify, and a port class is its own lowest port, so Classify of
// an entry key's fields is the decision of every packet that shares the entry.
//
// Looking up is const, takes no memory and may be done by several threads at a time; every change is the
// writer's alone.
class RuleTable {
 public:
  static constexpr std::size_t kBurst = 32;

  RuleTable() = default;
  explicit RuleTable(const RuleLimits& limits) : limits_(limits) {}

  // Replaces all rules, or throws Refusal and leaves them: prefix length, empty port range, repeated or
  // reserved id, and values outside their enumeration, each named by rule id, field, value and range; more
  // rules or masks than the limits.
  void Load(const std::vector<Rule>& rules);
  // Makes all changes, or throws Refusal and makes none: as Load, an id that is there already or is not
  // there, and a batch for another generation than the present one. Costs about a microsecond a change;
  // after many, a rebuild of about a microsecond a rule.
  void Apply(const RuleBatch& batch);
  // Exchanges contents with `other` without taking memory; what comes in is of a later generation than what
  // was here, and nothing is known of the changes in between.
  void Swap(RuleTable& other) noexcept;

  // Is of a later generation than `other` from now on, of which nothing is known.
  void Supersede(const RuleTable& other) { changes_.Restart(std::max(generation(), other.generation()) + 1); }

  // Changes with every Load, Apply and Swap, upwards only.
  std::uint64_t generation() const { return changes_.generation(); }
  // Which decisions of earlier generations still hold.
  const RuleChanges& changes() const { return changes_; }
  std::size_t size() const { return held_.size(); }
  // The rule of that id, or nullptr.
  const Rule* Find(std::uint32_t id) const;
  // All of them by id.
  std::vector<Rule> Rules() const;
  // Rules that both trap and meter.
  std::size_t metered_traps() const { return metered_traps_; }
  // The most hash searches one Classify can take.
  std::size_t tuples() const;
  // Memory taken, of which searches touch `search_bytes`.
  std::size_t bytes() const;
  std::size_t search_bytes() const;

  // Counts what TupleSpace::Search does.
  Decision Classify(const flow::FlowKey& key, wire::VlanKey vlan, Work& work) const;
  Decision Classify(const flow::FlowKey& key, Work& work) const { return Classify(key, wire::kNoVlan, work); }
  // The same of `count` keys without a VLAN tag, kBurst at the most, with their memory fetched ahead.
  void ClassifyBurst(const flow::FlowKey* keys, std::size_t count, Decision* decisions, Work& work) const;
  // Counts what CountEntryKey does.
  EntryKey EntryKeyOf(const flow::FlowKey& key, Work& work) const {
    return EntryKeyOf(key, wire::kNoVlan, work);
  }
  EntryKey EntryKeyOf(const flow::FlowKey& key, wire::VlanKey vlan, Work& work) const {
    CountEntryKey(work);
    EntryKey entry{key, static_cast<wire::VlanKey>(vlan & vlan_mask_)};
    StoreWord(&entry.fields.source_port,
              flow::LastWordOf(source_class_.Of(key.source_port), destination_class_.Of(key.destination_port),
                               key.vm, key.ip_protocol, key.l3));
    return entry;
  }
  // The work of making an entry key: two cache lines, one for each port.
  static void CountEntryKey(Work& work) { work.Add(WorkItem::kCacheLine, 2); }

 private:
  struct Held {
    Rule rule;
    std::uint32_t place = 0;  // in its family's tuple space
  };

  // Throws Refusal, or returns what each change takes away: null for what comes, and else in the table or in
  // an earlier change.
  std::vector<const Rule*> CheckBatch(const RuleBatch& batch) const;
  // Asks for the memory that the changes from `first` up to `end` touch.
  void PrefetchChanges(const RuleBatch& batch, std::size_t first, std::size_t end) const;
  // Does to the rule's space: an object called with one.
  template <typename Spaces, typename Do>
  static void WithSpaceOf(Spaces& table, const Rule& rule, const Do& act);
  void Count(const Rule& rule, bool is_there);
  // Of so many rules in all, counted in by VM.
  void CheckLimits(std::size_t rules, const std::vector<flow::VmId>& vms) const;
  void AddToVlanMask(const Rule& rule);
  void Insert(const Rule& rule);
  void Erase(std::uint32_t id);
  void BuildSpaces();

  RuleLimits limits_;
  RuleChanges changes_;
  std::vector<Held> held_;                                           // in no order
  IdIndex index_;                                                    // into held_, by id
  std::map<std::pair<flow::VmId, MatchWords>, std::size_t> masks_;   // rules of a VM by mask
  std::map<flow::VmId, std::pair<std::size_t, std::size_t>> of_vm_;  // rules and masks
  std::size_t metered_traps_ = 0;
  TupleSpace<1> no_addresses_;
  TupleSpace<2> ipv4_;
  TupleSpace<5> ipv6_;
  TupleSpace<6> vlans_;          // rules that name a VLAN, of any family
  wire::VlanKey vlan_mask_ = 0;  // bits that some rule looks at, or has looked at since Load
  PortClasses source_class_;
  PortClasses destination_class_;
};

// Throws Refusal unless the action's verb and queue are known. `where` names the rule.
void CheckAction(const Action& action, const std::string& where);

// The reference: every rule in turn.
Decision ClassifyByLinearScan(const std::vector<Rule>& rules, const flow::FlowKey& key,
                              wire::VlanKey vlan = wire::kNoVlan);

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_TABLE_H_
