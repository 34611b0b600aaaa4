// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_TREES_H_
#define FOREFLOW_MODELS_TRAIN_TREES_H_

#include <string>

#include "models/predict/model_file.h"
#include "models/train/dataset.h"

namespace foreflow::train {

// A model of the tree ensemble that analysis/foreflow/trees.py fitted and wrote as JSON:
//   {"depth": d, "levels": of every real value's quantiles, "base": [O], "tree_output": [trees], "feature":
//   [trees][2^d - 1], "threshold": the same shape,
//    "leaf": [trees][2^d], "temperature": [heads],
//    "golden": {"symbol": [steps], "input": [steps][F], "expected": [steps][O], by the library that fitted}}
// `frame` is Frame's, of the dataset that they were fitted on. Throws Refusal where the file is none of
// these.
predict::Model TreesModel(const std::string& path, const Dataset& dataset, predict::Model frame);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_TREES_H_
