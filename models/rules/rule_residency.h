// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_RESIDENCY_H_
#define FOREFLOW_MODELS_RULES_RULE_RESIDENCY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/token_bucket.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/rules/residency_policy.h"
#include "models/rules/resident_rules.h"

namespace foreflow::rules {

// One device rule table, and which rules it holds, by a policy and by predictions.
//
// Predicted rules, with their covers, take half of the slots at the most until a packet wants them: one more
// makes the oldest of them go. Those that wait kPatience times as long as predictions that came true did in
// the mean go before all else. Else what is worth least by the policy goes, where a rule that is there and is
// predicted counts as used. Where the future is known, predictions are no guesses: they are worth what the
// policy says.
//
// Where the demand is known, it comes before worth, and bounds predictions in place of the half: a rule that
// is expected to be used stays unless one of more demand a slot wants its room. Where writes are free that is
// the best that can be done without knowing when packets come (hazard-rate ordering: Panigrahy, Nain, Neglia,
// Towsley 2020). Since they are not, a newcomer must be wanted by kAdvantage more.
//
// All memory is taken at construction.
class RuleResidency {
 public:
  struct Config {
    std::size_t slots = 1;  // 1 .. 2^24
    Nanos install_latency;  // from writing a rule until the device decides by it
    // Of slots written, on misses and by prediction alike: token bucket with a burst of 1024.
    std::uint32_t writes_per_second = 100'000;
    bool knows_future = false;
    // By rank, at which rate packets are expected now, in any unit; must outlive this. Null: nobody knows.
    const std::vector<std::uint64_t>* demand = nullptr;
  };
  // Plan and policy must outlive it.
  RuleResidency(const CoverPlan& plan, const ResidencyPolicy& policy, const Config& config);

  // ResidentRules::Find and Holds.
  ResidentRules::Answer Find(const flow::FlowKey& key, wire::VlanKey vlan, Nanos now, std::uint32_t& rank,
                             Work& work) const {
    return table_.Find(key, vlan, now, rank, work);
  }
  bool Holds(std::uint32_t rank) const { return table_.Holds(rank); }
  // The policy has seen a packet of the rule. Whether it is the first that wants a rule that was predicted.
  bool Want(std::uint32_t rank, Nanos now, Work& work);
  // That packet went to the host: writes the rule where policy, room and budget allow. False where not.
  // `by_demand`: demand decides about room, where it is known.
  bool Miss(std::uint32_t rank, bool by_demand, Nanos now, Work& work);
  struct Prediction {
    std::uint32_t rank = 0;
    bool is_due = true;                // expected now; else only into room that no other waits in
    std::uint16_t confidence = 65535;  // 65535 = 1
  };
  // Writes a rule that no packet has wanted yet. The less is left of the budget, the surer it must be: as
  // confident as the share that is spent. False where it is there already, or cannot be.
  bool Predict(const Prediction& prediction, Nanos now, Work& work);
  // The policy's Swaps().
  void Exchange(std::size_t swaps, Nanos now, Work& work);

  const ResidentRules& table() const { return table_; }
  // Slots that unused predictions take at the most.
  std::size_t unused_slot_limit() const { return table_.slots() / 2; }
  std::uint64_t writes() const { return writes_; }            // slots written or cleared
  std::uint64_t predicted_wasted() const { return wasted_; }  // predicted, and evicted unused
  // Rises whenever a rule goes: while it stays, what was held is held.
  std::uint64_t removals() const { return removals_; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::int64_t kPatience = 4;
  // Demand a slot of a newcomer, against that of what goes for it: 5/4 of it where the budget is whole, and
  // the more the less is left of it, down to a tenth.
  static constexpr std::uint64_t kAdvantage = 5;
  static constexpr std::uint64_t kAdvantageOf = 4;
  static constexpr std::uint16_t kLeastLevel = 65535 / 10;
  struct Rule {
    std::int64_t lift = INT64_MIN;  // what a prediction made of its worth, since its last use
    Nanos predicted;
    std::uint32_t heap_position = kNone;  // where it is held and wanted
    std::uint32_t older = kNone;          // where it is held as an unused prediction
    std::uint32_t newer = kNone;
    std::uint32_t unused_slots = 0;  // 0: no unused prediction
  };

  // Room for a rule by removing what may be displaced. False where there is none; what was removed stays so.
  bool MakeRoom(std::uint32_t rank, bool is_swap, Nanos now, Work& work);
  bool MakeRoomForPrediction(std::uint32_t rank, Work& work);
  // MakeRoom where the demand is known: first goes what nobody demands, the least worth first; then what less
  // is demanded of a slot than of this rule. Where all that is not enough, nothing goes.
  bool MakeRoomByDemand(std::uint32_t rank, Work& work);
  std::uint64_t DemandOf(std::uint32_t rank) const { return (*config_.demand)[rank]; }
  std::size_t MostSlots(std::uint32_t rank) const { return 1 + std::size_t{plan_->cover_count(rank)}; }
  void RemoveLatePredictions(Nanos now, Work& work);
  std::int64_t Worth(std::uint32_t rank) const { return std::max(policy_->Worth(rank), rules_[rank].lift); }
  bool Fits(std::uint32_t rank) const;
  std::uint32_t SlotsToWrite(std::uint32_t rank) const;
  // In the place of what may be displaced.
  bool WriteInPlace(std::uint32_t rank, bool is_swap, Nanos now, Work& work);
  void Write(std::uint32_t rank, Nanos ready, Work& work);
  void Remove(std::uint32_t rank, Work& work);
  void Forget(std::uint32_t rank);  // as an unused prediction
  void RemoveOldestPrediction(Work& work);

  bool IsWorthLess(std::uint32_t a, std::uint32_t b) const;
  void Place(std::size_t position, std::uint32_t rank);
  void Sift(std::size_t position);
  void SiftDown(std::size_t position);
  void AddToHeap(std::uint32_t rank);
  void TakeFromHeap(std::uint32_t rank);
  void FillFromStart();

  const CoverPlan* plan_;
  const ResidencyPolicy* policy_;
  Config config_;
  ResidentRules table_;
  TokenBucket budget_;
  std::vector<Rule> rules_;           // by rank
  std::vector<std::uint32_t> heap_;   // the least worth first
  std::vector<std::uint32_t> order_;  // of Exchange
  struct Held {
    std::uint32_t rank = 0;
    std::uint64_t slots = 0;  // that removing it frees
    std::uint64_t demand = 0;
  };
  std::vector<Held> idle_;  // of MakeRoomByDemand: rules that nobody demands,
  std::vector<Held> busy_;  // and others
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::size_t unused_slots_ = 0;
  std::int64_t usual_wait_ = 0;  // ns from a prediction to its use; 0: none came true yet
  std::uint64_t writes_ = 0;
  std::uint64_t wasted_ = 0;
  std::uint64_t removals_ = 0;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_RESIDENCY_H_
