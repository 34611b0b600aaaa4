// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/host.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "models/path/vm_map.h"
#include "models/predict/oracle.h"
#include "models/tag/queue_by_header.h"

namespace foreflow::path {
namespace {

constexpr std::uint32_t kProbation = 32;  // outcomes before a governor may open
constexpr std::size_t kSpeakers = 4096;
constexpr std::size_t kFalsehoodsTried = 64;  // candidates the anti-oracle looks at
constexpr std::size_t kPacketsAhead = 4096;   // the oracle looks at; bounds its work where many come at once
constexpr std::size_t kRulesAhead = 64;
constexpr Nanos kLongestUse = Seconds(1);  // that a silent VM is expected to have for a rule
constexpr std::int64_t kFirstLook = 4;     // at a silence: after that part of the mean gap,
constexpr std::int64_t kNextLook = 2;      // and again when it has grown by that part of itself
constexpr double kDemandUnit = 16;         // of a packet a second
constexpr double kMostDemand = 1e7;
constexpr std::uint16_t kCertain = 65535;
constexpr std::uint64_t kLearntAhead = 8;  // labels whose memory is on its way
constexpr std::size_t kToldPlaces = 32;    // of a VM: what others say and is not proved yet

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

// Of a predicted destination's entry: whether it is the current packet's.
void CountComparingIt(Work& work) {
  work.Add(WorkItem::kHash);
  work.Add(WorkItem::kProbe);
}
// Whether the device holds it, whether it waits already.
void CountLookingForIt(Work& work) {
  work.Add(WorkItem::kHash);
  work.Add(WorkItem::kProbe, 2);
  work.Add(WorkItem::kCacheLine, 5);
}

// What stands for a rule where entries are waited for: no packet has such an entry.
rules::EntryKey EntryOfRule(std::uint32_t rank) {
  rules::EntryKey entry;
  std::memcpy(entry.fields.source_address.data(), &rank, sizeof(rank));
  entry.fields.l3 = 0xff;
  return entry;
}

tag::VmProfile::Config ProfileConfig(const PathConfig& config, flow::VmId id) {
  tag::VmProfile::Config profile;
  profile.vm = id;
  profile.peers = config.peers_per_vm;
  profile.successors = config.successors;
  if (config.UsesModels()) {
    profile.predictor = std::nullopt;
  } else {
    profile.predictor = config.predictor;
  }
  profile.seed = config.seed;
  return profile;
}

predict::TieredConfig ModelsConfig(const PathConfig& config) {
  predict::TieredConfig models;
  models.table = config.table;
  models.network = config.network;
  models.conversations = config.conversations;
  models.readings_per_second = config.readings_per_second;
  models.vms = config.vms;
  return models;
}

}  // namespace

Host::Vm::Vm(const PathConfig& config, flow::VmId id, std::size_t told_places)
    : profile(ProfileConfig(config, id)),
      destination_governors{predict::Governor(config.destination_costs, config.governor_margin, kProbation),
                            predict::Governor(config.destination_costs, config.governor_margin, kProbation)},
      types{MakeTypeGovernors(config)},
      told_types{MakeTypeGovernors(config)},
      told_governor(config.destination_costs, config.governor_margin, kProbation),
      told(told_places),
      settled(config.peers_per_vm) {
  const bool uses_rules = config.rule_slots > 0 && config.arm == Arm::kPredictive;
  if (uses_rules) rule_use = std::make_unique<RuleUse>(config.peers_per_vm);
}

Host::TypeGovernors Host::MakeTypeGovernors(const PathConfig& config) {
  const predict::Governor ahead(config.promotion_costs, 0, kProbation);
  const predict::Governor back(config.demotion_costs, 0, kProbation);
  TypeGovernors governors{{{ahead, back},
                           {ahead, back},
                           {ahead, back},
                           {ahead, back},
                           {ahead, back},
                           {ahead, back},
                           {ahead, back}}};
  static_assert(predict::kPacketTypes == 7, "one pair a type");
  return governors;
}

Host::Host(const PathConfig& config, const Future* future, Device& device, Counters& counters)
    : config_(config),
      future_(future),
      device_(device),
      counters_(counters),
      hash_(config.seed),
      speculations_{Speculations(PlacesOfSpeculations()), Speculations(PlacesOfSpeculations())},
      rehearsal_(Predicts() && device.rule_tier() == nullptr ? config.flow_entries : 1,
                 config.install_latency, config.vm_bound()),
      type_governors_(MakeTypeGovernors(config)),
      destination_governors_{predict::Governor(config.destination_costs, config.governor_margin, kProbation),
                             predict::Governor(config.destination_costs, config.governor_margin, kProbation)},
      told_type_governors_(MakeTypeGovernors(config)),
      told_types_(config.arm == Arm::kPredictive ? config.vms : 0),
      labeler_(config.label_horizon, config.label_pending),
      sealer_(config.tag_master_key, config.vms),
      bursts_(config.tag_scope == TagScope::kPerBurst ? config.vms : 0, config.burst_time) {
  if (!Predicts()) return;
  vms_.reserve(config.vms);
  const std::size_t told_places =
      config.arm == Arm::kPredictive ? std::min(kToldPlaces, PlacesOfSpeculations()) : 0;
  for (std::uint32_t id = 1; id <= config.vms; ++id) {
    vms_.push_back(std::make_unique<Vm>(config, static_cast<flow::VmId>(id), told_places));
  }
  waits_.reserve(config.vms);
  pending_.resize(PendingSlots(config.label_pending));
  if (config.UsesModels()) {
    models_ = std::make_unique<predict::TieredPredictor>(ModelsConfig(config));
    guesses_.resize(pending_.size());
  }
  speakers_.resize(kSpeakers);
  counters_.destination_break_even =
      predict::Governor(config.destination_costs, config.governor_margin, kProbation).BreakEven();
  for (std::size_t direction : {0u, 1u}) {
    counters_.type_break_even[direction] = type_governors_[0][direction].BreakEven();
  }
  if (config.arm == Arm::kOracle || config.arm == Arm::kAntiOracle) {
    uses_ = device.rule_tier() != nullptr ? device.rule_tier()->uses() : UsesOf(*future, device.rules());
    next_use_of_ = uses_.first_use;
  }
}

// Of rules, more than the device grants to unused predictions: it takes the next of each VM first.
std::size_t Host::PlacesOfSpeculations() const {
  if (!Predicts()) return 0;
  const std::size_t share = device_.prediction_share();
  return device_.rule_tier() != nullptr && share > 0 ? std::max<std::size_t>(share, kRulesAhead) : share;
}

void Host::Prepare(const Parsed& parsed, CurrentPacket& current) {
  current.parsed = &parsed;
  current.number = packets_++;
  current.next_use = 0;
  if (!parsed.decidable) return;
  Work counted_by_process;
  current.entry = device_.rules().EntryKeyOf(parsed.key, parsed.packet.outer_vlan, counted_by_process);
  current.device_hash = device_.cache().HashOf(current.entry);
  device_.cache().PrefetchBucket(current.device_hash);
  if (!Predicts()) return;
  current.rehearsal_hash = rehearsal_.HashOf(current.entry);
  rehearsal_.PrefetchBucket(current.rehearsal_hash);
  current.host_hash = rules::HashOf(hash_, current.entry);
  current.conversation = labeler_.KeyOf(parsed.key);
  labeler_.PrefetchBucket(current.conversation);
  if (models_ != nullptr) models_->Prefetch(current.conversation.hash);
}

void Host::Prefetch(const Arrival& arrival, const CurrentPacket& current) const {
  if (!current.parsed->decidable) return;
  device_.cache().PrefetchEntry(current.device_hash);
  if (!Predicts()) return;
  rehearsal_.PrefetchEntry(current.rehearsal_hash);
  labeler_.PrefetchConversation(current.conversation);
  __builtin_prefetch(&pending_[current.number & (pending_.size() - 1)], 1);
  if (models_ != nullptr) __builtin_prefetch(&guesses_[current.number & (guesses_.size() - 1)], 1);
  if (arrival.vm != 0 && arrival.vm <= vms_.size())
    vms_[arrival.vm - 1u]->profile.Prefetch(current.host_hash);
}

void Host::Follow(const Arrival& arrival, CurrentPacket& current) {
  if (!current.parsed->decidable || !Predicts()) return;
  current.summary =
      predict::Summarise(current.parsed->packet, current.parsed->key, arrival.sent, arrival.wire_bytes);
  if (arrival.vm == 0 || arrival.vm > vms_.size()) return;
  tag::VmProfile& profile = vms_[arrival.vm - 1u]->profile;
  current.context = profile.Follow(current.summary);
  profile.PrefetchNeighbours(current.host_hash);
}

void Host::Read(const Arrival* const* arrivals, CurrentPacket* current, std::size_t count) {
  if (models_ == nullptr) return;
  std::array<predict::TieredPredictor::Item, kBurst> items;
  static_assert(kBurst <= predict::TieredPredictor::kBurst);
  std::size_t decidable = 0;
  for (std::size_t i = 0; i < count; ++i) {
    CurrentPacket& packet = current[i];
    if (!packet.parsed->decidable) continue;
    const Arrival& arrival = *arrivals[i];
    packet.reading_work = Work{};
    predict::TieredPredictor::Item& item = items[decidable++];
    item.packet = &packet.summary;
    item.hash = packet.conversation.hash;
    item.direction = packet.conversation.direction;
    item.is_wanted = arrival.vm != 0 && arrival.vm <= vms_.size();
    item.now = arrival.time;
    item.reading = &packet.reading;
    item.work = &packet.reading_work;
  }
  models_->Read(items.data(), decidable);
  for (std::size_t i = 0; i < count; ++i) {
    const CurrentPacket& packet = current[i];
    const flow::VmId vm = arrivals[i]->vm;
    if (packet.parsed->decidable && vm != 0 && vm <= vms_.size()) {
      models_->PrefetchMixture(packet.reading, vm, packet.context);
    }
  }
}

void Host::Process(const Arrival& arrival, CurrentPacket& current, Tagged& tagged, tag::TagMac& seal,
                   StageWork& work) {
  tagged.has_tag = false;
  tagged.is_covered = false;
  seal.key = nullptr;
  if (!current.parsed->decidable || !Predicts()) return;

  current_ = &current;
  const std::uint64_t number = current.number;
  if (!uses_.entry.empty() && uses_.entry[number] != EntryUses::kNone) {
    current.next_use = uses_.next_use[number];
    next_use_of_[uses_.entry[number]] = current.next_use;
  }
  work[Stage::kProfile] += current.parsed->work;
  // Not where the host does not predict: the device charges for its own look at the port classes.
  rules::RuleTable::CountEntryKey(work[Stage::kProfile]);
  labeler_.Push(number, current.summary, current.conversation);
  // Its conversation is looked up, and its place in the ring is written.
  work[Stage::kProfile].Add(WorkItem::kHash);
  work[Stage::kProfile].Add(WorkItem::kCacheLine, 3);
  work[Stage::kProfile].Add(WorkItem::kUpdate, 2);
  if (models_ != nullptr) work[Stage::kPredict] += current.reading_work;
  LearnFromLabels(arrival, work);

  RuleTier* const tier = device_.rule_tier();
  if (config_.arm == Arm::kOracle) {
    tier != nullptr ? PreinstallTrueRules(arrival) : PreinstallTruth(arrival, work);
  } else if (tier == nullptr) {
    rehearsal_.See(current_->entry, current_->rehearsal_hash, device_.rules().changes(), arrival.time,
                   work[Stage::kProfile]);
  }
  if (!waits_.empty()) FollowSilences(arrival, work);
  if (arrival.vm == 0 || arrival.vm > vms_.size()) return;
  const Station sender = StationOf(current_->parsed->packet.source_mac, current_->parsed->key.source_address);
  SpeakerAt(sender, work[Stage::kProfile]) = {sender, arrival.vm};

  Vm& vm = *vms_[arrival.vm - 1u];
  tag::VmProfile::Observation seen;
  vm.profile.Observe(current_->context, current_->summary, current_->entry, current_->host_hash, seen,
                     work[Stage::kProfile]);
  Tag(arrival, vm, seen.context, tagged, seal, work);
  if (seen.is_new) {
    vm.settled[seen.destination] = Settled{};
    vm.settled[seen.destination].generation = device_.rules().generation();
  }

  // A profile does not know the destinations of packets with more source addresses than it keeps.
  const bool is_known = seen.destination != tag::VmProfile::kNoDestination;
  current_rule_ = RuleTier::kNone;
  if (tier != nullptr && is_known) {
    current_rule_ = RuleOf(vm, seen.destination, work[Stage::kPreinstall]);
    if (vm.rule_use != nullptr) FollowRule(arrival, vm, work);
  }
  if (!seen.moved) return;
  if (vm.turns++ == 0) vm.first_turn = arrival.time;
  vm.latest_turn = arrival.time;
  if (config_.arm == Arm::kOracle || device_.prediction_share() == 0) return;
  if (vm.rule_use == nullptr) ScoreDestinations(arrival, work[Stage::kPreinstall]);
  if (config_.arm == Arm::kAntiOracle) {
    PreinstallFalsehood(arrival, work);
  } else {
    if (vm.rule_use == nullptr) PreinstallSuccessors(arrival, vm, seen.destination, work);
    PreinstallReply(arrival, work);
  }
}

void Host::LearnFromLabels(const Arrival& arrival, StageWork& work) {
  predict::Label label;
  while (labeler_.Pop(label)) {
    const PendingType& pending = pending_[label.packet & (pending_.size() - 1)];
    PrefetchLearning(label.packet + kLearntAhead);
    if (pending.vm == 0 || pending.packet != label.packet) continue;  // not predicted, or its place was taken
    LearnType(pending, label.type, arrival.time, work[Stage::kProfile]);
    ScoreTypes(pending, label.type, work[Stage::kProfile]);
  }
}

// Labels come in the order of packets: what the next ones teach is known beforehand.
void Host::PrefetchLearning(std::uint64_t packet) const {
  const std::uint64_t later = packet + kLearntAhead;
  __builtin_prefetch(&pending_[later & (pending_.size() - 1)]);
  if (models_ != nullptr) __builtin_prefetch(&guesses_[later & (guesses_.size() - 1)]);
  const PendingType& pending = pending_[packet & (pending_.size() - 1)];
  if (pending.vm == 0) return;
  if (models_ == nullptr) return vms_[pending.vm - 1u]->profile.PrefetchType(pending.context);
  models_->PrefetchMixture(guesses_[packet & (guesses_.size() - 1)], pending.vm, pending.context);
}

void Host::LearnType(const PendingType& pending, predict::PacketType truth, Nanos now, Work& work) {
  vms_[pending.vm - 1u]->profile.LearnType(pending.context, truth, work);
  if (models_ == nullptr) return;
  predict::TypeGuess& guess = GuessOf(pending.packet);
  ++counters_.types_by_tier[static_cast<std::size_t>(guess.Predicted())];
  if (guess.asked) ++counters_.fallback_asked;
  if (models_->Learn(guess, pending.vm, pending.context, pending.packet, truth, now, work)) {
    ++counters_.drift_alarms;
  }
}

void Host::ScoreTypes(const PendingType& pending, predict::PacketType truth, Work& work) {
  Vm& vm = *vms_[pending.vm - 1u];
  bool hit = false;
  if (ScoreType(pending, pending.own, truth, vm.types, type_governors_, hit, work)) {
    const std::size_t direction = pending.DirectionOf(pending.own);
    ++counters_.types_scored[direction];
    if (hit) ++counters_.types_hit[direction];
  }
  if (!pending.was_told) return;
  if (ScoreType(pending, pending.told, truth, vm.told_types, told_type_governors_, hit, work)) {
    ++counters_.told_types_scored;
    if (hit) ++counters_.told_types_hit;
  }
}

// A type prediction matters where it chooses another queue than the header does. It is right when the true
// type's queue lies on the same side of the header's.
bool Host::ScoreType(const PendingType& pending, const SaidType& said, predict::PacketType truth,
                     TypeScores& of_vm, TypeGovernors& of_host, bool& hit, Work& work) {
  if (said.tag_queue == pending.header_queue) return false;
  const std::uint8_t right = QueueOfTag(pending.vm, truth, kCertain, pending.header_queue, work);
  hit = said.tag_queue < pending.header_queue ? right < pending.header_queue : right > pending.header_queue;
  const auto type = static_cast<std::size_t>(said.type);
  const std::size_t direction = pending.DirectionOf(said);
  of_vm.governors[type][direction].Record(hit);
  ++of_vm.scored[type][direction];
  of_host[type][direction].Record(hit);
  return true;
}

std::uint8_t Host::QueueOfTag(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                              std::uint8_t otherwise, Work& work) const {
  tag::PredictionTag tag;
  tag.vm = vm;
  tag.type = type;
  tag.confidence = confidence;
  const tag::TagRule* rule = device_.tag_rules().Match(tag, work);
  return rule == nullptr || rule->action.queue == rules::kNoQueue ? otherwise : rule->action.queue;
}

predict::Prediction Host::PredictType(const Vm& vm, const CurrentPacket& current,
                                      const predict::Context& context, std::uint8_t header_queue,
                                      predict::TypeGuess& guess, Work& work) const {
  switch (config_.arm) {
    case Arm::kOracle:
      return predict::TruePrediction(future_->type(current.number));
    case Arm::kAntiOracle:
      return WorstPrediction(vm.profile.vm(), header_queue, work);
    default:
      if (models_ == nullptr) return vm.profile.PredictType(context, work);
      return models_->Predict(current.reading, vm.profile.vm(), context, guess, work);
  }
}

// The type whose queue is farthest from the true one's; between two, the one farther back.
predict::Prediction Host::WorstPrediction(flow::VmId vm, std::uint8_t header_queue, Work& work) const {
  const predict::PacketType truth = future_->type(current_->number);
  const int right = QueueOfTag(vm, truth, kCertain, header_queue, work);
  predict::PacketType worst = truth;
  int worst_queue = right;
  for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
    const auto type = static_cast<predict::PacketType>(i);
    if (type == truth) continue;
    const int queue = QueueOfTag(vm, type, kCertain, header_queue, work);
    const int error = std::abs(queue - right);
    const int worst_error = std::abs(worst_queue - right);
    if (worst == truth || error > worst_error || (error == worst_error && queue > worst_queue)) {
      worst = type;
      worst_queue = queue;
    }
  }
  return predict::CertainPrediction(worst);
}

