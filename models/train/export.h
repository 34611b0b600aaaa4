// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_EXPORT_H_
#define FOREFLOW_MODELS_TRAIN_EXPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/predict/model_file.h"
#include "models/train/dataset.h"
#include "models/train/distil.h"
#include "models/train/network.h"
#include "models/train/reference.h"
#include "models/train/step_codes.h"

namespace foreflow::train {

// The heads of a dataset's targets, in their order, with these levels (0..1) for real values.
std::vector<predict::Head> HeadsOf(const Dataset& dataset, const std::vector<float>& levels);

// Scaling of the inputs (to mean 0 and deviation 1) and the first biases, from the training rows. `shape` has
// its heads already.
void FillFromTraining(const Dataset& dataset, NetworkShape& shape);

// Logits of a network for every row of a split, a head at a time, with the labels they are to be judged by.
struct Scored {
  std::vector<std::vector<float>> logits;       // a head; rows x outputs
  std::vector<std::vector<std::int8_t>> label;  // a head; empty for real values
};
// Leaves the network's state cleared.
Scored Score(Network& network, const Dataset& dataset, const std::vector<predict::Head>& heads,
             std::uint8_t split);

// A model with all but kind, arrays and goldens: what it was learnt from, by `command`.
predict::Model Frame(const Dataset& dataset, const std::vector<predict::Head>& heads, std::uint64_t seed,
                     const std::string& command);

// A network's model (not kBinary): its tensors, temperatures fitted on the validation rows, goldens by
// libtorch.
predict::Model ModelOf(Network& network, const NetworkShape& shape, const Dataset& dataset,
                       predict::Model frame);

// The model of an automaton that reads `codes`, calibrated on the validation rows; goldens by walking its
// table. `codes` without inputs are the symbols.
predict::Model ModelOf(Automaton automaton, const StepCodes& codes, const Dataset& dataset,
                       predict::Model frame);

// Sequences for goldens: the first of several lengths in the dataset, and two of random steps.
std::vector<Steps> GoldenSteps(const Dataset& dataset, std::uint64_t seed);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_EXPORT_H_
