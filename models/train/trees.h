// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_TREES_H_
#define FOREFLOW_MODELS_TRAIN_TREES_H_

#include <string>

#include "models/predict/model_file.h"
#include "models/train/dataset.h"

namespace foreflow::train {

// A model of the tree ensemble that analysis/foreflow/trees.py fitted and wrote as JSON:
//
//   key         | shape               | what
//   depth       | number d            | of every tree
//   levels      | list                | of every real value's quantiles
//   base        | [O]                 | as in the model file, like the next four
//   tree_output | [trees]             |
//   feature     | [trees][2^d - 1]    |
//   threshold   | [trees][2^d - 1]    |
//   leaf        | [trees][2^d]        |
//   temperature | [heads]             | of class heads
//   golden      | symbol [steps],     | a sequence, and what the library that fitted made of it
//               | input [steps][F],   |
//               | expected [steps][O] |
//
// `frame` is Frame's, of the dataset that they were fitted on. Throws Refusal where the file is none of
// these.
predict::Model TreesModel(const std::string& path, const Dataset& dataset, predict::Model frame);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_TREES_H_
