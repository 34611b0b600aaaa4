// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_DEVICE_H_
#define FOREFLOW_MODELS_PATH_DEVICE_H_

#include <vector>

#include "models/base/token_bucket.h"
#include "models/path/arrival.h"
#include "models/path/counters.h"
#include "models/path/description.h"
#include "models/path/path_config.h"
#include "models/path/rule_set.h"
#include "models/path/stages.h"
#include "models/path/tagged.h"
#include "models/path/verdict.h"
#include "models/predict/labeler.h"
#include "models/predict/tiered_predictor.h"
#include "models/rules/flow_cache.h"
#include "models/tag/burst_tags.h"

namespace foreflow::path {

// One packet as host and device both see it.
struct CurrentPacket {
  const Parsed* parsed = nullptr;
  std::uint64_t number = 0;
  // Below: valid when the packet is decidable.
  rules::EntryKey entry;
  std::uint64_t device_hash = 0;     // of the entry, in the device's cache
  std::uint64_t rehearsal_hash = 0;  // in the rehearsal's; this and the next where the host predicts
  std::uint64_t host_hash = 0;       // in the host's other tables
  std::uint64_t next_use = 0;        // of the entry, where the future is known (else 0)
  // Where the host predicts.
  predict::Labeler::ConversationKey conversation;
  predict::PacketSummary summary;
  predict::Context context;  // of the packet's VM, where it is profiled; without its last label
  // Where the host predicts with trained models.
  predict::Reading reading;
  Work reading_work;
};

// One packet on its way through the device.
struct DevicePacket {
  const Arrival* arrival = nullptr;
  const CurrentPacket* current = nullptr;
  const Tagged* tagged = nullptr;
  Verdict* verdict = nullptr;
  StageWork* work = nullptr;
  // The device's own.
  tag::TagChecker::Pending check;
  const tag::TagRule* tag_rule = nullptr;
  rules::Decision decision;
};

// The device and the slow path behind it: tag check, flow cache, full rule table on a miss, actions.
class Device {
 public:
  // `config` and `counters` must outlive it; `future` as of PacketPath.
  Device(const PathConfig& config, const Future* future, Counters& counters);

  // Decides a packet, of which all but `check`, `tag_rule` and `decision` is given, and writes its verdict.
  void Process(DevicePacket& packet);

  // Process of several packets, step by step: FindEntry for each, between the host's turns, then Finish for
  // all. Only where IsSteppable: no tag, and no meter, has a say in what FindEntry does or returns.
  bool IsSteppable() const {
    return config_.tag_authority == TagAuthority::kBounded && table_->metered_traps() == 0;
  }
  // Whether the packet was punted for want of an entry.
  bool FindEntry(DevicePacket& packet);
  void Finish(DevicePacket* packets, std::size_t count);

  // Between two packets.
  void SwapRules(RuleSet& set) noexcept {
    set_.Swap(set);
    if (table_ != &set_.rules) set_.rules.Supersede(*table_);
    table_ = &set_.rules;
    rule_writes_.clear();  // ranks of the old rules
  }
  void CheckRules(const rules::RuleBatch& batch) const { set_.Check(batch); }
  void AdoptRules(const rules::RuleTable& table) noexcept { table_ = &table; }
  void ApplyRules(const rules::RuleBatch& batch) {
    set_.Check(batch);
    set_.rules.Apply(batch);
  }

  // See PacketPath::RotateTagKeys.
  bool RotateTagKeys(std::uint64_t epoch, const crypto::Key128& master, Nanos until) {
    return checker_.RotateKeys(epoch, master, until);
  }

  // The host's side of the control channel.
  const rules::RuleTable& rules() const { return *table_; }
  const tag::TagRules& tag_rules() const { return set_.tag_rules; }
  const RuleSet& set() const { return set_; }
  // Of its rule table; null where it has none.
  RuleTier* rule_tier() { return set_.tier.get(); }
  // Unused predictions that the device holds at the most: of rules, where it has a table of them.
  std::size_t prediction_share() const {
    return set_.tier != nullptr ? set_.tier->prediction_share() : cache_.unused_prediction_limit();
  }
  bool Holds(const rules::EntryKey& entry) const { return cache_.Contains(entry, table_->changes()); }
  const rules::FlowCache& cache() const { return cache_; }
  // What the device knows of the packet that it decides next.
  void Describe(const CurrentPacket& current, Description& description) const;
  // Asks for an entry ahead of its first packet. The write travels behind the current packet, which is
  // decided before it. `entry` is of `key` and its VLAN. False when the budget of such writes is spent.
  bool Preinstall(const flow::FlowKey& key, const rules::EntryKey& entry, std::uint64_t next_use, Nanos now,
                  Work& work);
  // The same for a rule, by its rank. False when as many wait as can.
  bool PreinstallRule(const RuleTier::Prediction& rule, flow::VmId vm);
  // Makes the writes that were asked for.
  void ApplyWrites(Nanos now, Work& work);

 private:
  // False when the cache refused the entry.
  bool Put(const rules::EntryKey& entry, std::uint64_t hash, const rules::Decision& decision,
           rules::InstallCause cause, std::uint64_t next_use, Nanos now, Work& work);
  void Begin(DevicePacket& packet);
  void CheckTags(DevicePacket* packets, std::size_t count);
  tag::TagStatus CheckTag(DevicePacket& packet, tag::PredictionTag& tag, Work& work);
  void CountType(const DevicePacket& packet, const tag::PredictionTag& tag);
  rules::Decision Classify(const DevicePacket& packet) const;
  void LookUp(DevicePacket& packet);
  bool LookUpEntry(DevicePacket& packet);
  bool LookUpRule(DevicePacket& packet, std::uint32_t& rank);
  void Act(DevicePacket& packet);
  bool Changes(DevicePacket& packet);

  // A write that travels behind the current packet.
  struct Write {
    rules::EntryKey entry;
    rules::Decision decision;
    std::uint64_t next_use = 0;
  };

  // What the rule table has counted so far.
  struct Written {
    std::uint64_t slots = 0;
    std::uint64_t predicted_wasted = 0;
  };
  static Written WrittenTo(const RuleTier& tier);
  void CountWrites(const Written& before);

  struct RuleWrite {
    RuleTier::Prediction rule;
    flow::VmId vm = 0;
  };

  const PathConfig& config_;
  Counters& counters_;
  std::vector<Write> writes_;           // never more than the budget's burst
  std::vector<RuleWrite> rule_writes_;  // nor these
  RuleSet set_;
  const rules::RuleTable* table_;  // of set_, or adopted
  tag::TagChecker checker_;
  tag::BurstTags bursts_;
  rules::FlowCache cache_;
  TokenBucket budget_;  // of writes that predictions ask for
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_DEVICE_H_
