// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/device.h"

#include <algorithm>

#include "models/tag/queue_by_header.h"

namespace foreflow::path {
namespace {

constexpr std::size_t kBurstWrites = 32;
constexpr std::uint8_t kLowestQueue = rules::kQueues - 1;

// Guests must not be able to choose keys that collide.
std::uint64_t TableSeed(const crypto::Key128& master) {
  const crypto::Key128 key = crypto::DeriveKey(master, "fftables", 0);
  std::uint64_t seed = 0;
  for (std::size_t i = 0; i < sizeof(seed); ++i) seed |= std::uint64_t{key[i]} << (8 * i);
  return seed;
}

}  // namespace

Device::Device(const PathConfig& config, const Future* future, Counters& counters)
    : config_(config),
      counters_(counters),
      set_(config, future),
      table_(&set_.rules),
      checker_(config.tag_master_key, config.vms, config.tag_replay_window),
      // Twice the time: what waits on the bus is not late.
      bursts_(config.tag_scope == TagScope::kPerBurst ? config.vms : 0, config.burst_time * 2),
      cache_(std::max(config.flow_entries, 1u), TableSeed(config.tag_master_key), config.vm_bound()),
      budget_(config.installs_per_second, kBurstWrites) {
  writes_.reserve(kBurstWrites);
  rule_writes_.reserve(kBurstWrites);
}

void Device::Process(DevicePacket& packet) {
  Begin(packet);
  if (packet.current->parsed->decidable) {
    CheckTags(&packet, 1);
    if (packet.tag_rule != nullptr && config_.tag_authority == TagAuthority::kLiteral) {
      packet.decision.action = packet.tag_rule->action;
      packet.verdict->reason = Reason::kTagRule;
      packet.tag_rule = nullptr;  // it has become the decision
    } else {
      LookUp(packet);
    }
    Act(packet);
  }
  ApplyWrites(packet.arrival->time, (*packet.work)[Stage::kPreinstall]);
}

[[gnu::flatten]] bool Device::FindEntry(DevicePacket& packet) {
  Begin(packet);
  if (packet.current->parsed->decidable) LookUp(packet);
  ApplyWrites(packet.arrival->time, (*packet.work)[Stage::kPreinstall]);
  return packet.verdict->punted && packet.decision.action.verb != rules::Verb::kTrap;
}

[[gnu::flatten]] void Device::Finish(DevicePacket* packets, std::size_t count) {
  CheckTags(packets, count);
  for (std::size_t i = 0; i < count; ++i) {
    if (packets[i].current->parsed->decidable) Act(packets[i]);
  }
}

void Device::Begin(DevicePacket& packet) {
  packet.tag_rule = nullptr;
  packet.decision = rules::Decision{};
  *packet.verdict = Verdict{};
  checker_.See(packet.arrival->time);
  packet.verdict->vm = packet.arrival->vm;
  ++counters_.packets;
  (*packet.work)[Stage::kParse] += packet.current->parsed->work;
  if (!packet.current->parsed->decidable) packet.verdict->reason = packet.current->parsed->reason;
}

void Device::CheckTags(DevicePacket* packets, std::size_t count) {
  std::array<tag::TagMac*, kBurst> macs{};
  std::size_t tags = 0;
  for (std::size_t i = 0; i < count; ++i) {
    DevicePacket& packet = packets[i];
    if (!packet.current->parsed->decidable || !packet.tagged->has_tag) continue;
    checker_.Begin(&packet.tagged->tag, packet.current->parsed->key, packet.arrival->wire_bytes, packet.check,
                   (*packet.work)[Stage::kTagCheck]);
    macs[tags++] = &packet.check.mac;
  }
  tag::ComputeMacs(macs.data(), tags);
  for (std::size_t i = 0; i < count; ++i) {
    DevicePacket& packet = packets[i];
    if (!packet.current->parsed->decidable) continue;
    Verdict& verdict = *packet.verdict;
    Work& work = (*packet.work)[Stage::kTagCheck];
    tag::PredictionTag tag;
    verdict.tag_status = CheckTag(packet, tag, work);
    ++counters_.tags_by_status[static_cast<std::size_t>(verdict.tag_status)];
    CountType(packet, tag);
    if (verdict.tag_status != tag::TagStatus::kValid) continue;
    verdict.predicted = tag.type;
    verdict.confidence = tag.confidence;
    bool lacks_confidence = false;
    packet.tag_rule = set_.tag_rules.Match(tag, lacks_confidence, work);
    if (packet.tag_rule != nullptr) verdict.tag_rule = packet.tag_rule->id;
    if (packet.tag_rule == nullptr && lacks_confidence) ++counters_.tags_low_confidence;
  }
}

// By the type that the tag says: of one that does not verify, that it claims.
void Device::CountType(const DevicePacket& packet, const tag::PredictionTag& tag) {
  const tag::TagStatus status = packet.verdict->tag_status;
  if (status == tag::TagStatus::kAbsent) return;
  const bool is_valid = status == tag::TagStatus::kValid;
  if (!is_valid && (!packet.tagged->has_tag || !packet.check.is_read)) return;
  const predict::PacketType type = is_valid ? tag.type : packet.check.claimed.type;
  ++counters_.tags_by_type[static_cast<std::size_t>(type)][static_cast<std::size_t>(status)];
}

// The packet's own tag, whose MAC was computed; or that of an earlier packet which speaks for this one.
tag::TagStatus Device::CheckTag(DevicePacket& packet, tag::PredictionTag& tag, Work& work) {
  const flow::FlowKey& flow = packet.current->parsed->key;
  const Nanos now = packet.arrival->time;
  if (packet.tagged->has_tag) {
    const tag::TagStatus status = checker_.Finish(packet.check, &packet.tagged->tag, tag, work);
    if (status == tag::TagStatus::kValid && tag.covers > 0 && config_.tag_scope == TagScope::kPerBurst) {
      bursts_.Open(flow, tag, 0, now, work);
    }
    return status;
  }
  if (!packet.tagged->is_covered) return tag::TagStatus::kAbsent;
  const tag::BurstTags::Burst* burst = bursts_.Find(flow, now, work);
  if (burst == nullptr) return tag::TagStatus::kStale;
  bursts_.Take(flow);
  ++counters_.tags_covered;
  tag.type = burst->type;
  tag.confidence = burst->confidence;
  tag.vm = flow.vm;
  return tag::TagStatus::kValid;
}

// By the host's table, on the slow path.
rules::Decision Device::Classify(const DevicePacket& packet) const {
  Work& work = (*packet.work)[Stage::kSlowPath];
  if (packet.arrival->decision != nullptr) {
    work.Add(WorkItem::kCacheLine);
    return *packet.arrival->decision;
  }
  const Parsed& parsed = *packet.current->parsed;
  return table_->Classify(parsed.key, parsed.packet.outer_vlan, work);
}

// Where the standard table's verdict comes from: the device's flow entry, its rule table, or the host.
void Device::LookUp(DevicePacket& packet) {
  const CurrentPacket& current = *packet.current;
  Verdict& verdict = *packet.verdict;
  StageWork& work = *packet.work;
  const Nanos now = packet.arrival->time;
  if (config_.arm == Arm::kOff) {
    verdict.punted = true;
    verdict.reason = Reason::kNotOffloaded;
    packet.decision = Classify(packet);
  } else if (config_.holds_rules) {
    verdict.reason = Reason::kRuleHit;
    packet.decision =
        table_->Classify(current.parsed->key, current.parsed->packet.outer_vlan, work[Stage::kFlowCache]);
    if (packet.decision.action.verb != rules::Verb::kTrap) ++counters_.rule_hits;
  } else if (config_.flow_entries == 0 || !LookUpEntry(packet)) {
    RuleTier* const tier = set_.tier.get();
    std::uint32_t rank = RuleTier::kNone;
    const bool is_hit = tier != nullptr && LookUpRule(packet, rank);
    if (!is_hit) {
      verdict.punted = true;
      if (tier == nullptr) verdict.reason = Reason::kCacheMiss;
      packet.decision = Classify(packet);
      // An entry that is on its way must not be sent for again: that would only delay it.
      if (config_.flow_entries > 0 &&
          !cache_.Contains(current.entry, current.device_hash, table_->changes())) {
        const bool installed = Put(current.entry, current.device_hash, packet.decision,
                                   rules::InstallCause::kMiss, current.next_use, now, work[Stage::kSlowPath]);
        if (installed) ++counters_.installs_on_miss;
      }
    }
    if (tier != nullptr) {
      if (!is_hit) rank = tier->RankOf(packet.decision);
      const Written before = WrittenTo(*tier);
      const RuleTier::Seen seen =
          tier->See(*packet.arrival, *current.parsed, current.number, rank, is_hit, work);
      verdict.used_prediction = seen.used_prediction;
      if (seen.used_prediction) ++counters_.predicted_used;
      if (seen.wrote_on_miss) ++counters_.installs_on_miss;
      CountWrites(before);
    }
  }
  if (config_.arm == Arm::kOracle && config_.flow_entries > 0) {
    cache_.SetNextUse(current.entry, current.next_use);
  }
  verdict.rule = packet.decision.rule;
}

Device::Written Device::WrittenTo(const RuleTier& tier) {
  return {tier.device().writes(), tier.device().predicted_wasted()};
}

void Device::CountWrites(const Written& before) {
  const Written now = WrittenTo(*set_.tier);
  counters_.rule_writes += now.slots - before.slots;
  counters_.predicted_wasted += now.predicted_wasted - before.predicted_wasted;
}

bool Device::LookUpEntry(DevicePacket& packet) {
  const CurrentPacket& current = *packet.current;
  Work& work = (*packet.work)[Stage::kFlowCache];
  // The device finds the packet's port classes in its own copy of the class table.
  table_->CountEntryKey(work);
  rules::FlowCache::Hit hit;
  if (!cache_.Lookup(current.entry, current.device_hash, table_->changes(), packet.arrival->time, hit,
                     work)) {
    return false;
  }
  packet.verdict->reason = Reason::kCacheHit;
  packet.verdict->used_prediction = hit.first_use;
  if (hit.first_use) ++counters_.predicted_used;
  packet.decision = hit.decision;
  return true;
}

bool Device::LookUpRule(DevicePacket& packet, std::uint32_t& rank) {
  Verdict& verdict = *packet.verdict;
  switch (set_.tier->Find(*packet.current->parsed, packet.arrival->time, rank,
                          (*packet.work)[Stage::kFlowCache])) {
    case rules::ResidentRules::Answer::kRule:
      verdict.reason = Reason::kRuleHit;
      packet.decision = set_.tier->DecisionOf(rank);
      ++counters_.rule_hits;
      return true;
    case rules::ResidentRules::Answer::kCover:
      verdict.reason = Reason::kRuleCover;
      ++counters_.rule_covers;
      return false;
    case rules::ResidentRules::Answer::kNothing:
      break;
  }
  verdict.reason = Reason::kRuleMiss;
  return false;
}

void Device::Act(DevicePacket& packet) {
  const Arrival& arrival = *packet.arrival;
  const Parsed& parsed = *packet.current->parsed;
  const rules::Decision& decision = packet.decision;
  const rules::Action& action = decision.action;
  const tag::TagRule* const tag_rule = packet.tag_rule;
  Verdict& verdict = *packet.verdict;
  Work& work = (*packet.work)[Stage::kAct];
  verdict.verb = action.verb;
  if (verdict.reason != Reason::kTagRule) {
    set_.statistics.Count(decision.rule, arrival.wire_bytes, arrival.time, work);
  }
  if (verdict.tag_rule != rules::kNoRule) {
    set_.tag_statistics.Count(verdict.tag_rule, arrival.wire_bytes, arrival.time, work);
  }
  verdict.mirrored = action.mirror || (tag_rule != nullptr && tag_rule->action.mirror);
  if (verdict.mirrored) work.Add(WorkItem::kByteCopied, arrival.wire_bytes);

  if (tag_rule != nullptr && tag_rule->action.queue != rules::kNoQueue) {
    verdict.queue = tag_rule->action.queue;
  } else if (action.queue != rules::kNoQueue) {
    verdict.queue = action.queue;
  } else {
    verdict.queue = tag::QueueByHeader(parsed.key, parsed.packet.dscp);
  }
  if (action.verb == rules::Verb::kTrap) verdict.punted = true;
  if (verdict.punted) ++counters_.punts;

  switch (action.verb) {
    case rules::Verb::kDrop:
      if (verdict.reason != Reason::kTagRule) {
        verdict.reason = decision.rule == rules::kNoRule ? Reason::kDefaultDrop : Reason::kDenyRule;
      }
      return;
    case rules::Verb::kTrap:
      verdict.reason = Reason::kTrapRule;
      break;
    case rules::Verb::kForward:
      break;
  }
  // A rule may change bytes; what a prediction chose never does (tag rules have no change).
  verdict.sharded = action.shard;
  if (action.change != rules::kNoChange && !Changes(packet)) return;

  if (tag_rule != nullptr && tag_rule->action.meter != rules::kNoMeter) {
    // A prediction may slow a packet down, not lose it.
    work.Add(WorkItem::kUpdate);
    verdict.colour = set_.meters[tag_rule->action.meter].Mark(arrival.time, arrival.wire_bytes);
    if (verdict.colour == tag::Colour::kRed) verdict.queue = kLowestQueue;
  }
  if (action.meter != rules::kNoMeter) {
    work.Add(WorkItem::kUpdate);
    verdict.colour = set_.meters[action.meter].Mark(arrival.time, arrival.wire_bytes);
    if (verdict.colour == tag::Colour::kRed) {
      verdict.verb = rules::Verb::kDrop;
      verdict.reason = Reason::kMeterRed;
      verdict.sharded = false;
      verdict.change = rules::kNoChange;
    }
  }
}

// False, and the packet is dropped, where the changed one could not leave.
bool Device::Changes(DevicePacket& packet) {
  Verdict& verdict = *packet.verdict;
  const std::uint16_t change = packet.decision.action.change;
  const rules::ChangeStatus status =
      rules::Judge(set_.changes[change], packet.arrival->link, packet.current->parsed->packet,
                   packet.arrival->wire_bytes, (*packet.work)[Stage::kAct]);
  if (status == rules::ChangeStatus::kOk) {
    verdict.change = change;
    return true;
  }
  verdict.verb = rules::Verb::kDrop;
  verdict.sharded = false;
  verdict.reason = status == rules::ChangeStatus::kExpired   ? Reason::kTtlExpired
                   : status == rules::ChangeStatus::kTooLong ? Reason::kTooLong
                                                             : Reason::kNoFrame;
  return false;
}

void Device::Describe(const CurrentPacket& current, Description& description) const {
  description.entry = current.entry;
  rules::FlowCache::Resident resident;
  if (cache_.Peek(current.entry, table_->changes(), resident)) description.resident = resident;
  description.cache_entries = cache_.size();
  description.cache_capacity = cache_.capacity();
  description.unused_predictions = cache_.unused_predictions();
  description.unused_prediction_limit = cache_.unused_prediction_limit();
  for (const Write& write : writes_) description.writes.push_back(write.entry);
}

bool Device::Preinstall(const flow::FlowKey& key, const rules::EntryKey& entry, std::uint64_t next_use,
                        Nanos now, Work& work) {
  for (const Write& write : writes_) {
    if (write.entry == entry) return true;
  }
  if (!budget_.Take(now)) return false;
  writes_.push_back({entry, table_->Classify(key, entry.vlan, work), next_use});
  return true;
}

bool Device::PreinstallRule(const RuleTier::Prediction& rule, flow::VmId vm) {
  for (const RuleWrite& write : rule_writes_) {
    if (write.rule.rank == rule.rank) return true;
  }
  if (rule_writes_.size() == kBurstWrites) return false;
  rule_writes_.push_back({rule, vm});
  return true;
}

void Device::ApplyWrites(Nanos now, Work& work) {
  if (set_.tier != nullptr) set_.tier->ApplyRehearsed(now, work);
  if (!rule_writes_.empty()) {
    const Written before = WrittenTo(*set_.tier);
    for (const RuleWrite& write : rule_writes_) {
      if (set_.tier->Write(write.rule, write.vm, now, work)) ++counters_.installs_predicted;
    }
    rule_writes_.clear();
    CountWrites(before);
  }
  if (writes_.empty()) return;
  for (const Write& write : writes_) {
    const bool installed = Put(write.entry, cache_.HashOf(write.entry), write.decision,
                               rules::InstallCause::kPredicted, write.next_use, now, work);
    if (installed) {
      ++counters_.installs_predicted;
    } else {
      budget_.GiveBack();  // nothing was written
    }
  }
  writes_.clear();
}

bool Device::Put(const rules::EntryKey& entry, std::uint64_t hash, const rules::Decision& decision,
                 rules::InstallCause cause, std::uint64_t next_use, Nanos now, Work& work) {
  rules::FlowCache::Install install;
  install.key = entry;
  install.decision = decision;
  install.ready = now + config_.install_latency;
  install.cause = cause;
  install.next_use = config_.arm == Arm::kOracle ? next_use : 0;
  const rules::FlowCache::Evicted evicted = cache_.Put(install, hash, table_->changes(), work);
  if (evicted.any && evicted.was_unused_prediction) ++counters_.predicted_wasted;
  return evicted.installed;
}

}  // namespace foreflow::path
