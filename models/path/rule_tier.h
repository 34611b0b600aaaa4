// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_RULE_TIER_H_
#define FOREFLOW_MODELS_PATH_RULE_TIER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/base/token_bucket.h"
#include "models/path/arrival.h"
#include "models/path/future.h"
#include "models/path/path_config.h"
#include "models/path/stages.h"
#include "models/rules/rule_residency.h"
#include "models/rules/rule_table.h"

namespace foreflow::path {

// The device's rule table with what the host keeps of it: the policy, budgets, and, in arms that predict, two
// tables of the same size that exist only in the host's books and see the same packets, one by the policy
// alone, one with predictions as well. As of flow entries (Rehearsal), predictions are acted on only while
// the second sends at least 1 packet in kGain and kEvidence less to the host than the first, and the device
// itself not 1 in kAllowance more. Counts are halved from time to time.
//
// The host follows by counters which rule decides each packet; a rule is named by its rank in the set.
class RuleTier {
 public:
  static constexpr std::uint32_t kNone = rules::CoverPlan::kNone;

  // `future` as of PacketPath; `table` is of the same rules. All memory is taken here.
  RuleTier(const PathConfig& config, const Future* future, const rules::RuleTable& table);

  // What the device's table says of a packet; `rank` is the rule where that is kRule.
  rules::ResidentRules::Answer Find(const Parsed& packet, Nanos now, std::uint32_t& rank, Work& work) const {
    return device_.Find(packet.key, packet.packet.outer_vlan, now, rank, work);
  }
  // Of a rule, by rank.
  rules::Decision DecisionOf(std::uint32_t rank) const {
    return {plan_.rule(rank).id, plan_.rule(rank).action};
  }
  // kNone for a decision by no rule.
  std::uint32_t RankOf(const rules::Decision& decision) const { return RankOf(decision.rule); }
  std::uint32_t RankOf(std::uint32_t rule) const {
    return rule == rules::kNoRule ? kNone : plan_.RankOf(rule);
  }

  struct Seen {
    bool used_prediction = false;  // the first packet that wants a rule that was predicted
    bool wrote_on_miss = false;
  };
  // After the look-up of a packet: the rule that decides it, and whether the device's table said so.
  Seen See(const Arrival& arrival, const Parsed& parsed, std::uint64_t packet, std::uint32_t rank,
           bool is_hit, StageWork& work);

  // Predictions.
  bool Holds(std::uint32_t rank) const { return device_.Holds(rank); }
  // Slots that unused predictions take at the most.
  std::size_t prediction_share() const { return device_.unused_slot_limit(); }
  // What was predicted, whether or not the device is told. Takes effect behind the current packet, as writes
  // to the device do.
  using Prediction = rules::RuleResidency::Prediction;
  void Rehearse(const Prediction& rule) {
    if (rehearsed_.size() < rehearsed_.capacity()) rehearsed_.push_back(rule);
  }
  void ApplyRehearsed(Nanos now, Work& work);
  // At which rate a sender is expected to use the rule: its part of the demand was one, and is now another.
  void ChangeDemand(std::uint32_t rank, std::uint32_t from, std::uint32_t to) {
    demand_[rank] = demand_[rank] - from + to;
  }
  bool AllowsPredictions() const;
  // Writes the rule to the device, or keeps it there. False where it was not written.
  bool Write(const Prediction& rule, flow::VmId vm, Nanos now, Work& work);

  // Where the future is known, by packet of it: the rule, and by rule the packets.
  const EntryUses& uses() const { return uses_; }
  const rules::RuleResidency& device() const { return device_; }

 private:
  static constexpr std::uint64_t kGain = 100;
  static constexpr std::uint64_t kEvidence = 16;
  static constexpr std::uint64_t kAllowance = 200;
  static constexpr std::uint64_t kHalveAt = 1u << 12;

  void SeeIn(rules::RuleResidency& table, const Arrival& arrival, const Parsed& parsed, std::uint32_t rank,
             std::uint64_t& punts, Work& work);
  TokenBucket& BudgetOf(flow::VmId vm) { return vm_budgets_[vm < vm_budgets_.size() ? vm : 0]; }

  rules::CoverPlan plan_;
  EntryUses uses_;
  std::unique_ptr<rules::ResidencyPolicy> policy_;
  std::vector<std::uint64_t> demand_;  // by rank, over all senders
  rules::RuleResidency device_;
  std::unique_ptr<rules::RuleResidency> by_policy_alone_;
  std::unique_ptr<rules::RuleResidency> with_predictions_;
  std::vector<TokenBucket> vm_budgets_;  // by VM
  std::vector<Prediction> rehearsed_;    // behind the current packet; never more than is reserved
  std::uint64_t punts_by_policy_alone_ = 0;
  std::uint64_t punts_with_predictions_ = 0;
  std::uint64_t device_punts_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_RULE_TIER_H_
