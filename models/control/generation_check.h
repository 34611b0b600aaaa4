// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_GENERATION_CHECK_H_
#define FOREFLOW_MODELS_CONTROL_GENERATION_CHECK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "models/control/rule_set_state.h"

namespace foreflow::control {

// Watches that each packet is decided by one whole generation: the set that a controller issued under the
// number that the device says is in force. What it compares with is the controller's side of the story, by
// linear scan. It keeps the sets and costs a scan a packet: for simulations and tests.
class GenerationCheck {
 public:
  // The device starts, or starts again: these are its generation 0.
  void Start(const std::vector<rules::Rule>& initial);
  // A controller has issued `set` as `generation`. Two controllers, one after the other, may issue two sets
  // under one number.
  void Issue(std::uint64_t generation, const RuleSetState& set);
  // The packet of `key` was decided by `rule` (kNoRule: by none) with `verb`, while `generation`, a set of
  // `digest`, was in force. False, and counted, where that is not what that set says.
  bool Packet(const flow::FlowKey& key, std::uint32_t rule, rules::Verb verb, std::uint64_t generation,
              const wire::SetDigest& digest);

  struct Counts {
    std::uint64_t packets = 0;
    std::uint64_t unissued = 0;  // of them, decided while a set was in force that nobody issued
    std::uint64_t mixed = 0;     // decided otherwise than the set in force says
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Issued {
    wire::SetDigest digest{};
    std::shared_ptr<const std::vector<rules::Rule>> rules;
  };
  const Issued* Find(std::uint64_t generation, const wire::SetDigest& digest);

  Issued initial_;
  std::map<std::uint64_t, std::vector<Issued>> issued_;  // by generation, from the one in force on
  Counts counts_;
};

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_GENERATION_CHECK_H_
