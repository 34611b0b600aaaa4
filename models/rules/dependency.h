// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_DEPENDENCY_H_
#define FOREFLOW_MODELS_RULES_DEPENDENCY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "models/rules/rule.h"

namespace foreflow::rules {

// Which rules take packets away from which: the overlap graph of a prioritised rule set (CacheFlow: Katta,
// Alipourfard, Rexford, Walker 2016), found on demand through an index by address prefix.
//
// A rule R *overlaps above* with every rule Q that outranks it and matches some key that R matches: a table
// that holds R without Q would answer those keys wrongly. Q is a *direct dependency* of R unless one other
// direct dependency T between the two already matches all of what Q and R share: then whoever holds or traps
// T needs no Q on account of R. Invariant: every key that R matches and that some rule above R matches is
// matched by a direct dependency of R. The *closure* of R is all that is reached through dependencies.
//
// Insert and Erase take time proportional to the rules of one index bucket. A query looks at the rules whose
// source or destination prefix (the longer one decides) shares its first 16 bits with R's, and at those with
// shorter prefixes; of rules with two prefixes below /8, at all. Not for the data path: allocates.
class RuleDependencies {
 public:
  RuleDependencies() = default;
  // Insert of each.
  explicit RuleDependencies(const std::vector<Rule>& rules);

  // The rule must be one that RuleTable accepts. Throws Refusal on an id that is there already.
  void Insert(const Rule& rule);
  // False where there is no such rule.
  bool Erase(std::uint32_t id);
  std::size_t size() const { return by_id_.size(); }

  // Ids, the lowest-ranking first. The rule must be there.
  std::vector<std::uint32_t> Above(std::uint32_t id) const;
  std::vector<std::uint32_t> Direct(std::uint32_t id) const;
  // Ids in ascending order.
  std::vector<std::uint32_t> Closure(std::uint32_t id) const;

  // Of all rules, or of about `sample` that lie evenly in the order of ids.
  struct Statistics {
    std::size_t rules = 0;  // measured
    double mean_direct = 0;
    std::uint32_t most_direct = 0;
    double mean_closure = 0;  // rules a rule drags in
    std::uint32_t p50 = 0;    // of the closure, by the nearest rank
    std::uint32_t p90 = 0;
    std::uint32_t p99 = 0;
    std::uint32_t most = 0;
  };
  Statistics Measure(std::size_t sample) const;

 private:
  using Slot = std::uint32_t;
  using Buckets = std::map<std::uint32_t, std::vector<Slot>>;  // by family and leading 16 bits
  // The rules by one of their prefixes.
  struct Index {
    Buckets narrow;  // /16 and longer
    Buckets middle;  // /8 to /15: by the first 8 bits
    std::vector<Slot> wide;
  };

  static void AddTo(Index& index, const Rule& rule, const Prefix& prefix, Slot slot);
  static void RemoveFrom(Index& index, const Rule& rule, const Prefix& prefix, Slot slot);
  void Candidates(const Rule& rule, std::vector<Slot>& out) const;
  std::vector<Slot> AboveSlots(Slot of) const;
  std::vector<Slot> DirectSlots(Slot of) const;

  std::vector<Rule> rules_;  // by slot
  std::vector<Slot> free_;
  std::map<std::uint32_t, Slot> by_id_;
  Index by_source_;
  Index by_destination_;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_DEPENDENCY_H_
