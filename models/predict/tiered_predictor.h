// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TIERED_PREDICTOR_H_
#define FOREFLOW_MODELS_PREDICT_TIERED_PREDICTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/base/token_bucket.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/predict/calibrator.h"
#include "models/predict/conversation_slots.h"
#include "models/predict/packet_type.h"
#include "models/predict/reading.h"
#include "models/predict/score_history.h"
#include "models/predict/sequence_features.h"
#include "models/predict/sequence_model.h"
#include "models/predict/type_mixture.h"
#include "models/predict/type_predictor.h"

namespace foreflow::predict {

// Trained models that predict the types of packets, for all VMs of a host: a table (a distilled automaton), a
// network, or both in tiers. Both read a conversation (both directions in order of arrival), whose state is
// kept here in bounded memory.
//
//   only the network   steps on every packet
//   only the table     steps on every packet
//   both, in tiers     the table steps on every packet; the network is asked where it may know better: at a
//                      conversation's first kBirth packets, after a pause of kPause, and where the table's
//                      likeliest type has a probability below kSure; as often as a token bucket allows.
//
// In tiers the network does not step where it is not asked. A conversation's latest kUnseen packets that it
// has not seen are kept, and when it is asked it catches up on them in one go. So its state is right, to the
// bit, as if it had stepped on every packet, unless more than kUnseen went by unasked: then it starts anew
// from the latest kUnseen. Stepping on every packet and only reading out when asked would save next to
// nothing (the read-out of a GRU of 32 is 7 % of a step), and a conversation that goes by unasked for long is
// one that the table is sure of.
//
// What a model says of a packet (Reading) depends on packets and times alone, not on what was learnt since,
// so that a burst may be read before the first of its packets is decided. What is learnt from labels comes
// after, in Predict and Learn: the mixture with Markov-3, a VM each (type_mixture.h), and one temperature of
// what comes out.
struct TieredConfig {
  std::shared_ptr<const Model> table;  // either may be null, not both
  std::shared_ptr<const Model> network;
  std::uint32_t conversations = 16'384;         // whose state is kept, see ConversationSlots
  std::uint32_t readings_per_second = 100'000;  // of the network, in tiers
  std::uint16_t vms = 64;                       // senders: 1..vms; others, and 0, count as one
  std::string target = "type";                  // the head that is read
};

// Throws Refusal unless the model is for the task next-type, reads the features that this build makes, and
// has a head `target` with the types of packet_type.h. `where` names it in the sentence. What it keeps
// between steps is at most 8 B where it `is_table`.
void RequireTypes(const Model& model, const std::string& where, bool is_table,
                  const std::string& target = "type");

// What one reading of the model takes. As RequireTypes has it.
Work WorkOfReading(const Model& model);

// See above: Read of every packet, Predict of those that are wanted, Learn of each with its label. One
// thread.
class TieredPredictor {
 public:
  static constexpr std::size_t kBurst = 32;
  static constexpr std::uint32_t kBirth = 3;
  static constexpr Nanos kPause = Millis(200);
  static constexpr std::uint32_t kSure = 58982;  // 0.9 of 65536
  static constexpr std::size_t kUnseen = 16;
  static constexpr std::uint32_t kReadingsBurst = 32;
  // One label in so many, as if at random, moves the temperature.
  static constexpr std::uint64_t kTempering = 8;

  // The models are as RequireTypes has it. All memory is taken here.
  explicit TieredPredictor(const TieredConfig& config);

  // One packet of a burst.
  struct Item {
    const PacketSummary* packet = nullptr;
    std::uint64_t hash = 0;      // of its conversation, the same for both directions
    std::uint8_t direction = 0;  // Canonical's `swapped`
    bool is_wanted = false;      // else it only steps the state
    Nanos now;                   // on the clock that the token bucket runs on
    Reading* reading = nullptr;  // written
    Work* work = nullptr;        // added to
    // In place of `packet`, where a data set holds what models read of it, and its arrival.
    const SequenceInputs* inputs = nullptr;
    Nanos arrival;
  };
  // Shows up to kBurst packets, in order of arrival. Every packet must be shown once.
  void Read(const Item* items, std::size_t count);

