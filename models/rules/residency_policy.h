// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RESIDENCY_POLICY_H_
#define FOREFLOW_MODELS_RULES_RESIDENCY_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/base/units.h"
#include "models/rules/cover_plan.h"

namespace foreflow::rules {

// Rules that are in use today for choosing what a device holds.
enum class Residency : std::uint8_t {
  kStatic,     // those that known weights say, from the start, for ever
  kLru,        // on the first miss; the least recently used goes
  kLfu,        // on the first miss; the least often used goes
  kRebalance,  // as Open vSwitch does: where there is room on a miss, else exchanged every 3 s by measured
               // rate
  kRandom,     // one miss in 100, drawn; the least recently used goes
  kGreedy,     // by rate per slot, covers counted; a newcomer displaces only what is worth less
};

// What is known of the rules' uses, from which a table decides which of them to hold. Shared by all tables
// that see the same packets; it knows nothing of what any of them holds. Times are the sender's. No
// allocation after construction.
class ResidencyPolicy {
 public:
  virtual ~ResidencyPolicy() = default;

  // A packet, in order of time, that the rule decides. `next_use`: the packet that it decides next, where the
  // future is known.
  virtual void See(std::uint32_t rank, Nanos now, std::uint64_t next_use) = 0;
  // What holding the rule is worth: what is worth least goes first. Of one rule it changes in See alone; of
  // others, where See makes Swaps() positive.
  virtual std::int64_t Worth(std::uint32_t rank) const = 0;
  // What it would be worth if the next packet were its own: what a prediction of that packet makes of it.
  virtual std::int64_t WorthIfUsedNow(std::uint32_t rank) const = 0;
  // Whether the rule of the last See is to be written at once where the packet had to go to the host.
  virtual bool WritesOnMiss() const { return true; }
  // Whether `newcomer` may take the place of `victim`.
  virtual bool Displaces(std::uint32_t newcomer, std::uint32_t victim) const = 0;
  // After See: how many rules are to be exchanged now for others that are worth more.
  virtual std::size_t Swaps() const { return 0; }
  // Whether worths are known before the first packet: then tables start full.
  virtual bool StartsFull() const { return false; }
};

// `known_weights` (packets a rule, by rank) is looked at by kStatic alone; `seed` by kRandom. Throws Refusal
// where kStatic is not told.
std::unique_ptr<ResidencyPolicy> MakePolicy(Residency residency, const CoverPlan& plan, std::uint64_t seed,
                                            const std::vector<std::uint64_t>& known_weights);

// For those who know the future: the rule that is used farthest away goes (Belady 1966), and a newcomer that
// is used later than all is not written. `first_use`: by rank, the first packet that the rule decides.
std::unique_ptr<ResidencyPolicy> MakeBeladyPolicy(const std::vector<std::uint64_t>& first_use);

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RESIDENCY_POLICY_H_
