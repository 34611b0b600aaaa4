// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/device.h"

#include <algorithm>

#include "models/tag/queue_by_header.h"

namespace foreflow::path {
namespace {

constexpr std::int64_t kToken = 1'000'000'000;
constexpr std::size_t kBurstWrites = 32;
constexpr std::int64_t kBurstTokens = kBurstWrites * kToken;
constexpr std::uint8_t kLowestQueue = tag::kQueues - 1;

// Guests must not be able to choose keys that collide.
std::uint64_t TableSeed(const crypto::Key128& master) {
  const crypto::Key128 key = crypto::DeriveKey(master, "fftables", 0);
  std::uint64_t seed = 0;
  for (std::size_t i = 0; i < sizeof(seed); ++i) seed |= std::uint64_t{key[i]} << (8 * i);
  return seed;
}

}  // namespace

Device::Device(const PathConfig& config, Counters& counters)
    : config_(config),
      counters_(counters),
      set_(config),
      checker_(config.tag_master_key, config.vms),
      cache_(config.flow_entries, TableSeed(config.tag_master_key)),
      tokens_(kBurstTokens) {
  writes_.reserve(kBurstWrites);
}

void Device::Process(const Arrival& arrival, const CurrentPacket& current, const Tagged& tagged,
                     Verdict& verdict, StageWork& work) {
  DecidePacket(arrival, current, tagged, verdict, work);
  ApplyWrites(arrival.time, work[Stage::kPreinstall]);
}

void Device::DecidePacket(const Arrival& arrival, const CurrentPacket& current, const Tagged& tagged,
                          Verdict& verdict, StageWork& work) {
  verdict = Verdict{};
  verdict.vm = arrival.vm;
  ++counters_.packets;
  work[Stage::kParse] += current.parsed->work;
  if (!current.parsed->decidable) {
    verdict.reason = current.parsed->reason;
    return;
  }

  tag::PredictionTag tag;
  verdict.tag_status = checker_.Check(tagged.has_tag ? &tagged.tag : nullptr, current.parsed->key,
                                      arrival.wire_bytes, tag, work[Stage::kTagCheck]);
  ++counters_.tags_by_status[static_cast<std::size_t>(verdict.tag_status)];
  const tag::TagRule* tag_rule = nullptr;
  if (verdict.tag_status == tag::TagStatus::kValid) {
    verdict.predicted = tag.type;
    verdict.confidence = tag.confidence;
    tag_rule = set_.tag_rules.Match(tag, work[Stage::kTagCheck]);
    if (tag_rule != nullptr) verdict.tag_rule = tag_rule->id;
  }

  tag::Decision decision;
  if (tag_rule != nullptr && config_.tag_authority == TagAuthority::kLiteral) {
    decision.action = tag_rule->action;
    verdict.reason = Reason::kTagRule;
    tag_rule = nullptr;  // it has become the decision
  } else {
    decision = LookUp(arrival, current, verdict, work);
  }
  Act(arrival, current, decision, tag_rule, verdict, work[Stage::kAct]);
  if (verdict.punted) ++counters_.punts;
}

// Where the standard table's verdict comes from: the device's entry, or the host.
tag::Decision Device::LookUp(const Arrival& arrival, const CurrentPacket& current, Verdict& verdict,
                             StageWork& work) {
  tag::Decision decision;
  if (config_.arm == Arm::kOff) {
    verdict.punted = true;
    verdict.reason = Reason::kNotOffloaded;
    decision = set_.rules.Classify(current.parsed->key, work[Stage::kSlowPath]);
  } else {
    // The device finds the packet's port classes in its own copy of the class table.
    set_.rules.CountEntryKey(work[Stage::kFlowCache]);
    tag::FlowCache::Hit hit;
    if (cache_.Lookup(current.entry, current.device_hash, set_.rules.generation(), arrival.time, hit,
                      work[Stage::kFlowCache])) {
      verdict.reason = Reason::kCacheHit;
      verdict.used_prediction = hit.first_use;
      if (hit.first_use) ++counters_.predicted_used;
      decision = hit.decision;
    } else {
      verdict.punted = true;
      verdict.reason = Reason::kCacheMiss;
      decision = set_.rules.Classify(current.parsed->key, work[Stage::kSlowPath]);
      // An entry that is on its way must not be sent for again: that would only delay it.
      if (!cache_.Contains(current.entry, current.device_hash, set_.rules.generation())) {
        const bool installed = Put(current.entry, current.device_hash, decision, tag::InstallCause::kMiss,
                                   current.next_use, arrival.time, work[Stage::kSlowPath]);
        if (installed) ++counters_.installs_on_miss;
      }
    }
    if (config_.arm == Arm::kOracle) cache_.SetNextUse(current.entry, current.next_use);
  }
  verdict.rule = decision.rule;
  return decision;
}

void Device::Act(const Arrival& arrival, const CurrentPacket& current, const tag::Decision& decision,
                 const tag::TagRule* tag_rule, Verdict& verdict, Work& work) {
  const tag::Action& action = decision.action;
  verdict.verb = action.verb;
  verdict.mirrored = action.mirror || (tag_rule != nullptr && tag_rule->action.mirror);
  if (verdict.mirrored) work.Add(WorkItem::kByteCopied, arrival.wire_bytes);

  if (tag_rule != nullptr && tag_rule->action.queue != tag::kNoQueue) {
    verdict.queue = tag_rule->action.queue;
  } else if (action.queue != tag::kNoQueue) {
    verdict.queue = action.queue;
  } else {
    verdict.queue = tag::QueueByHeader(current.parsed->key, current.parsed->packet.dscp);
  }

  switch (action.verb) {
    case tag::Verb::kDrop:
      if (verdict.reason != Reason::kTagRule) {
        verdict.reason = decision.rule == tag::kNoRule ? Reason::kDefaultDrop : Reason::kDenyRule;
      }
      return;
    case tag::Verb::kTrap:
      verdict.punted = true;
      verdict.reason = Reason::kTrapRule;
      break;
    case tag::Verb::kForward:
      break;
  }

  if (tag_rule != nullptr && tag_rule->action.meter != tag::kNoMeter) {
    // A prediction may slow a packet down, not lose it.
    work.Add(WorkItem::kUpdate);
    verdict.colour = set_.meters[tag_rule->action.meter].Mark(arrival.time, arrival.wire_bytes);
    if (verdict.colour == tag::Colour::kRed) verdict.queue = kLowestQueue;
  }
  if (action.meter != tag::kNoMeter) {
    work.Add(WorkItem::kUpdate);
    verdict.colour = set_.meters[action.meter].Mark(arrival.time, arrival.wire_bytes);
    if (verdict.colour == tag::Colour::kRed) {
      verdict.verb = tag::Verb::kDrop;
      verdict.reason = Reason::kMeterRed;
    }
  }
}

bool Device::Preinstall(const flow::FlowKey& key, const tag::EntryKey& entry, std::uint64_t next_use,
                        Nanos now, Work& work) {
  for (const Write& write : writes_) {
    if (write.entry == entry) return true;
  }
  if (!TakeToken(now)) return false;
  writes_.push_back({entry, set_.rules.Classify(key, work), next_use});
  return true;
}

void Device::ApplyWrites(Nanos now, Work& work) {
  for (const Write& write : writes_) {
    const bool installed = Put(write.entry, cache_.HashOf(write.entry), write.decision,
                               tag::InstallCause::kPredicted, write.next_use, now, work);
    if (installed) {
      ++counters_.installs_predicted;
    } else {
      tokens_ += kToken;  // nothing was written
    }
  }
  writes_.clear();
}

bool Device::Put(const tag::EntryKey& entry, std::uint64_t hash, const tag::Decision& decision,
                 tag::InstallCause cause, std::uint64_t next_use, Nanos now, Work& work) {
  tag::FlowCache::Install install;
  install.key = entry;
  install.decision = decision;
  install.generation = set_.rules.generation();
  install.ready = now + config_.install_latency;
  install.cause = cause;
  install.next_use = config_.arm == Arm::kOracle ? next_use : 0;
  const tag::FlowCache::Evicted evicted = cache_.Put(install, hash, work);
  if (evicted.any && evicted.was_unused_prediction) ++counters_.predicted_wasted;
  return evicted.installed;
}

bool Device::TakeToken(Nanos now) {
  const std::int64_t elapsed = std::min<std::int64_t>((now - tokens_at_).count(), kBurstTokens);
  tokens_at_ = now;
  tokens_ = std::min(kBurstTokens, tokens_ + elapsed * config_.installs_per_second);
  if (tokens_ < kToken) return false;
  tokens_ -= kToken;
  return true;
}

}  // namespace foreflow::path
