// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_COVER_PLAN_H_
#define FOREFLOW_MODELS_RULES_COVER_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/rules/key_words.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// How each rule of a set can be held by a device that does not hold the rules above it: together with
// *covers*, entries that send to the host what the rule must not decide (CacheFlow: Katta, Alipourfard,
// Rexford, Walker 2016). A cover is of one of two kinds:
// - *shared*: the match of a direct dependency, at that one's place in the order. It costs the rule nothing
//   that is its own, and serves every rule below it; where the dependency itself is held, it is not needed.
// - *merged*: where a rule has more direct dependencies than most_covers, groups of them get one wider box
//   inside the rule, just above it. Keys of the box that no dependency wants go to the host in vain.
// Invariant: every key that a rule matches and that a rule above it matches too is matched by one of its
// covers. The plan depends on the set alone, never on what is held.
//
// Built at set-up: see RuleDependencies for what that takes. Ranks count from 0, which wins over all.
class CoverPlan {
 public:
  static constexpr std::size_t kMostCovers = 16;

  // Rules that RuleTable accepts, in any order; copied. Ids differ, else Refusal.
  explicit CoverPlan(const std::vector<Rule>& rules, std::size_t most_covers = kMostCovers);

  static constexpr std::uint32_t kNone = 0xffffffff;

  // What lies in a ternary table: a pattern and port ranges. Patterns of one mask share a number.
  struct Match {
    MatchWords key{};
    std::uint32_t mask = 0;
    PortRange source_port;
    PortRange destination_port;
  };
  struct Cover {
    std::uint32_t shared = kNone;  // rank of the dependency, or kNone: merged
    Match match;                   // of a merged one
  };

  // Ranks lie below it.
  std::size_t size() const { return rules_.size(); }
  const Rule& rule(std::uint32_t rank) const { return rules_[rank]; }
  // kNone where there is no such rule.
  std::uint32_t RankOf(std::uint32_t id) const;
  const Match& match(std::uint32_t rank) const { return matches_[rank]; }
  const Cover* covers(std::uint32_t rank) const { return covers_.data() + first_cover_[rank]; }
  std::size_t cover_count(std::uint32_t rank) const { return first_cover_[rank + 1] - first_cover_[rank]; }
  // False for a rule whose merged covers would send all of it to the host.
  bool IsWorthHolding(std::uint32_t rank) const { return is_worth_holding_[rank] != 0; }
  // By Match::mask.
  const std::vector<MatchWords>& masks() const { return masks_; }
  // Memory taken.
  std::size_t bytes() const;

 private:
  struct Id {
    std::uint32_t id = 0;
    std::uint32_t rank = 0;
  };
  Match MatchOf(const Rule& box);
  void PlanCovers(std::uint32_t rank, const std::vector<std::uint32_t>& direct, std::size_t most_covers);

  std::vector<Rule> rules_;  // by rank
  std::vector<Match> matches_;
  std::vector<Id> ids_;  // by id
  std::vector<Cover> covers_;
  std::vector<std::uint32_t> first_cover_;  // by rank, and one more
  std::vector<std::uint8_t> is_worth_holding_;
  std::vector<MatchWords> masks_;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_COVER_PLAN_H_
