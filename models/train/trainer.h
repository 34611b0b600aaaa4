// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_TRAINER_H_
#define FOREFLOW_MODELS_TRAIN_TRAINER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/train/dataset.h"
#include "models/train/network.h"

namespace foreflow::train {

// How long and in what pieces a network is trained.
struct Schedule {
  std::uint64_t seed = 1;
  std::uint32_t lanes = 128;      // sequences that are learnt from side by side
  std::uint32_t steps = 32;       // through which a gradient flows back
  std::uint32_t most_rows = 512;  // of a sequence in one piece
  std::uint32_t epochs = 40;
  std::uint32_t patience = 6;  // epochs without a better validation loss until it stops
  double rate = 6e-3;          // of learning; halved after every 3 epochs without a better validation loss
  std::string curve;           // CSV: the losses of every epoch; empty: none
  std::string checkpoint;      // the file; empty: none
  double checkpoint_seconds = 30;  // between two of them
  bool resume = false;             // from the checkpoint, where there is one
  std::string identity;            // of data and settings: a checkpoint of another one is refused
};

// How a training ended.
struct Outcome {
  std::uint32_t epochs = 0;        // run
  std::uint32_t best = 0;          // of them, from 1
  std::vector<double> validation;  // mean loss a head of the best epoch: nats, or pinball
};

// Trains on the training rows until the validation rows, which lie later in time, get no better; leaves the
// weights of the best epoch in `network`. Prints progress and the time left on standard error. A resumed
// training ends with the same weights as one that was never stopped. Throws Refusal where rows, files or the
// checkpoint do not do.
Outcome Train(Network& network, const Dataset& dataset, const std::vector<double>& head_weight,
              const Schedule& schedule);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_TRAINER_H_
