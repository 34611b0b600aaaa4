// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_MODEL_WATCH_H_
#define FOREFLOW_MODELS_PREDICT_MODEL_WATCH_H_

#include <cstddef>
#include <cstdint>

#include "models/predict/drift.h"

namespace foreflow::predict {

// Whether a trained model is to be believed, or the predictor that learns on beside it (the fall-back).
//
//   serving  -> fallback   at an alarm of Page and Hinkley's test on the model's losses; or when the
//   fall-back's
//                          mean loss has become lower by kMargin
//   fallback -> serving    when, after a probation of outcomes of both, the model's mean loss is lower by
//   kMargin
//
// An alarm says only that something has changed: so it costs a probation of the fall-back, and then the
// better of the two predicts. The probation is kProbation outcomes, and twice as long after each fall, up to
// kLongestProbation, so that a model that keeps on failing is hardly tried again; it is halved after each
// kTrust outcomes that the model served. Means are of the first outcomes of a state, then exponentially
// weighted over about as many as the probation has, at least kWindow.
class ModelWatch {
 public:
  static constexpr std::uint32_t kWindow = 256;
  static constexpr std::uint32_t kProbation = 64;
  static constexpr std::uint32_t kLongestProbation = 4096;
  static constexpr std::uint32_t kTrust = 1024;
  static constexpr double kMargin = 0.02;  // bits

  enum class State : std::uint8_t { kServing, kFallback };
  enum class Event : std::uint8_t { kNone, kAlarm, kFellBack, kRecovered };

  // An outcome of the model. Losses in bits, -log2 of the probability that the truth was given.
  Event SeeModel(double loss);
  // An outcome of both, after SeeModel of the same: may be a sample of all.
  Event SeeBoth(double model_loss, double fallback_loss);

  State state() const { return state_; }
  bool Serves() const { return state_ == State::kServing; }
  // Mean loss of the model less the fall-back's, bits, lately.
  double gap() const { return gap_; }
  double pressure() const { return test_.Pressure(); }

 private:
  void Turn(State state);

  // Real losses come in runs: a lower threshold raises more false alarms.
  static constexpr PageHinkley::Config kTest = {0.1, 60, kWindow};

  PageHinkley test_{kTest};
  double gap_ = 0;
  std::uint32_t compared_ = 0;
  std::uint32_t probation_ = kProbation;
  std::uint32_t served_ = 0;  // outcomes since the probation was last changed
  State state_ = State::kServing;
};

inline constexpr std::size_t kWatchEvents = 4;

// The snake_case names; nullptr out of range.
const char* Name(ModelWatch::State state);
const char* Name(ModelWatch::Event event);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_MODEL_WATCH_H_
