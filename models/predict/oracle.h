// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_ORACLE_H_
#define FOREFLOW_MODELS_PREDICT_ORACLE_H_

#include "models/predict/type_predictor.h"

namespace foreflow::predict {

// A prediction that puts everything on `type`.
inline Prediction CertainPrediction(PacketType type) {
  Prediction prediction;
  prediction.type = type;
  prediction.confidence = 65535;
  prediction.probability[static_cast<std::size_t>(type)] = 65535;
  return prediction;
}

// The oracle's: the truth, with full confidence.
inline Prediction TruePrediction(PacketType truth) { return CertainPrediction(truth); }

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_ORACLE_H_