bool Host::WritesTags(const TypeScores& of_vm, const TypeGovernors& of_host, const PendingType& pending,
                      const SaidType& said) const {
  if (config_.arm == Arm::kOracle) return true;
  const auto type = static_cast<std::size_t>(said.type);
  const std::size_t direction = pending.DirectionOf(said);
  return of_vm.scored[type][direction] < kProbation ? of_host[type][direction].IsOpen()
                                                    : of_vm.governors[type][direction].IsOpen();
}

void Host::Tag(const Arrival& arrival, Vm& vm, const predict::Context& context, Tagged& tagged,
               tag::TagMac& seal, StageWork& work) {
  const std::uint8_t header_queue = tag::QueueByHeader(current_->parsed->key, current_->parsed->packet.dscp);
  predict::TypeGuess none;
  predict::TypeGuess& guess = models_ == nullptr ? none : GuessOf(current_->number);
  predict::Prediction prediction =
      PredictType(vm, *current_, context, header_queue, guess, work[Stage::kPredict]);
  PendingType& pending = pending_[current_->number & (pending_.size() - 1)];
  pending.packet = current_->number;
  pending.context = context;
  pending.vm = arrival.vm;
  vm.type = prediction.type;
  vm.type_confidence = prediction.confidence;
  pending.header_queue = header_queue;
  pending.own.type = prediction.type;
  pending.own.tag_queue =
      QueueOfTag(arrival.vm, prediction.type, prediction.confidence, header_queue, work[Stage::kPredict]);
  pending.was_told = false;
  const ToldTypes::Word* const word =
      config_.arm == Arm::kPredictive
          ? told_types_.See(current_->entry, current_->host_hash, arrival.time, work[Stage::kPredict])
          : nullptr;
  // What others say counts where it is no less sure.
  if (word != nullptr && word->confidence >= prediction.confidence) {
    pending.was_told = true;
    pending.told.type = word->type;
    pending.told.tag_queue =
        QueueOfTag(arrival.vm, word->type, word->confidence, header_queue, work[Stage::kPredict]);
  }
  const bool as_told =
      pending.was_told && WritesTags(vm.told_types, told_type_governors_, pending, pending.told);
  if (!as_told && !WritesTags(vm.types, type_governors_, pending, pending.own)) return;
  const SaidType& said_type = as_told ? pending.told : pending.own;
  if (as_told) {
    prediction.type = word->type;
    prediction.confidence = word->confidence;
    ++counters_.tags_as_told;
  }
  const flow::FlowKey& flow = current_->parsed->key;
  std::uint8_t covers = 0;
  if (config_.tag_scope == TagScope::kPerBurst) {
    const tag::BurstTags::Burst* burst = bursts_.Find(flow, arrival.time, work[Stage::kTagSeal]);
    if (burst != nullptr && burst->type == prediction.type && burst->queue == said_type.tag_queue) {
      bursts_.Take(flow);
      tagged.is_covered = true;
      return;
    }
    covers = static_cast<std::uint8_t>(config_.burst_packets - 1);
    tag::PredictionTag said;
    said.type = prediction.type;
    said.confidence = prediction.confidence;
    said.covers = covers;
    bursts_.Open(flow, said, said_type.tag_queue, arrival.time, work[Stage::kTagSeal]);
  }
  sealer_.Begin(arrival.vm, prediction.type, prediction.confidence, flow, arrival.wire_bytes, tagged.tag,
                seal, work[Stage::kTagSeal], covers);
  tagged.has_tag = true;
}