  // Brings nearer what Read will touch.
  void Prefetch(std::uint64_t hash) const { slots_.Prefetch(hash); }

  // What is said of a packet of `vm` (1..vms): the reading, of a tier other than kLearned, mixed with what
  // was learnt. `guess` is what Learn wants back.
  Prediction Predict(const Reading& reading, flow::VmId vm, const Context& context, TypeGuess& guess,
                     Work& work) const;

  // The type of the packet became known; all others as for Predict. `packet` is its number, from which it is
  // told what the label is used for. `now` is on the clock of the history alone. True when the loss raised an
  // alarm.
  bool Learn(TypeGuess& guess, flow::VmId vm, const Context& context, std::uint64_t packet, PacketType truth,
             Nanos now, Work& work);

  // Brings nearer what Predict and Learn will touch.
  void PrefetchMixture(const Reading& reading, flow::VmId vm, const Context& context) const {
    mixture_[vm].Prefetch(reading, context);
  }
  void PrefetchMixture(const TypeGuess& guess, flow::VmId vm, const Context& context) const {
    mixture_[vm].Prefetch(guess, context);
  }

  // To look at; 0..vms.
  const TypeMixture& mixture(flow::VmId vm) const { return mixture_[vm]; }
  const ScoreHistory& history() const { return history_; }
  // Calibrator's.
  std::uint32_t sharpness() const { return calibrator_.sharpness(); }
  // Memory in all, which does not grow.
  std::size_t bytes() const;

 private:
  friend Work WorkOfReading(const Model& model);

  struct alignas(64) Slot {
    ConversationState features;
    std::array<std::uint8_t, 8> table_state{};
    std::uint32_t packets = 0;
    std::uint8_t unseen = 0;         // packets that wait for the network
    std::uint8_t unseen_next = 0;    // where the next goes
    bool network_is_behind = false;  // more than kUnseen went by
  };
  static_assert(sizeof(Slot) == 64);
  struct alignas(64) Line {
    std::array<std::uint8_t, 64> byte{};
  };
  // A model and what its steps cost.
  struct Served {
    std::unique_ptr<SequenceModel> model;
    Work step;     // without output
    Work reading;  // with
  };
  static Served Serve(const Model* model, const std::string& target);

  std::uint8_t* NetworkState(std::size_t slot) { return network_state_[slot * lines_].byte.data(); }
  std::uint32_t Enter(const Item& item);
  // The probability of the likeliest type; 0 where the packet is not wanted.
  std::uint32_t ReadTable(const Item& item, Slot& slot, const SequenceInputs& inputs);
  void Remember(std::uint32_t index, const SequenceInputs& inputs);
  void CatchUp(const Item& item, std::uint32_t index);
  // `asks`: whose reading the output is; null where only the state is stepped.
  void PushStep(std::uint32_t index, const SequenceInputs& inputs, const Item* asks, Work& work);
  void RunNetwork();

  Served table_;
  Served network_;
  bool tiers_;
  ConversationSlots slots_;
  std::vector<Slot> slot_;
  std::vector<SenderState> sender_;
  std::vector<SequenceInputs> unseen_;  // kUnseen a slot, in tiers
  std::vector<Line> network_state_;
  std::size_t lines_ = 0;  // a slot
  TokenBucket bucket_;
  std::uint32_t shown_ = 0;

  // Steps of the network that wait for RunNetwork, so that it can work on several conversations at once.
  struct Pending {
    std::vector<ModelStep> step;
    std::vector<SequenceInputs> inputs;  // by step
    std::array<std::array<float, kPacketTypes>, kBurst> output{};
    std::array<Reading*, kBurst> reading{};  // by output
    std::size_t steps = 0;
    std::size_t outputs = 0;
  } pending_;

  std::vector<TypeMixture> mixture_;  // by VM
  Calibrator calibrator_;
  ScoreHistory history_;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TIERED_PREDICTOR_H_
