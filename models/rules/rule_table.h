// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_TABLE_H_
#define FOREFLOW_MODELS_RULES_RULE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/hash.h"
#include "models/base/work.h"
#include "models/rules/key_words.h"
#include "models/rules/port_classes.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// The key of a flow entry: a flow key whose ports are replaced by their port class. Two packets with the same
// entry key get the same Decision from the table that made the key (RuleTable::EntryKeyOf).
struct EntryKey {
  flow::FlowKey fields;  // ports hold classes
  bool operator==(const EntryKey& other) const { return fields == other.fields; }
};

// All standard rules, in the host's software: tuple-space search (Srinivasan, Suri, Varghese 1999) with
// tuples in order of their highest priority, so that a search ends early. Port ranges are cut into elementary
// intervals, the port classes (as in recursive flow classification, Gupta and McKeown 1999): ports that no
// rule tells apart share a class, which is what makes one flow entry serve every connection to one service.
//
// What a rule means, field by field, for a key of any kind:
// - l3, vm and ip_protocol: equal, or any. Keys without IP carry ip_protocol 0.
// - a prefix longer than 0 needs a rule whose l3 is IPv4 or IPv6 and compares the first `length` bits in
// network
//   order; rule bits behind it are ignored. For ARP, for keys without IP and for rules of any family the only
//   prefix is length 0, which matches everything: the MACs such keys hold as addresses are never compared.
// - ports are numbers in the key whatever they stand for: 0 in later fragments, identifier and type/code for
//   ICMP, the ethertype as source port where there is no IP.
//
// Invariant: equal EntryKeyOf implies equal Classify, and a port class is its own lowest port, so Classify of
// an entry key's fields is the decision of every packet that shares the entry.
class RuleTable {
 public:
  // Replaces all rules, or throws Refusal and leaves them: prefix length, empty port range, repeated or
  // reserved id, and values outside their enumeration, each named by rule id, field, value and range.
  void Load(const std::vector<Rule>& rules);
  // Exchanges contents with `other` without taking memory; what comes in is of a later generation than what
  // was here.
  void Swap(RuleTable& other) noexcept;
  // Changes with every Load and Swap: a flow entry made under another generation is not valid.
  std::uint32_t generation() const { return generation_; }
  std::size_t size() const { return by_rank_.size(); }
  // Distinct masks: the most hash searches one Classify can take.
  std::size_t tuples() const { return tuples_.size(); }

  // Counts kHash and kCacheLine for each tuple, kProbe and kCacheLine for each slot, kRuleCompare for each
  // rule.
  Decision Classify(const flow::FlowKey& key, Work& work) const;
  // Counts what CountEntryKey does.
  EntryKey EntryKeyOf(const flow::FlowKey& key, Work& work) const {
    CountEntryKey(work);
    EntryKey entry{key};
    StoreWord(&entry.fields.source_port,
              flow::LastWordOf(source_class_.Of(key.source_port), destination_class_.Of(key.destination_port),
                               key.vm, key.ip_protocol, key.l3));
    return entry;
  }
  // The work of making an entry key: two cache lines, one for each port.
  static void CountEntryKey(Work& work) { work.Add(WorkItem::kCacheLine, 2); }

 private:
  // One mask over the flow key; ports are masked out, they are compared inside a bucket.
  struct Tuple {
    KeyWords mask{};
    std::uint32_t best_rank = 0;
    std::uint32_t first_slot = 0;
    std::uint32_t slot_mask = 0;
  };
  // A bucket: all rules of one tuple with the same masked key, open addressing with linear probing.
  struct alignas(64) Slot {
    KeyWords key{};
    std::uint32_t first_rule = 0;
    std::uint32_t rules = 0;  // 0: free
  };
  struct PortRule {
    PortRange source;
    PortRange destination;
    std::uint32_t rank = 0;
    bool Matches(const flow::FlowKey& key) const;
  };

  void BuildPortClasses(const std::vector<Rule>& ranked);
  void BuildTuples(const std::vector<Rule>& ranked);

  // Of keys that rules chose, not guests: the seed need not be secret.
  KeyHasher hasher_{0};
  std::uint32_t generation_ = 0;
  std::vector<Decision> by_rank_;  // rank 0 wins over all
  std::vector<Tuple> tuples_;      // by best_rank
  std::vector<Slot> slots_;
  std::vector<PortRule> port_rules_;  // bucket by bucket, by rank
  PortClasses source_class_;
  PortClasses destination_class_;
};

// Throws Refusal unless the action's verb and queue are known. `where` names the rule.
void CheckAction(const Action& action, const std::string& where);

// The reference: every rule in turn.
Decision ClassifyByLinearScan(const std::vector<Rule>& rules, const flow::FlowKey& key);

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_TABLE_H_