void Host::Describe(const Arrival& arrival, const CurrentPacket& current, Description& description) const {
  description.number = current.number;
  const PendingType& pending = pending_[current.number & (pending_.size() - 1)];
  const bool is_profiled =
      current.parsed->decidable && Predicts() && arrival.vm != 0 && arrival.vm <= vms_.size();
  if (!is_profiled) return;
  const Vm& vm = *vms_[arrival.vm - 1u];
  const auto type = static_cast<std::size_t>(pending.own.type);
  const std::size_t direction = pending.DirectionOf(pending.own);
  Work uncounted;
  description.type = Description::Type();
  Description::Type& described = *description.type;
  described.context = pending.context;
  // Nothing was learnt since the packet's own prediction, so it is the same.
  predict::TypeGuess guess;
  described.prediction = PredictType(vm, current, pending.context, pending.header_queue, guess, uncounted);
  if (models_ != nullptr) {
    described.tier = guess.Predicted();
    described.models = Description::Models();
    described.models->reading = current.reading;
    described.models->guess = guess;
    described.models->pressure = models_->mixture(arrival.vm).pressure();
    described.models->sharpness = models_->sharpness();
  }
  described.header_queue = pending.header_queue;
  described.tag_queue = pending.own.tag_queue;
  described.follows_host = vm.types.scored[type][direction] < kProbation;
  described.governor = Description::Of(described.follows_host ? type_governors_[type][direction]
                                                              : vm.types.governors[type][direction]);
  const RuleTier* const tier = device_.rule_tier();
  for (const Source source : {Source::kSuccessor, Source::kReply}) {
    const auto from = static_cast<std::size_t>(source);
    description.destination_governors[from] =
        Description::Of(tier != nullptr ? GovernorOf(arrival.vm, source) : vm.destination_governors[from]);
  }
  description.rehearsal_allows = tier != nullptr ? tier->AllowsPredictions() : rehearsal_.AllowsPredictions();
  if (config_.arm == Arm::kPredictive) DescribeDestinations(vm, description);
}

