// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_STATISTICS_H_
#define FOREFLOW_MODELS_RULES_RULE_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// What each rule of a set has decided. Open addressing by the rule's id with linear probing, at most half
// full: one cache line a packet. All memory is taken at construction: 64..128 B a rule.
class RuleStatistics {
 public:
  // What one rule has decided.
  struct Row {
    std::uint32_t rule = kNoRule;  // kNoRule: packets that no rule matched
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;  // on the wire
    Nanos last_use;
  };

  // For as many rules, and packets that no rule matched.
  explicit RuleStatistics(std::size_t rules);

  // Counts kProbe for each slot looked at, kCacheLine and kUpdate. A rule that finds no room is counted in
  // `others`.
  void Count(std::uint32_t rule, std::uint32_t wire_bytes, Nanos now, Work& work);
  const Row& others() const { return others_; }

  // Of one rule; zeros where it has decided nothing.
  Row Of(std::uint32_t rule) const;
  // The first `most` rows of rules that decided something, from id `first` on, by id. Not for the data path:
  // looks at all.
  std::vector<Row> Rows(std::uint32_t first = 0, std::size_t most = SIZE_MAX) const;
  // Adds the rows of another set of the same rules.
  void Add(const RuleStatistics& other);

 private:
  std::size_t SlotOf(std::uint32_t rule) const {
    return static_cast<std::size_t>((rule * std::uint64_t{0x9e3779b97f4a7c15}) >> shift_);
  }
  Row* Find(std::uint32_t rule, std::uint32_t& probes);

  std::vector<Row> rows_;  // free: no packets
  unsigned shift_ = 0;
  std::size_t room_ = 0;  // rules that may still come
  Row others_;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_STATISTICS_H_
