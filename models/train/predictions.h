// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_PREDICTIONS_H_
#define FOREFLOW_MODELS_TRAIN_PREDICTIONS_H_

#include <string>

#include "models/predict/model_file.h"
#include "models/train/dataset.h"

namespace foreflow::train {

// Writes what libtorch makes of every row of a dataset with a model file's weights, in the layout of
// foreflow-evaluate's predictions file, as the model "libtorch". `data_path` is written into it. Throws
// Refusal where the file cannot be made or the model has no network.
void WritePredictions(const std::string& path, const std::string& data_path, const predict::Model& model,
                      const Dataset& dataset);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_PREDICTIONS_H_