// As PreinstallSuccessors goes, without asking for anything, and on below the least confidence.
template <typename Found>
void Host::FollowChain(const Vm& vm, const Found& found) const {
  std::uint32_t chain = kCertain;
  predict::DestinationId from = vm.profile.last_destination();
  for (std::uint8_t step = 1; step <= config_.lookahead && from != tag::VmProfile::kNoDestination; ++step) {
    std::array<predict::NextDestination, 2> next;
    Work uncounted;
    const std::size_t count = vm.profile.PredictDestinations(from, next.data(), next.size(), uncounted);
    for (std::size_t i = 0; i < count; ++i) {
      const auto confidence = static_cast<std::uint16_t>(chain * next[i].confidence / kCertain);
      if (!found(next[i].destination, step, confidence)) return;
    }
    if (count == 0) return;
    chain = chain * next[0].confidence / kCertain;
    from = next[0].destination;
  }
}

void Host::DescribeDestinations(const Vm& vm, Description& description) const {
  FollowChain(vm, [&](predict::DestinationId id, std::uint8_t step, std::uint16_t confidence) {
    Description::Destination destination;
    destination.key = vm.profile.KeyOf(id);
    destination.confidence = confidence;
    destination.step = step;
    destination.is_resident = IsResident(destination.key, vm.profile.VlanOf(id));
    description.next.push_back(destination);
    return true;
  });
}

