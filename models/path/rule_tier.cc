// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/rule_tier.h"

namespace foreflow::path {
namespace {

constexpr std::uint32_t kBurstInstalls = 32;  // of a VM
constexpr std::size_t kRehearsedAPacket = 64;

rules::RuleResidency::Config TableConfig(const PathConfig& config,
                                         const std::vector<std::uint64_t>* demand = nullptr) {
  rules::RuleResidency::Config table;
  table.slots = config.rule_slots;
  table.install_latency = config.install_latency;
  table.writes_per_second = config.rule_writes_per_second;
  table.knows_future = config.arm == Arm::kOracle;
  table.demand = demand;
  return table;
}

std::unique_ptr<rules::ResidencyPolicy> PolicyOf(const PathConfig& config, const rules::CoverPlan& plan,
                                                 const EntryUses& uses) {
  if (config.arm == Arm::kOracle) return rules::MakeBeladyPolicy(uses.first_use);
  std::vector<std::uint64_t> weights;
  if (config.residency == rules::Residency::kStatic && !uses.entry.empty()) {
    weights.resize(plan.size());
    for (const std::uint32_t rank : uses.entry) {
      if (rank != EntryUses::kNone) ++weights[rank];
    }
  }
  return rules::MakePolicy(config.residency, plan, config.seed, weights);
}

// For each packet, which rule decides it; by rule, its first packet (kNever where there is none).
EntryUses RuleUsesOf(const Future& future, const rules::RuleTable& table, const rules::CoverPlan& plan) {
  EntryUses uses;
  uses.entry.assign(future.size(), EntryUses::kNone);
  uses.next_use.assign(future.size(), EntryUses::kNever);
  uses.first_use.assign(plan.size(), EntryUses::kNever);
  Work uncounted;
  for (std::size_t packet = future.size(); packet-- > 0;) {
    if (!future.decidable(packet)) continue;
    const rules::Decision decision = table.Classify(future.key(packet), future.vlan(packet), uncounted);
    if (decision.rule == rules::kNoRule) continue;
    const std::uint32_t rank = plan.RankOf(decision.rule);
    uses.entry[packet] = rank;
    uses.next_use[packet] = uses.first_use[rank];
    uses.first_use[rank] = packet;
  }
  return uses;
}

bool NeedsFuture(const PathConfig& config) {
  return config.arm == Arm::kOracle || config.arm == Arm::kAntiOracle ||
         config.residency == rules::Residency::kStatic;
}

// Only what predicts says what is used next.
bool KnowsDemand(const PathConfig& config) { return config.arm == Arm::kPredictive; }

}  // namespace

RuleTier::RuleTier(const PathConfig& config, const Future* future, const rules::RuleTable& table)
    : plan_(config.rules),
      uses_(future != nullptr && NeedsFuture(config) ? RuleUsesOf(*future, table, plan_) : EntryUses{}),
      policy_(PolicyOf(config, plan_, uses_)),
      demand_(plan_.size()),
      device_(plan_, *policy_, TableConfig(config, KnowsDemand(config) ? &demand_ : nullptr)),
      vm_budgets_(config.vms + std::size_t{1}, TokenBucket(config.vm_installs_per_second, kBurstInstalls)) {
  rehearsed_.reserve(kRehearsedAPacket);
  if (config.arm != Arm::kPredictive && config.arm != Arm::kAntiOracle) return;
  by_policy_alone_ = std::make_unique<rules::RuleResidency>(plan_, *policy_, TableConfig(config));
  with_predictions_ = std::make_unique<rules::RuleResidency>(
      plan_, *policy_, TableConfig(config, KnowsDemand(config) ? &demand_ : nullptr));
}

RuleTier::Seen RuleTier::See(const Arrival& arrival, const Parsed& parsed, std::uint64_t packet,
                             std::uint32_t rank, bool is_hit, StageWork& stages) {
  Work& work = stages[is_hit ? Stage::kFlowCache : Stage::kSlowPath];
  Seen seen;
  if (rank == kNone) return seen;
  policy_->See(rank, arrival.sent, uses_.next_use.empty() ? 0 : uses_.next_use[packet]);
  seen.used_prediction = device_.Want(rank, arrival.time, work) && is_hit;
  if (by_policy_alone_ != nullptr) {
    Work& rehearsed = stages[Stage::kPreinstall];
    SeeIn(*by_policy_alone_, arrival, parsed, rank, punts_by_policy_alone_, rehearsed);
    SeeIn(*with_predictions_, arrival, parsed, rank, punts_with_predictions_, rehearsed);
    device_punts_ += is_hit ? 0 : 1;
    if (punts_by_policy_alone_ >= kHalveAt) {
      punts_by_policy_alone_ /= 2;
      punts_with_predictions_ /= 2;
      device_punts_ /= 2;
    }
  }
  if (policy_->Swaps() > 0) device_.Exchange(policy_->Swaps(), arrival.time, work);
  if (is_hit || device_.Holds(rank)) return seen;
  TokenBucket& budget = BudgetOf(arrival.vm);
  if (!budget.Take(arrival.time)) return seen;
  const bool by_demand = by_policy_alone_ != nullptr && AllowsPredictions();
  seen.wrote_on_miss = device_.Miss(rank, by_demand, arrival.time, work);
  if (!seen.wrote_on_miss) budget.GiveBack();
  return seen;
}

void RuleTier::ApplyRehearsed(Nanos now, Work& work) {
  for (const Prediction& rule : rehearsed_) with_predictions_->Predict(rule, now, work);
  rehearsed_.clear();
}

void RuleTier::SeeIn(rules::RuleResidency& table, const Arrival& arrival, const Parsed& parsed,
                     std::uint32_t rank, std::uint64_t& punts, Work& work) {
  std::uint32_t found = kNone;
  const bool is_hit = table.Find(parsed.key, parsed.packet.outer_vlan, arrival.time, found, work) ==
                      rules::ResidentRules::Answer::kRule;
  table.Want(rank, arrival.time, work);
  if (policy_->Swaps() > 0) table.Exchange(policy_->Swaps(), arrival.time, work);
  if (is_hit) return;
  ++punts;
  if (!table.Holds(rank)) table.Miss(rank, true, arrival.time, work);
}

bool RuleTier::AllowsPredictions() const {
  if (by_policy_alone_ == nullptr) return true;
  return punts_with_predictions_ + punts_by_policy_alone_ / kGain + kEvidence < punts_by_policy_alone_ &&
         device_punts_ <= punts_by_policy_alone_ + punts_by_policy_alone_ / kAllowance;
}

bool RuleTier::Write(const Prediction& rule, flow::VmId vm, Nanos now, Work& work) {
  TokenBucket& budget = BudgetOf(vm);
  if (!budget.Take(now)) return false;
  if (device_.Predict(rule, now, work)) return true;
  budget.GiveBack();
  return false;
}

}  // namespace foreflow::path
