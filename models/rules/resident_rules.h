// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RESIDENT_RULES_H_
#define FOREFLOW_MODELS_RULES_RESIDENT_RULES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/hash.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/rules/cover_plan.h"

namespace foreflow::rules {

// The device's rule table: a ternary memory of a bounded number of slots, some of the rules of a larger set,
// each with the covers it needs (CoverPlan). Rules and covers take a slot each; a rule that is evicted while
// others need its cover leaves the cover behind, in its slot.
//
// Invariant (exactness): whatever is held, and at any time between writes and their taking effect, what Find
// answers for a key is the rule that wins in the full set, or that the host has to decide.
//
// Writes take effect when they are `ready`; those of one call at one instant. Removals take effect at once.
// All memory is taken at construction. Which rules to hold is said from outside: RuleResidency.
class ResidentRules {
 public:
  // The plan must outlive the table. Throws Refusal unless 1 <= slots <= 2^24.
  ResidentRules(const CoverPlan& plan, std::size_t slots);

  // What a look-up says.
  enum class Answer : std::uint8_t {
    kNothing,  // no entry matches: to the host
    kCover,    // a cover matches: to the host
    kRule,     // the rule `rank` wins
  };
  // Counts what one look-up of a ternary memory is: a probe and a compare.
  Answer Find(const flow::FlowKey& key, wire::VlanKey vlan, Nanos now, std::uint32_t& rank, Work& work) const;
  Answer Find(const flow::FlowKey& key, Nanos now, std::uint32_t& rank, Work& work) const {
    return Find(key, wire::kNoVlan, now, rank, work);
  }

  // Whether the rule itself is there, ready or on its way.
  bool Holds(std::uint32_t rank) const { return at_[rank] != kNone && entries_[at_[rank]].is_rule; }
  // Slots that Hold would take now.
  std::size_t SlotsFor(std::uint32_t rank) const;
  // Slots that Evict of a rule that is held would free now for `newcomer`, which may need covers of it.
  std::size_t SlotsFreedBy(std::uint32_t rank, std::uint32_t newcomer) const;
  // Slots that are free, and all; rules that are held, covers not counted.
  std::size_t free_slots() const { return free_.size(); }
  std::size_t slots() const { return entries_.size(); }
  std::size_t rules_held() const { return rules_held_; }

  // Writes the rule and the covers that are missing. The rule must not be held, and SlotsFor(rank) <=
  // free_slots(). `ready` never falls from call to call. Counts kInstall for each slot written. The number
  // of writes.
  std::uint32_t Hold(std::uint32_t rank, Nanos ready, Work& work);
  // Removes the rule, which must be held, and the covers that nothing needs any more. The number of writes.
  std::uint32_t Evict(std::uint32_t rank, Work& work);

 private:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;

  struct Entry {
    CoverPlan::Match match;
    std::uint32_t rank = 0;     // of the rule, or of the rule that a merged cover belongs to
    std::uint32_t needers = 0;  // held rules that need it as a cover
    bool is_rule = false;
    bool is_merged = false;
    Nanos cover_ready;          // from here on it sends to the host,
    Nanos rule_ready;           // and from here on, where it is a rule, it decides
    Index next = kNone;         // in the bucket
    Index next_merged = kNone;  // of the same rule
  };
  // Masks in use, so that Find tries no other.
  struct Live {
    std::uint32_t mask = 0;
    std::uint32_t entries = 0;
  };

  Index& BucketOf(const MatchWords& masked, std::uint32_t mask) {
    return buckets_[Hash(masked, mask) & (buckets_.size() - 1)];
  }
  std::uint64_t Hash(const MatchWords& masked, std::uint32_t mask) const {
    return (hasher_(masked.data()) ^ Mix64(masked[kKeyWords])) + Mix64(mask);
  }
  Index Take(const CoverPlan::Match& match, std::uint32_t rank, Nanos ready);
  void Release(Index i);

  const CoverPlan* plan_;
  KeyHasher hasher_{0};  // of keys that rules chose, not guests
  std::vector<Entry> entries_;
  std::vector<Index> free_;
  std::vector<Index> buckets_;
  std::vector<Live> live_;
  std::vector<std::uint32_t> live_at_;  // by mask: position in live_, or kNone
  std::vector<Index> at_;               // by rank: the rule's own entry, or its cover
  std::vector<Index> first_merged_;     // by rank
  std::size_t rules_held_ = 0;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RESIDENT_RULES_H_