std::size_t Host::Expect(flow::VmId id, Expectation* out, std::size_t limit) const {
  if (id == 0 || id > vms_.size() || limit == 0) return 0;
  const Vm& vm = *vms_[id - 1u];
  const Nanos turn =
      vm.turns < 2 ? Nanos() : (vm.latest_turn - vm.first_turn) / static_cast<std::int64_t>(vm.turns - 1);
  std::size_t count = 0;
  FollowChain(vm, [&](predict::DestinationId destination, std::uint8_t step, std::uint16_t confidence) {
    Expectation& expected = out[count++];
    expected.key = vm.profile.KeyOf(destination);
    expected.vlan = vm.profile.VlanOf(destination);
    expected.confidence = confidence;
    expected.horizon = turn * step;
    expected.type = vm.type;
    expected.type_confidence = vm.type_confidence;
    return count < limit;
  });
  return count;
}

bool Host::TakeExpectation(const Expectation& expected, Nanos now, Work& work) {
  const flow::VmId id = expected.key.vm;
  if (config_.arm != Arm::kPredictive || id == 0 || id > vms_.size()) return false;
  const rules::EntryKey entry = device_.rules().EntryKeyOf(expected.key, expected.vlan, work);
  if (expected.type_confidence > 0) {
    told_types_.Tell(entry, rules::HashOf(hash_, entry), {expected.type, expected.type_confidence},
                     expected.horizon, now);
  }
  if (expected.confidence < config_.minimum_confidence) return false;
  if (expected.horizon > Nanos() && expected.horizon < config_.install_latency) return false;
  if (device_.prediction_share() == 0) return false;
  Vm& vm = *vms_[id - 1u];
  Speculations::Guess guess;
  guess.ready = now + config_.install_latency;
  guess.vm = id;
  RuleTier* const tier = device_.rule_tier();
  std::uint32_t rank = RuleTier::kNone;
  if (tier != nullptr) {
    rank = tier->RankOf(device_.rules().Classify(expected.key, expected.vlan, work));
    if (rank == RuleTier::kNone || tier->Holds(rank)) return false;
    guess.entry = EntryOfRule(rank);
  } else {
    guess.entry = entry;
    CountLookingForIt(work);
    if (device_.Holds(entry)) return false;
  }
  guess.hash = rules::HashOf(hash_, guess.entry);
  if (!IsBelieved(vm, guess)) return false;
  if (tier != nullptr) {
    device_.PreinstallRule({rank, true, expected.confidence}, id);
  } else if (!device_.Preinstall(expected.key, entry, 0, now, work)) {
    return false;
  }
  // Now: its decision is of the rules that are in use now.
  const std::uint64_t before = counters_.installs_predicted;
  device_.ApplyWrites(now, work);
  return counters_.installs_predicted > before;
}

bool Host::IsBelieved(Vm& vm, const Speculations::Guess& guess) {
  Speculations::Guess wrong;
  if (!vm.told.Waits(guess.entry, guess.hash) && vm.told.Add(guess, wrong)) ScoreTold(vm, false);
  return vm.told_scored < kProbation || vm.told_governor.IsOpen();
}

void Host::ScoreTold(Vm& vm, bool hit) {
  vm.told_governor.Record(hit);
  ++vm.told_scored;
  ++counters_.told_destinations_scored;
  if (hit) ++counters_.told_destinations_hit;
}

// Follows the likeliest chain of destinations from here, as deep as it stays likely: the farther ahead an
// entry is asked for, the surer it is ready in time. Beside each step, the second likeliest.
void Host::PreinstallSuccessors(const Arrival& arrival, Vm& vm, predict::DestinationId from,
                                StageWork& work) {
  const std::size_t steps = std::min<std::size_t>(config_.lookahead, device_.prediction_share());
  const predict::DestinationId current = from;
  std::uint32_t chain = kCertain;
  for (std::size_t step = 0; step < steps; ++step) {
    std::array<predict::NextDestination, 2> next;
    const std::size_t count =
        vm.profile.PredictDestinations(from, next.data(), next.size(), work[Stage::kPredict]);
    for (std::size_t i = 0; i < count; ++i) {
      if (chain * next[i].confidence / kCertain < config_.minimum_confidence) break;
      work[Stage::kPreinstall].Add(WorkItem::kCacheLine);  // the destination's key
      const predict::DestinationId destination = next[i].destination;
      if (IsSettled(vm, current, destination, work[Stage::kPreinstall])) continue;
      Consider(arrival, vm.profile.KeyOf(destination), vm.profile.VlanOf(destination), Source::kSuccessor,
               vm.settled[destination], work);
    }
    if (count == 0) return;
    chain = chain * next[0].confidence / kCertain;
    if (chain < config_.minimum_confidence) return;
    from = next[0].destination;
  }
}

