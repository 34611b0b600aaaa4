// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_HOST_H_
#define FOREFLOW_MODELS_PATH_HOST_H_

#include <array>
#include <memory>
#include <vector>

#include "models/base/hash.h"
#include "models/path/device.h"
#include "models/path/expectation.h"
#include "models/path/future.h"
#include "models/path/rehearsal.h"
#include "models/path/speculation.h"
#include "models/path/told_types.h"
#include "models/predict/governor.h"
#include "models/predict/labeler.h"
#include "models/predict/life_table.h"
#include "models/predict/successions.h"
#include "models/predict/tiered_predictor.h"
#include "models/tag/burst_tags.h"
#include "models/tag/profile.h"

namespace foreflow::path {

// The host before the device: profiles each VM, predicts the packet's type and writes the tag, predicts where
// the VM turns next and has those entries installed. Does nothing but parse in the arms that do not predict.
class Host {
 public:
  Host(const PathConfig& config, const Future* future, Device& device, Counters& counters);

  // Whether there is anything to be done in Process: packets get tags and entries ahead of them.
  bool Predicts() const { return config_.arm >= Arm::kPredictive; }

  // The next packet in order, before any of Process: makes its entry key and hashes, and asks for the memory
  // that Process will look at. `parsed` must live as long as `current` is used.
  void Prepare(const Parsed& parsed, CurrentPacket& current);
  // A second step of asking for memory, some time after Prepare.
  void Prefetch(const Arrival& arrival, const CurrentPacket& current) const;
  // After Prepare of all, before any of Process: follows what each VM sends, in order.
  void Follow(const Arrival& arrival, CurrentPacket& current);
  // After Follow of all, before any of Process: shows `count` <= kBurst packets to the trained models.
  void Read(const Arrival* const* arrivals, CurrentPacket* current, std::size_t count);
  // The tag lacks its MAC: `seal` says which.
  void Process(const Arrival& arrival, CurrentPacket& current, Tagged& tagged, tag::TagMac& seal,
               StageWork& work);
  // What the host made of the packet of the last Process.
  void Describe(const Arrival& arrival, const CurrentPacket& current, Description& description) const;
  // What is expected of a VM: the likeliest chain of destinations from where it is, and the second likeliest
  // beside each step; `limit` of them at most. Returns how many. Takes no memory.
  std::size_t Expect(flow::VmId vm, Expectation* out, std::size_t limit) const;
  // Between two packets. The type is kept for the destination's packets, see PacketPath::TakeExpectation. Has
  // the device made ready for what others expect, as for own predictions, within the same budgets. False
  // where nothing was written: the host does not predict, or not this VM; it is too unlikely, or due before
  // it could be ready; the device holds it, or has no room for more predictions; the budget is spent; or what
  // was told of the VM came true too rarely.
  bool TakeExpectation(const Expectation& expected, Nanos now, Work& work);
  // The device punted the packet of the last Process for want of an entry.
  void SeePunt(const CurrentPacket& current) {
    if (Predicts()) rehearsal_.SeePunt(current.rehearsal_hash);
  }
  // See PacketPath::RotateTagKeys.
  bool RotateTagKeys(std::uint64_t epoch, const crypto::Key128& master) {
    return sealer_.RotateKeys(epoch, master);
  }
  // Null where no trained models predict.
  const predict::TieredPredictor* models() const { return models_.get(); }

 private:
  // Tags are governed by the type they say and by where they would move the packet from its header's queue,
  // ahead (0) or back (1): a request put behind bulk loses far more than bulk put ahead of others costs.
  using TypeGovernors = std::array<std::array<predict::Governor, 2>, predict::kPacketTypes>;
  static TypeGovernors MakeTypeGovernors(const PathConfig& config);

