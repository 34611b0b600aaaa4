// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TYPE_MIXTURE_H_
#define FOREFLOW_MODELS_PREDICT_TYPE_MIXTURE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/work.h"
#include "models/predict/calibrator.h"
#include "models/predict/drift.h"
#include "models/predict/fixed_share.h"
#include "models/predict/markov_types.h"
#include "models/predict/reading.h"
#include "models/predict/type_predictor.h"

namespace foreflow::predict {

// What was said of one packet, kept until its label is known. 65535 = 1.
struct TypeGuess {
  using Shares = std::array<std::uint16_t, kPacketTypes>;
  Shares reading{};          // of the models
  Shares fallback{};         // of what learns beside them; where it was asked
  Shares said{};             // mixed and calibrated
  std::uint16_t weight = 0;  // of the reading in the mixture, FixedShare::kOne = 1
  Tier tier = Tier::kLearned;
  bool is_sure = false;  // the models were
  bool asked = false;    // the fall-back was
  // Both, mixed, as before calibration.
  Distribution Mixed() const;
  // Whose word weighed more.
  Tier Predicted() const { return asked && weight < FixedShare::kOne / 2 ? Tier::kLearned : tier; }
};

// What a VM's packets turn out to be: what trained models say, mixed by fixed share with Markov-3, which
// learns on (the fall-back). Each is wrong where the other is not, and neither has to be watched: where the
// models mislead their weight goes.
//
// Sure models (kSure) are right nearly always, and where they are unsure the fall-back is often better. So
// there are two weights, and while the models are trusted (half the weight or more) where they are sure, the
// fall-back is neither asked nor taught there, but for one label in kSample and for each that they got wrong.
// That costs a fifth of asking always, and predicts better: the counts are spent on what the models do not
// know.
//
// Counts that were learnt before a change of traffic are in the way after it. An alarm of Page and Hinkley's
// test on the loss of what was said makes the fall-back forget them all.
//
// One object a VM. No allocation after construction.
class TypeMixture {
 public:
  static constexpr std::uint32_t kSure = 64881;  // 0.99 of 65536
  static constexpr std::uint64_t kSample = 32;

  TypeMixture() : fallback_(MarkovTypes::kMostOrder) {}

  // Writes to `guess` what Learn wants back with the label. `calibrator` is that of all VMs of a host.
  Prediction Predict(const Reading& reading, const Context& context, const Calibrator& calibrator,
                     TypeGuess& guess, Work& work) const;

  // The packet's type is known now; `context` as it was for Predict. `packet` chooses the sample. True when
  // the loss has raised an alarm, and the fall-back forgotten.
  bool Learn(const Context& context, std::uint64_t packet, PacketType truth, TypeGuess& guess, Work& work);
  // Whether Learn of this label always has the fall-back's word, so that over these the two compare fairly.
  // Learn writes it to `guess`.
  static bool Compares(std::uint64_t packet);

  // Brings nearer what Predict (if it will ask) or Learn will touch.
  void Prefetch(const Reading& reading, const Context& context) const {
    if (Asks(IsSure(reading))) fallback_.Prefetch(context);
  }
  void Prefetch(const TypeGuess& guess, const Context& context) const {
    if (guess.asked) fallback_.Prefetch(context);
  }

  // The models' weight where they are sure, and where not; FixedShare::kOne = 1.
  std::uint32_t weight(bool is_sure) const { return share_[is_sure ? 1 : 0].weight(); }
  // On the drift detector, 1: an alarm.
  double pressure() const { return test_.Pressure(); }
  std::size_t bytes() const { return sizeof(*this) + fallback_.bytes(); }

 private:
  // Losses of real traffic come in runs: a lower threshold forgets what was worth keeping.
  static constexpr PageHinkley::Config kTest = {0.5, 100, 64};

  static bool IsSure(const Reading& reading);
  bool Asks(bool is_sure) const { return !is_sure || weight(true) < FixedShare::kOne / 2; }

  MarkovTypes fallback_;
  std::array<FixedShare, 2> share_;  // [1] where the models are sure
  PageHinkley test_{kTest};
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TYPE_MIXTURE_H_