void Host::PreinstallReply(const Arrival& arrival, StageWork& work) {
  const flow::FlowKey& key = current_->parsed->key;
  const Station receiver = StationOf(current_->parsed->packet.destination_mac, key.destination_address);
  const Speaker& other = SpeakerAt(receiver, work[Stage::kPreinstall]);
  if (other.vm == 0 || other.vm == arrival.vm || !Equal(other.station, receiver)) return;
  const flow::FlowKey reply = Reverse(key, other.vm);
  const wire::VlanKey vlan = current_->parsed->packet.outer_vlan;  // both speak in one VLAN
  if (RuleTier* const tier = device_.rule_tier(); tier != nullptr) {
    const rules::Decision decision = device_.rules().Classify(reply, vlan, work[Stage::kPreinstall]);
    const std::uint16_t confidence = GovernorOf(other.vm, Source::kReply).HitRate();
    return ConsiderRule(arrival, {tier->RankOf(decision), true, confidence}, other.vm, Source::kReply, work);
  }
  Settled unused;
  Consider(arrival, reply, vlan, Source::kReply, unused, work);
}

// Counts what Consider does when it finds the same.
bool Host::IsSettled(const Vm& vm, predict::DestinationId current, predict::DestinationId destination,
                     Work& work) const {
  const std::uint64_t generation = device_.rules().generation();
  const Settled& settled = vm.settled[destination];
  // Both first seen under these rules: so they have different entries, and keep them.
  if (settled.generation != generation || vm.settled[current].generation != generation) return false;
  if (destination == current) {
    rules::RuleTable::CountEntryKey(work);
    CountComparingIt(work);
    return true;
  }
  if (settled.device != device_.cache().removals()) return false;
  const bool rehearses = vm.destination_governors[static_cast<std::size_t>(Source::kSuccessor)].IsOpen();
  if (rehearses && settled.rehearsal != rehearsal_.removals()) return false;
  rules::RuleTable::CountEntryKey(work);
  CountComparingIt(work);
  CountLookingForIt(work);
  return true;
}

void Host::Consider(const Arrival& arrival, const flow::FlowKey& key, wire::VlanKey vlan, Source source,
                    Settled& settled, StageWork& work) {
  Work& stage = work[Stage::kPreinstall];
  Speculations::Guess guess;
  guess.entry = device_.rules().EntryKeyOf(key, vlan, stage);
  guess.hash = rules::HashOf(hash_, guess.entry);
  guess.ready = arrival.time + config_.install_latency;
  guess.vm = key.vm;
  CountComparingIt(stage);
  if (guess.entry == current_->entry) return;
  const predict::Governor& governor =
      vms_[key.vm - 1u]->destination_governors[static_cast<std::size_t>(source)];
  settled.rehearsal = UINT64_MAX;
  if (governor.IsOpen()) {
    const bool is_there = rehearsal_.Predict(guess.entry, rehearsal_.HashOf(guess.entry),
                                             device_.rules().changes(), arrival.time, stage);
    if (is_there) settled.rehearsal = rehearsal_.removals();
  }

  Speculations& waiting = speculations_[static_cast<std::size_t>(source)];
  CountLookingForIt(stage);
  if (device_.Holds(guess.entry)) {
    settled.device = device_.cache().removals();
    return;
  }
  if (waiting.Waits(guess.entry, guess.hash)) return;
  Speculations::Guess wrong;
  stage.Add(WorkItem::kCacheLine, 3);
  stage.Add(WorkItem::kUpdate);
  if (waiting.Add(guess, wrong)) ScoreDestination(wrong, source, false);
  if (governor.IsOpen() && rehearsal_.AllowsPredictions()) {
    device_.Preinstall(key, guess.entry, 0, arrival.time, stage);
  }
}

void Host::ConsiderRule(const Arrival& arrival, const RuleTier::Prediction& rule, flow::VmId vm,
                        Source source, StageWork& work) {
  RuleTier& tier = *device_.rule_tier();
  Work& stage = work[Stage::kPreinstall];
  CountComparingIt(stage);
  const std::uint32_t rank = rule.rank;
  if (rank == RuleTier::kNone || rank == current_rule_) return;
  Speculations::Guess guess;
  guess.entry = EntryOfRule(rank);
  guess.hash = rules::HashOf(hash_, guess.entry);
  guess.ready = arrival.time + config_.install_latency;
  guess.vm = vm;
  AskForRule(rule, vm, source);
  Speculations& waiting = speculations_[static_cast<std::size_t>(source)];
  CountLookingForIt(stage);
  if (tier.Holds(rank)) return;
  if (waiting.Waits(guess.entry, guess.hash)) return;
  Speculations::Guess wrong;
  stage.Add(WorkItem::kCacheLine, 3);
  stage.Add(WorkItem::kUpdate);
  if (waiting.Add(guess, wrong)) ScoreDestination(wrong, source, false);
}

// A destination's packets share a flow entry, so one rule decides them all.
std::uint32_t Host::RuleOf(Vm& vm, predict::DestinationId destination, Work& work) {
  Settled& settled = vm.settled[destination];
  const std::uint64_t generation = device_.rules().generation();
  work.Add(WorkItem::kCacheLine);
  if (settled.rule == kUnknownRule || settled.rule_generation != generation) {
    const rules::Decision decision =
        device_.rules().Classify(vm.profile.KeyOf(destination), vm.profile.VlanOf(destination), work);
    settled.rule = device_.rule_tier()->RankOf(decision);
    settled.rule_generation = generation;
  }
  return settled.rule;
}