  // What is known of a destination's entry, which is the same for as long as the destination lives under the
  // rules that it was first seen under. While neither cache has removed an entry since it was found in both,
  // predicting the destination again changes nothing.
  static constexpr std::uint32_t kUnknownRule = RuleTier::kNone - 1;
  struct Settled {
    std::uint64_t generation = 0;          // of the rules, when the destination was first seen
    std::uint64_t device = UINT64_MAX;     // removals() of the device's cache, which held the entry
    std::uint64_t rehearsal = UINT64_MAX;  // and of the rehearsal's
    // Where the device has a rule table: the rule that decides it, by rank, under the rules of a generation.
    std::uint32_t rule = kUnknownRule;
    std::uint64_t rule_generation = 0;
  };
  // A rule that a VM may use with its next packet.
  struct NextRule {
    std::uint32_t rank = RuleTier::kNone;
    std::uint16_t confidence = 0;  // 65535 = 1; where the VM turns
    std::uint32_t demand = 0;      // as the tier was told: packets, in 1/16 a second
    std::uint32_t asked = 0;       // demand when it was last asked for
  };
  // How a VM uses rules: which follows which, and after how long a silence.
  struct RuleUse {
    explicit RuleUse(std::size_t contexts) : successions(contexts) {}
    predict::Successions successions;  // of rules, by id
    predict::LifeTable life;
    std::uint32_t rule = rules::kNoRule;                         // of its latest packet
    std::array<NextRule, 1 + predict::Successions::kMost> next;  // first, the same rule again
    std::uint64_t generation = 0;                                // of the rules that are ranked
    Nanos last{-1};                                              // packet; negative before the first
    Nanos due;                                                   // when its demand is to be looked at again
    bool is_waited_for = false;                                  // has a place in waits_
  };
  // How often types came true, of one VM.
  struct TypeScores {
    TypeGovernors governors;
    std::array<std::array<std::uint32_t, 2>, predict::kPacketTypes> scored{};
  };
  struct Vm {
    Vm(const PathConfig& config, flow::VmId id, std::size_t told_places);
    tag::VmProfile profile;
    std::array<predict::Governor, kPredictionSources> destination_governors;
    std::array<std::uint32_t, kPredictionSources> destinations_scored{};
    TypeScores types;
    // What others say of it. Installed on credit for the first outcomes, then by h > h*.
    TypeScores told_types;
    predict::Governor told_governor;
    std::uint32_t told_scored = 0;
    Speculations told;
    std::vector<Settled> settled;  // by destination
    // What Expect says of its times and type.
    std::uint64_t turns = 0;
    Nanos first_turn;
    Nanos latest_turn;
    predict::PacketType type = predict::PacketType::kControl;  // predicted of its latest packet
    std::uint16_t type_confidence = 0;
    std::unique_ptr<RuleUse> rule_use;  // where the device has a rule table
  };
  struct Waiting {
    Nanos due;
    flow::VmId vm = 0;
    bool operator<(const Waiting& other) const {  // a heap's front is the earliest
      return due != other.due ? due > other.due : vm > other.vm;
    }
  };
  // A type that was said of a packet, and the queue that it would choose.
  struct SaidType {
    predict::PacketType type = predict::PacketType::kControl;
    std::uint8_t tag_queue = 0;
  };
  // A type that was predicted and waits for its label; what others had said, where that was no less sure.
  struct PendingType {
    std::uint64_t packet = 0;
    predict::Context context;
    flow::VmId vm = 0;
    std::uint8_t header_queue = 0;
    bool was_told = false;
    SaidType own;
    SaidType told;
    std::size_t DirectionOf(const SaidType& said) const { return said.tag_queue > header_queue ? 1 : 0; }
  };
  // Which VM a MAC (an address, on links without MACs) was last seen to send from; a small direct-mapped
  // memory.
  using Station = std::array<std::uint8_t, 16>;
  struct Speaker {
    Station station{};
    flow::VmId vm = 0;
  };

  // A VM that is still on probation follows the host's other VMs: `of_vm` and `of_host` are of one's own
  // predictions, or of what others say.
  bool WritesTags(const TypeScores& of_vm, const TypeGovernors& of_host, const PendingType& pending,
                  const SaidType& said) const;
  void LearnFromLabels(const Arrival& arrival, StageWork& work);
  void PrefetchLearning(std::uint64_t packet) const;
  void LearnType(const PendingType& pending, predict::PacketType truth, Nanos now, Work& work);
  predict::TypeGuess& GuessOf(std::uint64_t packet) { return guesses_[packet & (guesses_.size() - 1)]; }
  void ScoreTypes(const PendingType& pending, predict::PacketType truth, Work& work);
  // Whether the type had mattered: it is scored, and `hit`.
  bool ScoreType(const PendingType& pending, const SaidType& said, predict::PacketType truth,
                 TypeScores& of_vm, TypeGovernors& of_host, bool& hit, Work& work);
  std::uint8_t QueueOfTag(flow::VmId vm, predict::PacketType type, std::uint16_t confidence,
                          std::uint8_t otherwise, Work& work) const;
  // `guess` is written where models predict.
  predict::Prediction PredictType(const Vm& vm, const CurrentPacket& current, const predict::Context& context,
                                  std::uint8_t header_queue, predict::TypeGuess& guess, Work& work) const;
  predict::Prediction WorstPrediction(flow::VmId vm, std::uint8_t header_queue, Work& work) const;
  void Tag(const Arrival& arrival, Vm& vm, const predict::Context& context, Tagged& tagged, tag::TagMac& seal,
           StageWork& work);

