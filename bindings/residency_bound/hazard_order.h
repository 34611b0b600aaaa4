// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_RESIDENCY_BOUND_HAZARD_ORDER_H_
#define FOREFLOW_BINDINGS_RESIDENCY_BOUND_HAZARD_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/rules/resident_rules.h"

namespace foreflow::bound {

// Holds in a table, at every moment, the rules whose packets are likeliest to come: where all may be
// exchanged between two packets, nothing that does not know when they come does better (hazard-rate ordering:
// Panigrahy, Nain, Neglia and Towsley, "A New Upper Bound on Cache Hit Probability for Non-Anticipative
// Caching Policies", 2020). Of rules of several slots which share covers it is a knapsack: the best of the
// greedy choice by rate a slot and of those that must take one of the rules it left out.
class HazardOrder {
 public:
  struct Candidate {
    std::uint32_t rank = 0;
    double rate = 0;    // of packets that the rule would decide
    double a_slot = 0;  // set by Choose: with all covers of its own
  };
  // The plan must outlive it.
  HazardOrder(const rules::CoverPlan& plan, std::size_t slots);

  // The ranks to hold, of candidates with different ranks.
  const std::vector<std::uint32_t>& Choose(const std::vector<Candidate>& candidates);
  // Exchanges in `table` what must go. The slots that were written or cleared.
  std::uint64_t Apply(const std::vector<std::uint32_t>& chosen, Nanos ready, rules::ResidentRules& table);

 private:
  std::size_t SlotsFor(std::uint32_t rank) const;
  void Take(std::uint32_t rank);
  // The sum of rates, with `first` taken before all others, where it is a candidate's position.
  double Fill(std::size_t first, std::vector<std::uint32_t>& ranks);
  bool IsPresent(std::uint32_t rank) const { return present_[rank] == choice_; }

  const rules::CoverPlan& plan_;
  std::size_t slots_;
  std::vector<Candidate> sorted_;
  std::vector<std::uint64_t> present_;  // by rank: the choice in which it has a slot
  std::vector<std::uint64_t> taken_;    // by rank: the choice in which it is held
  std::uint64_t choice_ = 0;
  std::size_t free_ = 0;
  std::vector<std::uint32_t> best_;
  std::vector<std::uint32_t> other_;
  std::vector<std::uint64_t> is_wanted_;  // by rank: the call of Apply that wants it
  std::uint64_t calls_ = 0;
  std::vector<std::uint32_t> held_;
};

}  // namespace foreflow::bound

#endif  // FOREFLOW_BINDINGS_RESIDENCY_BOUND_HAZARD_ORDER_H_
