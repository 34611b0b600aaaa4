// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TYPE_PREDICTOR_H_
#define FOREFLOW_MODELS_PREDICT_TYPE_PREDICTOR_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "models/base/work.h"
#include "models/predict/calibrator.h"
#include "models/predict/packet_type.h"

namespace foreflow::predict {

// Probabilities and confidence are fixed point, 65535 = 1, so that no compiler can change a decision.
struct Prediction {
  PacketType type = PacketType::kControl;
  std::uint16_t confidence = 0;  // calibrated probability of `type`
  std::array<std::uint16_t, kPacketTypes> probability{};
};

// Among equals the first.
PacketType Likeliest(const Distribution& distribution);

// What `raw` says, calibrated.
Prediction Calibrated(const Calibrator& calibrator, const Distribution& raw, Work& work);

// A causal symbol of one packet: direction, size class, gap class, flags; 0..63. Made by features.h.
using Symbol = std::uint8_t;
constexpr std::size_t kSymbols = 64;

// The last three symbols of one VM, newest first. Kept by the profile; a prediction is made from it and the
// resolved label later taught with the same value.
struct Context {
  std::array<Symbol, 3> symbol{};
  std::uint8_t length = 0;                       // symbols that are valid, 0..3
  PacketType last_label = PacketType::kControl;  // the last resolved type of this VM

  // Puts the VM's newest symbol in front. As one word: it is soon read as one.
  void Push(Symbol newest) {
    std::uint32_t word;
    std::memcpy(&word, this, sizeof(word));
    const std::uint32_t symbols = (word << 8 & 0xffff00u) | newest;
    word = symbols | std::min<std::uint32_t>(3, (word >> 24) + 1) << 24;
    std::memcpy(static_cast<void*>(this), &word, sizeof(word));
  }
};
static_assert(offsetof(Context, length) == 3, "Push writes symbols and length at once");

// Predicts the type of a VM's packet from its context, and learns from resolved labels. One object serves
// one VM. No allocation after construction.
//
// The online protocol:
//   1. a packet arrives: Push its SymbolOf to the VM's context, then Predict(context);
//   2. Push it to the Labeler and remember (packet index, context) until its label is popped, at the latest
//      one horizon later;
//   3. then Learn(that same context, label), and set the VM's Context::last_label.
// So a prediction uses the packet's own symbol but only labels that were known when it arrived.
class TypePredictor {
 public:
  virtual ~TypePredictor() = default;
  // What the packet whose symbol is `context`'s newest will turn out to be. Work: what its kind looks up.
  virtual Prediction Predict(const Context& context, Work& work) const = 0;
  // The packet of this context turned out to be `truth`.
  virtual void Learn(const Context& context, PacketType truth, Work& work) = 0;
  // Brings nearer what Predict or Learn of this context will touch.
  virtual void Prefetch(const Context&) const {}
  // Memory held, in bytes.
  virtual std::size_t bytes() const = 0;
};

// kPersistence: the last resolved type again. kMajority: the most frequent type. kMarkovK: the types that
// followed the last K symbols, the packet's own among them, mixed with what followed shorter contexts.
enum class PredictorKind : std::uint8_t { kPersistence, kMajority, kMarkov1, kMarkov2, kMarkov3 };

// nullptr out of range.
std::unique_ptr<TypePredictor> MakeTypePredictor(PredictorKind kind);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TYPE_PREDICTOR_H_
