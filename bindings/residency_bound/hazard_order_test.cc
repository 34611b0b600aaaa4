// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/residency_bound/hazard_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "models/rules/test_rules.h"

namespace foreflow::bound {
namespace {

using rules::CoverPlan;
using rules::Rule;

// Rank i is of 10.0.0.i: they do not overlap.
std::vector<Rule> Hosts(std::uint8_t count) {
  std::vector<Rule> rules;
  for (std::uint8_t host = 0; host < count; ++host) {
    Rule rule;
    rule.id = host;
    rule.l3 = 2;
    rule.destination = {{10, 0, 0, host}, 32};
    rules.push_back(rule);
  }
  return rules;
}

std::size_t SlotsOf(const CoverPlan& plan, std::uint32_t ranks) {
  std::set<std::uint32_t> present;
  std::size_t merged = 0;
  for (std::uint32_t rank = 0; rank < plan.size(); ++rank) {
    if ((ranks >> rank & 1) == 0) continue;
    present.insert(rank);
    for (std::size_t i = 0; i < plan.cover_count(rank); ++i) {
      const std::uint32_t shared = plan.covers(rank)[i].shared;
      if (shared == CoverPlan::kNone) {
        ++merged;
      } else {
        present.insert(shared);
      }
    }
  }
  return present.size() + merged;
}

TEST(HazardOrder, IsTheBestOfAllSubsetsWithoutCoversAndNearlyWithThem) {
  double optimum = 0, reached = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    rules::RuleDice dice(seed);
    const bool has_covers = seed % 2 == 0;
    const CoverPlan plan(has_covers ? dice.Rules(9) : Hosts(9));
    const std::size_t slots = 2 + dice.Below(5);
    std::vector<HazardOrder::Candidate> candidates;
    std::array<double, 9> rate{};
    for (std::uint32_t rank = 0; rank < 9; ++rank) {
      if (dice.OneIn(5)) continue;
      candidates.push_back({rank, static_cast<double>(1 + dice.Below(1000))});
      if (plan.IsWorthHolding(rank)) rate[rank] = candidates.back().rate;
    }
    double most = 0;
    for (std::uint32_t ranks = 0; ranks < 1u << 9; ++ranks) {
      if (SlotsOf(plan, ranks) > slots) continue;
      double sum = 0;
      for (std::uint32_t rank = 0; rank < 9; ++rank) sum += (ranks >> rank & 1) != 0 ? rate[rank] : 0;
      most = std::max(most, sum);
    }
    HazardOrder order(plan, slots);
    const std::vector<std::uint32_t> chosen = order.Choose(candidates);
    std::uint32_t set = 0;
    double sum = 0;
    for (const std::uint32_t rank : chosen) {
      set |= 1u << rank;
      sum += rate[rank];
    }
    ASSERT_LE(SlotsOf(plan, set), slots);
    ASSERT_LE(sum, most);
    if (!has_covers) {
      ASSERT_DOUBLE_EQ(sum, most);
    }
    optimum += most;
    reached += sum;
  }
  RecordProperty("of_the_optimum", std::to_string(reached / optimum));
  EXPECT_GT(reached, 0.99 * optimum);
}

TEST(HazardOrder, TheTableHoldsWhatWasChosen) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    rules::RuleDice dice(seed);
    const CoverPlan plan(dice.Rules(60));
    const std::size_t slots = 5 + dice.Below(30);
    HazardOrder order(plan, slots);
    rules::ResidentRules table(plan, slots);
    for (int step = 0; step < 100; ++step) {
      std::vector<HazardOrder::Candidate> candidates;
      for (std::uint32_t rank = 0; rank < 60; ++rank) {
        if (dice.OneIn(3)) candidates.push_back({rank, static_cast<double>(1 + dice.Below(100))});
      }
      const std::vector<std::uint32_t> chosen = order.Choose(candidates);
      order.Apply(chosen, Nanos(), table);
      for (const std::uint32_t rank : chosen) ASSERT_TRUE(table.Holds(rank)) << "step " << step;
      ASSERT_EQ(order.Apply(chosen, Nanos(), table), 0u);
    }
  }
}

// Two senders, each a Markov chain over four rules of its own or shared. In each step one of them sends:
// which rule it uses is drawn from where it is. Between two steps the table may be exchanged at will.
class TinySenders {
 public:
  static constexpr std::size_t kRules = 4;
  static constexpr int kSteps = 5;
  TinySenders(std::uint64_t seed, std::size_t slots) : slots_(slots), plan_(Hosts(kRules)) {
    rules::RuleDice dice(seed);
    share_ = static_cast<double>(1 + dice.Below(9)) / 10;
    for (auto& sender : law_) {
      for (auto& row : sender) {
        double sum = 0;
        for (double& p : row) sum += p = static_cast<double>(dice.Below(100) + 1);
        for (double& p : row) p /= sum;
      }
    }
  }
  // The most packets of kSteps that can be expected to hit, over all that a table may hold at each step.
  double Optimum() { return Best(0, 0, kSteps); }
  // And what the order comes to.
  double Reached() { return Follow(0, 0, kSteps); }

 private:
  double Rate(std::size_t a, std::size_t b, std::size_t rule) const {
    return share_ * law_[0][a][rule] + (1 - share_) * law_[1][b][rule];
  }
  // Over what comes next, the hit and what follows it.
  template <typename After>
  double Expected(std::size_t a, std::size_t b, std::uint32_t held, const After& after) {
    double sum = 0;
    for (std::size_t rule = 0; rule < kRules; ++rule) {
      const double hit = held >> rule & 1;
      sum += share_ * law_[0][a][rule] * (hit + after(rule, b));
      sum += (1 - share_) * law_[1][b][rule] * (hit + after(a, rule));
    }
    return sum;
  }
  double Best(std::size_t a, std::size_t b, int left) {
    if (left == 0) return 0;
    double& known = best_[a][b][static_cast<std::size_t>(left)];
    if (known > 0) return known;
    for (std::uint32_t held = 0; held < 1u << kRules; ++held) {
      if (SlotsOf(plan_, held) > slots_) continue;
      known = std::max(
          known, Expected(a, b, held, [&](std::size_t x, std::size_t y) { return Best(x, y, left - 1); }));
    }
    return known;
  }
  double Follow(std::size_t a, std::size_t b, int left) {
    if (left == 0) return 0;
    HazardOrder order(plan_, slots_);
    std::vector<HazardOrder::Candidate> candidates;
    for (std::uint32_t rule = 0; rule < kRules; ++rule) candidates.push_back({rule, Rate(a, b, rule)});
    std::uint32_t held = 0;
    for (const std::uint32_t rank : order.Choose(candidates)) held |= 1u << rank;
    return Expected(a, b, held, [&](std::size_t x, std::size_t y) { return Follow(x, y, left - 1); });
  }

  std::size_t slots_;
  CoverPlan plan_;
  double share_ = 0;
  std::array<std::array<std::array<double, kRules>, kRules>, 2> law_{};
  std::array<std::array<std::array<double, kSteps + 1>, kRules>, kRules> best_{};
};

TEST(HazardOrder, IsOptimalByDynamicProgrammingWhereAllMayBeExchanged) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TinySenders senders(seed, 1 + seed % 3);
    const double optimum = senders.Optimum();
    EXPECT_GT(optimum, 1);
    EXPECT_NEAR(senders.Reached(), optimum, 1e-9);
  }
}

}  // namespace
}  // namespace foreflow::bound