// Where the device holds it, it is to stay.
void Host::AskForRule(const RuleTier::Prediction& rule, flow::VmId vm, Source source) {
  if (!GovernorOf(vm, source).IsOpen()) return;
  RuleTier& tier = *device_.rule_tier();
  tier.Rehearse(rule);
  if (tier.AllowsPredictions()) device_.PreinstallRule(rule, vm);
}

// A VM that is still on probation follows the host's other VMs.
const predict::Governor& Host::GovernorOf(flow::VmId vm, Source source) const {
  const auto from = static_cast<std::size_t>(source);
  const Vm& own = *vms_[vm - 1u];
  return own.destinations_scored[from] < kProbation ? destination_governors_[from]
                                                    : own.destination_governors[from];
}

// Hazards are those of the middle of the time until the silence is looked at again.
void Host::FollowRule(const Arrival& arrival, Vm& vm, StageWork& work) {
  RuleUse& use = *vm.rule_use;
  Work& stage = work[Stage::kPreinstall];
  const RuleTier& tier = *device_.rule_tier();
  const std::uint32_t rule =
      current_rule_ == RuleTier::kNone ? rules::kNoRule : tier.DecisionOf(current_rule_).rule;
  const bool is_first = use.last < Nanos(0);
  const bool turned = is_first || rule != use.rule;
  if (!is_first) {
    stage.Add(WorkItem::kUpdate, 2);
    use.life.See(arrival.time - use.last, turned);
    life_.See(arrival.time - use.last, turned);
  }
  use.last = arrival.time;
  const std::uint64_t generation = device_.rules().generation();
  const bool is_same_set = use.generation == generation;
  if (turned || !is_same_set) {
    // A tier of other rules knows of no demand yet.
    if (is_same_set) TellDemand(use, {}, stage);
    use.generation = generation;
    if (turned) use.successions.See(rule, odds_, work[Stage::kProfile]);
    use.rule = rule;
    ScoreDestinations(arrival, stage);
    PredictRules(arrival, vm, work);
  } else {
    TellDemand(use, use.life.After(use.life.MeanGap() / kFirstLook / 2, life_), stage);
  }
  Wait(vm, arrival.time + use.life.MeanGap() / kFirstLook);
}

void Host::PredictRules(const Arrival& arrival, Vm& vm, StageWork& work) {
  RuleUse& use = *vm.rule_use;
  const RuleTier& tier = *device_.rule_tier();
  std::array<predict::Successions::Next, predict::Successions::kMost> next;
  const std::size_t count = use.successions.Predict(next.data(), next.size(), odds_, work[Stage::kPredict]);
  use.next.fill(NextRule());
  use.next[0].rank = current_rule_;
  for (std::size_t i = 0; i < count && next[i].confidence >= config_.minimum_confidence; ++i) {
    work[Stage::kPreinstall].Add(WorkItem::kProbe);
    use.next[i + 1].rank = tier.RankOf(next[i].symbol);
    use.next[i + 1].confidence = next[i].confidence;
  }
  TellDemand(use, use.life.After(use.life.MeanGap() / kFirstLook / 2, life_), work[Stage::kPreinstall]);
  for (std::size_t i = 1; i < use.next.size(); ++i) {
    const RuleTier::Prediction prediction{use.next[i].rank, true, use.next[i].confidence};
    ConsiderRule(arrival, prediction, vm.profile.vm(), Source::kSuccessor, work);
  }
}

void Host::TellDemand(RuleUse& use, const predict::LifeTable::Hazard& hazard, Work& work) {
  RuleTier& tier = *device_.rule_tier();
  for (NextRule& next : use.next) {
    if (next.rank == RuleTier::kNone) continue;
    const double rate = &next == use.next.data() ? hazard.on : hazard.turn * next.confidence / kCertain;
    // What may come is demanded, however little.
    const std::uint32_t demand =
        rate > 0 ? 1 + static_cast<std::uint32_t>(std::min(rate * kDemandUnit, kMostDemand)) : 0;
    if (demand == next.demand) continue;
    work.Add(WorkItem::kUpdate);
    tier.ChangeDemand(next.rank, next.demand, demand);
    next.demand = demand;
  }
}

// What is demanded more than when it was last asked for, or not there.
void Host::AskForRules(Vm& vm) {
  RuleUse& use = *vm.rule_use;
  std::uint64_t all = 0;
  for (const NextRule& next : use.next) all += next.demand;
  for (NextRule& next : use.next) {
    if (next.demand == 0) continue;
    if (next.demand <= next.asked && device_.rule_tier()->Holds(next.rank)) continue;
    next.asked = next.demand;
    const auto confidence = static_cast<std::uint16_t>(std::uint64_t{kCertain} * next.demand / all);
    AskForRule({next.rank, true, confidence}, vm.profile.vm(), Source::kSuccessor);
  }
}

void Host::Wait(Vm& vm, Nanos until) {
  RuleUse& use = *vm.rule_use;
  use.due = until;
  if (use.is_waited_for) return;
  use.is_waited_for = true;
  waits_.push_back({until, vm.profile.vm()});
  std::push_heap(waits_.begin(), waits_.end());
}

// Of VMs whose silence has grown.
void Host::FollowSilences(const Arrival& arrival, StageWork& work) {
  while (!waits_.empty() && waits_.front().due <= arrival.time) {
    work[Stage::kPreinstall].Add(WorkItem::kCacheLine);
    std::pop_heap(waits_.begin(), waits_.end());
    Vm& vm = *vms_[waits_.back().vm - 1u];
    waits_.pop_back();
    vm.rule_use->is_waited_for = false;
    if (vm.rule_use->due > arrival.time) {
      Wait(vm, vm.rule_use->due);
    } else {
      FollowSilence(arrival, vm, work);
    }
  }
}

