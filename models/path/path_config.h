// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_PATH_CONFIG_H_
#define FOREFLOW_MODELS_PATH_PATH_CONFIG_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/base/units.h"
#include "models/crypto/keyed_hash.h"
#include "models/predict/governor.h"
#include "models/predict/model_file.h"
#include "models/predict/type_predictor.h"
#include "models/rules/packet_change.h"
#include "models/rules/residency_policy.h"
#include "models/rules/rule.h"
#include "models/rules/rule_limits.h"
#include "models/tag/meter.h"
#include "models/tag/tag_rules.h"

namespace foreflow::path {

// Who decides what is on the device, and in which queue a packet waits.
enum class Arm : std::uint8_t {
  kOff,         // the device holds no entries
  kReactive,    // entries on the first miss, LRU; queue by port and DSCP
  kPredictive,  // besides, entries for predicted destinations; queue by verified tag
  kOracle,      // as predictive, with predictions that are true and Belady's eviction
  kAntiOracle,  // as predictive, with predictions that are always wrong
};

// tag_authority: whether a tag rule may permit and drop (the seed's text) or only choose queue, meter and
// mirror.
enum class TagAuthority : std::uint8_t { kBounded, kLiteral };

// What a tag speaks for: its packet, or a burst of one flow's packets (tag/burst_tags.h).
enum class TagScope : std::uint8_t { kPerPacket, kPerBurst };

// Shares of 65535 are as everywhere: 65535 = 1. What is out of range is refused by PacketPath and LaneShare,
// by those that the value is for (FlowCache, VmProfile, RuleTable, Meter, ...) at their construction, or, of
// what people write, by bindings/config.
struct PathConfig {
  Arm arm = Arm::kReactive;
  TagAuthority tag_authority = TagAuthority::kBounded;
  std::uint16_t vms = 64;           // profiled VMs: ids 1..vms; later ones are the uplink, id 0
  std::uint16_t lanes = 1;          // see lanes.h; a power of two
  std::uint32_t flow_entries = 64;  // capacity of the device's flow cache; 0: none, where it has a rule table
  std::uint32_t vm_flow_entries = 0;  // that one VM's may take of it; 0: no bound
  std::uint32_t rule_slots = 0;       // of the device's rule table; 0: it has none
  // The device decides by all rules itself, and only traps go to the host: a rule engine whose rules a
  // controller changes. It has neither flow entries nor a rule table. For arms off and reactive.
  bool holds_rules = false;
  // Which rules it holds, in arms but the oracle's, beside what is predicted.
  rules::Residency residency = rules::Residency::kLru;
  std::uint32_t rule_writes_per_second = 1'000'000;  // slots of it, for whatever reason; burst of 1024
  std::uint32_t vm_installs_per_second = 100'000;    // rules written on account of one VM; burst of 32
  Nanos install_latency = Micros(10);                // from asking for an entry until the device can use it
  std::uint32_t installs_per_second = 100'000;       // of predicted entries, token bucket with a burst of 32
  std::uint16_t peers_per_vm = 1000;                 // bound of a profile
  std::uint8_t successors = 3;                       // kept a destination
  std::uint8_t lookahead = 4;                        // steps ahead along the likeliest chain of destinations
  std::uint16_t minimum_confidence = 19661;          // 0.3 of 65535: act on a destination from here
  std::uint16_t governor_margin = 1311;              // 0.02 of 65535
  predict::PredictorKind predictor = predict::PredictorKind::kMarkov3;
  // Trained models that predict types in the predictive arm, mixed with what learns on beside them, in place
  // of `predictor` (predict/tiered_predictor.h): either alone, both in tiers, or none.
  std::shared_ptr<const predict::Model> table;
  std::shared_ptr<const predict::Model> network;
  std::uint32_t conversations = 16'384;         // whose state is kept for the models
  std::uint32_t readings_per_second = 100'000;  // of the network, where there is a table; burst of 32
  Nanos label_horizon = Millis(200);            // sender's clock
  std::uint32_t label_pending = 32768;          // packets that may wait for their label
  // In cycles of the host. A wrong destination costs classifying and installing (what it displaces is found
  // out in rehearsal); a right one saves a punt. Queues are unequal: a packet wrongly moved ahead delays
  // others by its own transmission, one rightly moved ahead is spared a full queue (50 times as much); and
  // the same the other way round.
  predict::SpeculationCosts destination_costs{50, 10, 600, 7000};
  predict::SpeculationCosts promotion_costs{50, 50, 1000, 50'000};
  predict::SpeculationCosts demotion_costs{50, 50, 300'000, 1000};
  crypto::Key128 tag_master_key{};
  TagScope tag_scope = TagScope::kPerPacket;
  std::uint16_t burst_packets = 16;       // that one tag speaks for, its own among them: 2..256
  Nanos burst_time = Micros(500);         // and how long
  Nanos tag_replay_window = Millis(100);  // see tag::TagChecker
  Nanos tag_rotation;                     // keys are good for this long; 0: until RotateTagKeys
  Nanos tag_overlap = Millis(100);        // and are accepted for this much longer
  std::uint64_t seed = 1;                 // of the host's hashes; the device's come from the key above
  rules::RuleLimits rule_limits;          // of the host's table
  std::vector<rules::Rule> rules;
  std::vector<tag::TagRule> tag_rules;
  std::vector<tag::MeterConfig> meters;      // that actions name by number
  std::vector<rules::PacketChange> changes;  // that actions name by number

  rules::VmBound vm_bound() const { return {vm_flow_entries == 0 ? SIZE_MAX : vm_flow_entries, vms}; }
  bool UsesModels() const { return arm == Arm::kPredictive && (table != nullptr || network != nullptr); }
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_PATH_CONFIG_H_