  // Of each: destination, step from 1 on, confidence of the chain. Until `found` says false.
  template <typename Found>
  void FollowChain(const Vm& vm, const Found& found) const;
  void DescribeDestinations(const Vm& vm, Description& description) const;

  void PreinstallSuccessors(const Arrival& arrival, Vm& vm, predict::DestinationId from, StageWork& work);
  // Rules: predictive arm, where the device has a rule table.
  void FollowRule(const Arrival& arrival, Vm& vm, StageWork& work);
  void PredictRules(const Arrival& arrival, Vm& vm, StageWork& work);
  void FollowSilences(const Arrival& arrival, StageWork& work);
  void FollowSilence(const Arrival& arrival, Vm& vm, StageWork& work);
  void TellDemand(RuleUse& use, const predict::LifeTable::Hazard& hazard, Work& work);
  void AskForRules(Vm& vm);
  void Wait(Vm& vm, Nanos until);
  bool IsSettled(const Vm& vm, predict::DestinationId current, predict::DestinationId destination,
                 Work& work) const;
  void PreinstallReply(const Arrival& arrival, StageWork& work);
  void PreinstallTruth(const Arrival& arrival, StageWork& work);
  void PreinstallFalsehood(const Arrival& arrival, StageWork& work);
  // Writes what it finds to `settled`.
  void Consider(const Arrival& arrival, const flow::FlowKey& key, wire::VlanKey vlan, Source source,
                Settled& settled, StageWork& work);
  // The same where the device has a rule table: rules are predicted instead of flow entries.
  void ConsiderRule(const Arrival& arrival, const RuleTier::Prediction& rule, flow::VmId vm, Source source,
                    StageWork& work);
  void AskForRule(const RuleTier::Prediction& rule, flow::VmId vm, Source source);
  const predict::Governor& GovernorOf(flow::VmId vm, Source source) const;
  std::uint32_t RuleOf(Vm& vm, predict::DestinationId destination, Work& work);
  void PreinstallTrueRules(const Arrival& arrival);
  rules::EntryKey UsedNow() const;
  bool IsResident(const flow::FlowKey& key, wire::VlanKey vlan) const;
  std::size_t PlacesOfSpeculations() const;
  void ScoreDestinations(const Arrival& arrival, Work& work);
  void ScoreDestination(const Speculations::Guess& guess, Source source, bool hit);
  void ScoreTold(Vm& vm, bool hit);
  // Whether what others say of the VM is acted on. The guess waits to come true all the same.
  bool IsBelieved(Vm& vm, const Speculations::Guess& guess);
  Speaker& SpeakerAt(const Station& station, Work& work);

  const PathConfig& config_;
  const Future* future_;
  Device& device_;
  Counters& counters_;
  KeyHasher hash_;
  EntryUses uses_;
  std::vector<std::uint64_t> next_use_of_;  // by entry, from the current packet on (anti-oracle)
  std::size_t falsehood_ = 0;               // the anti-oracle's next candidate entry
  std::vector<std::unique_ptr<Vm>> vms_;    // by id - 1
  // One a source: the guesses of a bad one must not push out those of a good one.
  std::array<Speculations, kPredictionSources> speculations_;
  Rehearsal rehearsal_;
  TypeGovernors type_governors_;                                             // over all VMs
  std::array<predict::Governor, kPredictionSources> destination_governors_;  // the same
  TypeGovernors told_type_governors_;
  ToldTypes told_types_;
  predict::Labeler labeler_;
  std::vector<PendingType> pending_;  // ring, by packet number
  std::unique_ptr<predict::TieredPredictor> models_;
  std::vector<predict::TypeGuess> guesses_;  // as pending_, where models predict
  std::vector<Speaker> speakers_;
  tag::TagSealer sealer_;
  tag::BurstTags bursts_;
  const CurrentPacket* current_ = nullptr;  // during Process
  std::vector<Waiting> waits_;              // a heap; a VM's time may have moved on since it was put there
  predict::LifeTable life_;                 // over all VMs
  predict::SuccessionOdds odds_;
  std::uint32_t current_rule_ = RuleTier::kNone;  // of its packet, where the device has a rule table
  std::uint64_t packets_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_HOST_H_