void Host::FollowSilence(const Arrival& arrival, Vm& vm, StageWork& work) {
  RuleUse& use = *vm.rule_use;
  if (use.generation != device_.rules().generation()) return;
  const Nanos silence = arrival.time - use.last;
  const bool is_over = silence >= kLongestUse;
  work[Stage::kPredict].Add(WorkItem::kTableStep);
  TellDemand(
      use, is_over ? predict::LifeTable::Hazard() : use.life.After(silence + silence / kNextLook / 2, life_),
      work[Stage::kPreinstall]);
  if (is_over) return;
  AskForRules(vm);
  Wait(vm, arrival.time + std::max(silence / kNextLook, Nanos(1)));
}

bool Host::IsResident(const flow::FlowKey& key, wire::VlanKey vlan) const {
  Work uncounted;
  const RuleTier* const tier = device_.rule_tier();
  if (tier == nullptr) return device_.Holds(device_.rules().EntryKeyOf(key, vlan, uncounted));
  const std::uint32_t rank = tier->RankOf(device_.rules().Classify(key, vlan, uncounted));
  return rank != RuleTier::kNone && tier->Holds(rank);
}

// What predictions of the current packet wait for.
rules::EntryKey Host::UsedNow() const {
  return device_.rule_tier() == nullptr ? current_->entry : EntryOfRule(current_rule_);
}

// The VM has turned to this packet's destination: was it guessed, and in time?
void Host::ScoreDestinations(const Arrival& arrival, Work& work) {
  const rules::EntryKey used = UsedNow();
  const std::uint64_t hash =
      device_.rule_tier() == nullptr ? current_->host_hash : rules::HashOf(hash_, used);
  for (const Source source : {Source::kSuccessor, Source::kReply}) {
    work.Add(WorkItem::kProbe);
    work.Add(WorkItem::kCacheLine, 2);
    Speculations::Guess guess;
    if (speculations_[static_cast<std::size_t>(source)].Resolve(used, hash, guess)) {
      ScoreDestination(guess, source, guess.ready <= arrival.time);
    }
  }
  Vm& vm = *vms_[arrival.vm - 1u];
  if (vm.told.IsEmpty()) return;
  work.Add(WorkItem::kProbe);
  work.Add(WorkItem::kCacheLine, 2);
  Speculations::Guess guess;
  if (vm.told.Resolve(used, hash, guess)) ScoreTold(vm, guess.ready <= arrival.time);
}

void Host::ScoreDestination(const Speculations::Guess& guess, Source source, bool hit) {
  const auto from = static_cast<std::size_t>(source);
  Vm& vm = *vms_[guess.vm - 1u];
  vm.destination_governors[from].Record(hit);
  ++vm.destinations_scored[from];
  destination_governors_[from].Record(hit);
  ++counters_.destinations_scored;
  if (hit) ++counters_.destinations_hit;
}

// Asks, before every packet, for whatever will be wanted before the next packet's requests could take effect:
// just in time, so that what is installed early displaces as little as possible.
void Host::PreinstallTruth(const Arrival& arrival, StageWork& work) {
  const std::size_t after = current_->number + 1;
  const Nanos until =
      (after < future_->size() ? future_->time(after) : arrival.time) + config_.install_latency;
  const std::size_t end = std::min(future_->size(), after + kPacketsAhead);
  for (std::size_t ahead = after; ahead < end && future_->time(ahead) <= until; ++ahead) {
    if (!future_->decidable(ahead)) continue;
    const flow::FlowKey& key = future_->key(ahead);
    const rules::EntryKey entry =
        device_.rules().EntryKeyOf(key, future_->vlan(ahead), work[Stage::kPreinstall]);
    if (device_.Holds(entry)) continue;
    if (!device_.Preinstall(key, entry, ahead, arrival.time, work[Stage::kPreinstall])) return;
  }
}

void Host::PreinstallTrueRules(const Arrival& arrival) {
  const std::size_t after = current_->number + 1;
  const Nanos until =
      (after < future_->size() ? future_->time(after) : arrival.time) + config_.install_latency;
  const std::size_t end = std::min(future_->size(), after + kPacketsAhead);
  for (std::size_t ahead = after; ahead < end && future_->time(ahead) <= until; ++ahead) {
    const std::uint32_t rank = uses_.entry[ahead];
    if (rank == EntryUses::kNone || device_.rule_tier()->Holds(rank)) continue;
    if (!device_.PreinstallRule({rank, true, kCertain}, future_->key(ahead).vm)) return;
  }
}

// Predicts the entries that will be used last, or never.
void Host::PreinstallFalsehood(const Arrival& arrival, StageWork& work) {
  const std::size_t entries = next_use_of_.size();
  Settled unused;
  for (std::uint8_t wrong = 0; wrong < config_.lookahead; ++wrong) {
    std::size_t farthest = falsehood_ % entries;
    for (std::size_t tried = 0; tried < std::min(kFalsehoodsTried, entries); ++tried) {
      const std::size_t candidate = (falsehood_ + tried) % entries;
      if (next_use_of_[candidate] > next_use_of_[farthest]) farthest = candidate;
    }
    falsehood_ = (farthest + 1) % entries;
    if (device_.rule_tier() != nullptr) {
      const RuleTier::Prediction prediction{static_cast<std::uint32_t>(farthest), wrong == 0, kCertain};
      ConsiderRule(arrival, prediction, arrival.vm, Source::kSuccessor, work);
      continue;
    }
    const flow::FlowKey& key = future_->key(uses_.first_use[farthest]);
    if (key.vm == 0 || key.vm > vms_.size()) continue;
    Consider(arrival, key, future_->vlan(uses_.first_use[farthest]), Source::kSuccessor, unused, work);
  }
}

Host::Speaker& Host::SpeakerAt(const Station& station, Work& work) {
  work.Add(WorkItem::kHash);
  work.Add(WorkItem::kCacheLine);
  flow::FlowKey key;
  key.source_address = station;
  return speakers_[hash_(&key) & (kSpeakers - 1)];
}

}  // namespace foreflow::path
