// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/host.h"

#include <algorithm>
#include <utility>

#include "models/predict/oracle.h"
#include "models/tag/queue_by_header.h"

namespace foreflow::path {
namespace {

constexpr std::uint32_t kProbation = 32;  // outcomes before a governor may open
constexpr std::size_t kSpeakers = 4096;
constexpr std::size_t kFalsehoodsTried = 64;  // candidates the anti-oracle looks at
constexpr std::uint16_t kCertain = 65535;

std::size_t PendingSlots(std::uint32_t pending) {
  std::size_t slots = 1;
  while (slots <= pending) slots *= 2;
  return slots;
}

flow::FlowKey Reverse(const flow::FlowKey& key, flow::VmId vm) {
  flow::FlowKey reverse = key;
  std::swap(reverse.source_address, reverse.destination_address);
  std::swap(reverse.source_port, reverse.destination_port);
  reverse.vm = vm;
  return reverse;
}

tag::VmProfile::Config ProfileConfig(const PathConfig& config, flow::VmId id) {
  tag::VmProfile::Config profile;
  profile.vm = id;
  profile.peers = config.peers_per_vm;
  profile.successors = config.successors;
  profile.predictor = config.predictor;
  profile.seed = config.seed;
  return profile;
}

}  // namespace

Host::Vm::Vm(const PathConfig& config, flow::VmId id)
    : profile(ProfileConfig(config, id)),
      destination_governors{predict::Governor(config.destination_costs, config.governor_margin, kProbation),
                            predict::Governor(config.destination_costs, config.governor_margin, kProbation)},
      type_governor(config.type_costs, config.governor_margin, kProbation) {}

Host::Host(const PathConfig& config, const Future* future, Device& device, Counters& counters)
    : config_(config),
      future_(future),
      device_(device),
      counters_(counters),
      hash_(config.seed),
      labeler_(config.label_horizon, config.label_pending),
      sealer_(config.tag_master_key, config.vms) {
  if (!Predicts()) return;
  vms_.reserve(config.vms);
  for (std::uint32_t id = 1; id <= config.vms; ++id) {
    vms_.push_back(std::make_unique<Vm>(config, static_cast<flow::VmId>(id)));
  }
  pending_.resize(PendingSlots(config.label_pending));
  speakers_.resize(kSpeakers);
  counters_.destination_break_even =
      predict::Governor(config.destination_costs, config.governor_margin, kProbation).BreakEven();
  counters_.type_break_even =
      predict::Governor(config.type_costs, config.governor_margin, kProbation).BreakEven();
  if (config.arm == Arm::kOracle || config.arm == Arm::kAntiOracle) {
    uses_ = UsesOf(*future, device.rules());
    next_use_of_ = uses_.first_use;
  }
}

void Host::Process(const Arrival& arrival, Tagged& tagged, StageWork& work) {
  tagged.has_tag = false;
  current_ = CurrentPacket{};
  current_.number = packets_++;
  current_.parsed = Parse(arrival, current_.parse_work);
  if (!current_.parsed.decidable) return;
  Work uncharged;  // the device charges for its own look at the port classes
  current_.entry = device_.rules().EntryKeyOf(current_.parsed.key, uncharged);
  if (!Predicts()) return;

  const std::uint64_t number = current_.number;
  if (!uses_.entry.empty()) {
    current_.next_use = uses_.next_use[number];
    next_use_of_[uses_.entry[number]] = current_.next_use;
  }
  work[Stage::kProfile] += current_.parse_work;
  work[Stage::kProfile] += uncharged;
  const predict::PacketSummary summary =
      predict::Summarise(current_.parsed.packet, current_.parsed.key, arrival.sent, arrival.wire_bytes);
  labeler_.Push(number, summary);
  LearnFromLabels(work);

  if (config_.arm == Arm::kOracle) PreinstallTruth(arrival, work);
  if (arrival.vm == 0 || arrival.vm > vms_.size()) return;
  Speaker& speaker = SpeakerAt(current_.parsed.key.source_address);
  speaker.address = current_.parsed.key.source_address;
  speaker.vm = arrival.vm;

  Vm& vm = *vms_[arrival.vm - 1u];
  const tag::VmProfile::Observation seen = vm.profile.Observe(summary, current_.entry, work[Stage::kProfile]);
  Tag(arrival, vm, seen.context, tagged, work);

  if (!seen.moved || config_.arm == Arm::kOracle) return;
  Outstanding::Outcome outcome;
  vm.outstanding.Resolve(current_.entry, arrival.sent, vm.destination_governors, outcome);
  Count(outcome);
  if (config_.arm == Arm::kAntiOracle) {
    PreinstallFalsehood(arrival, vm, work);
  } else {
    PreinstallSuccessors(arrival, vm, seen.destination, work);
    PreinstallReply(arrival, work);
  }
}

void Host::LearnFromLabels(StageWork& work) {
  predict::Label label;
  while (labeler_.Pop(label)) {
    const PendingType& pending = pending_[label.packet & (pending_.size() - 1)];
    if (pending.vm == 0 || pending.packet != label.packet) continue;  // not predicted, or its place was taken
    vms_[pending.vm - 1u]->profile.LearnType(pending.context, label.type, work[Stage::kProfile]);
    ScoreType(pending, label.type, work[Stage::kProfile]);
  }
}

// A type prediction matters where it chooses another queue than the header does. There it is right when the
// true type's queue is the one it chose, and wrong when the header had been right.
void Host::ScoreType(const PendingType& pending, predict::PacketType truth, Work& work) {
  if (pending.tag_queue == pending.header_queue) return;
  const std::uint8_t right = QueueOfTag(pending.vm, truth, kCertain, pending.header_queue, work);
  if (right != pending.tag_queue && right != pending.header_queue) return;
  const bool hit = right == pending.tag_queue;
  vms_[pending.vm - 1u]->type_governor.Record(hit);
  ++counters_.types_scored;
  if (hit) ++counters_.types_hit;
}

std::uint8_t Host::QueueOfTag(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                              std::uint8_t otherwise, Work& work) const {
  tag::PredictionTag tag;
  tag.vm = vm;
  tag.type = type;
  tag.confidence = confidence;
  const tag::TagRule* rule = device_.tag_rules().Match(tag, work);
  return rule == nullptr || rule->action.queue == tag::kNoQueue ? otherwise : rule->action.queue;
}

predict::Prediction Host::PredictType(const Vm& vm, const predict::Context& context, Work& work) const {
  switch (config_.arm) {
    case Arm::kOracle:
      return predict::TruePrediction(future_->type(current_.number));
    case Arm::kAntiOracle:
      return predict::FalsePrediction(future_->type(current_.number));
    default:
      return vm.profile.PredictType(context, work);
  }
}

void Host::Tag(const Arrival& arrival, Vm& vm, const predict::Context& context, Tagged& tagged,
               StageWork& work) {
  const predict::Prediction prediction = PredictType(vm, context, work[Stage::kPredict]);
  PendingType& pending = pending_[current_.number & (pending_.size() - 1)];
  pending.packet = current_.number;
  pending.context = context;
  pending.vm = arrival.vm;
  pending.header_queue = tag::QueueByHeader(current_.parsed.key, current_.parsed.packet.dscp);
  pending.tag_queue = QueueOfTag(arrival.vm, prediction.type, prediction.confidence, pending.header_queue,
                                 work[Stage::kPredict]);
  if (config_.arm != Arm::kOracle && !vm.type_governor.IsOpen()) return;
  tagged.tag = sealer_.Seal(arrival.vm, prediction.type, prediction.confidence, current_.parsed.key,
                            arrival.wire_bytes, work[Stage::kTagSeal]);
  tagged.has_tag = true;
}

void Host::PreinstallSuccessors(const Arrival& arrival, Vm& vm, predict::DestinationId from,
                                StageWork& work) {
  std::array<predict::NextDestination, 8> next;
  const std::size_t limit = std::min<std::size_t>(config_.lookahead, next.size());
  const std::size_t count = vm.profile.PredictDestinations(from, next.data(), limit, work[Stage::kPredict]);
  for (std::size_t i = 0; i < count; ++i) {
    if (next[i].confidence < config_.minimum_confidence) continue;
    Consider(arrival, vm, vm.profile.KeyOf(next[i].destination), Source::kSuccessor, work);
  }
}

void Host::PreinstallReply(const Arrival& arrival, StageWork& work) {
  const flow::FlowKey& key = current_.parsed.key;
  const Speaker& other = SpeakerAt(key.destination_address);
  if (other.vm == 0 || other.vm == arrival.vm || other.address != key.destination_address) return;
  Consider(arrival, *vms_[other.vm - 1u], Reverse(key, other.vm), Source::kReply, work);
}

void Host::Consider(const Arrival& arrival, Vm& vm, const flow::FlowKey& key, Source source,
                    StageWork& work) {
  Work& stage = work[Stage::kPreinstall];
  const tag::EntryKey entry = device_.rules().EntryKeyOf(key, stage);
  stage.Add(WorkItem::kProbe);
  if (device_.Holds(entry)) return;
  Outstanding::Outcome outcome;
  const bool fresh = vm.outstanding.Add(entry, source, arrival.sent + config_.destination_horizon,
                                        vm.destination_governors, outcome);
  Count(outcome);
  if (!fresh || !vm.destination_governors[static_cast<std::size_t>(source)].IsOpen()) return;
  device_.Preinstall(key, entry, 0, arrival.time, stage);
}

// Sees to it that what arrives until the next packet's installs could take effect is on the device: just in
// time, so that what is installed early displaces as little as possible.
void Host::PreinstallTruth(const Arrival& arrival, StageWork& work) {
  const std::size_t number = current_.number;
  const Nanos next = number + 1 < future_->size() ? future_->time(number + 1) : arrival.time;
  const Nanos until = next + config_.install_latency;
  prefetched_ = std::max(prefetched_, number + 1);
  for (; prefetched_ < future_->size() && future_->time(prefetched_) <= until; ++prefetched_) {
    if (!future_->decidable(prefetched_)) continue;
    const flow::FlowKey& key = future_->key(prefetched_);
    const tag::EntryKey entry = device_.rules().EntryKeyOf(key, work[Stage::kPreinstall]);
    if (device_.Holds(entry)) continue;
    if (!device_.Preinstall(key, entry, prefetched_, arrival.time, work[Stage::kPreinstall])) return;
  }
}

// Predicts entries that will not be used within the horizon; where all soon are, the one farthest away.
void Host::PreinstallFalsehood(const Arrival& arrival, Vm& vm, StageWork& work) {
  const std::size_t entries = next_use_of_.size();
  for (std::uint8_t wrong = 0; wrong < config_.lookahead; ++wrong) {
    std::size_t farthest = falsehood_ % entries;
    for (std::size_t tried = 0; tried < std::min(kFalsehoodsTried, entries); ++tried) {
      const std::size_t candidate = (falsehood_ + tried) % entries;
      if (next_use_of_[candidate] > next_use_of_[farthest]) farthest = candidate;
    }
    falsehood_ = (farthest + 1) % entries;
    Consider(arrival, vm, future_->key(uses_.first_use[farthest]), Source::kSuccessor, work);
  }
}

Host::Speaker& Host::SpeakerAt(const std::array<std::uint8_t, 16>& address) {
  flow::FlowKey key;
  key.source_address = address;
  return speakers_[hash_(&key) & (kSpeakers - 1)];
}

void Host::Count(const Outstanding::Outcome& outcome) {
  counters_.destinations_hit += outcome.hits;
  counters_.destinations_scored += outcome.hits + outcome.misses;
}

}  // namespace foreflow::path
