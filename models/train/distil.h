// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_DISTIL_H_
#define FOREFLOW_MODELS_TRAIN_DISTIL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/train/dataset.h"
#include "models/train/network.h"

namespace foreflow::train {

// The tables of an automaton. A sequence begins in state 0.
struct Automaton {
  std::uint32_t states = 0;
  std::uint32_t symbols = 0;
  std::vector<std::uint16_t> next;  // states x symbols
  std::vector<float> output;        // states x outputs: probabilities and quantiles
};

// As many states as fit in `bytes` with their transitions and outputs; at most 4096.
std::uint32_t MostStates(std::size_t bytes, std::uint32_t symbols, std::size_t outputs);

// Makes an automaton of a trained network that reads symbols only.
//
// kBinary: its states are the combinations of signs that the training rows visit, the `most_states` most
// visited of them; one that was left out gives way to the kept one that differs in the fewest signs.
//
// kGru: its states are clusters (k-means, k-means++) of the network's own states on the training rows, where
// states are near that are near as vectors and expect the same. A symbol leads from a cluster to the one
// nearest to what the network makes of its centre. Then a few sweeps, of which the best on the validation
// rows is kept: the table is walked; every state moves to the mean of the network's states on the rows where
// the walk is in it, and every observed step leads to the state nearest to the mean of what the network had
// there. Several numbers of states are tried.
//
// In both cases outputs are counted on the training rows as the table walks them, and smoothed towards the
// network's: (count + a p) / (rows + a), a chosen on the validation rows. `network` is of `shape`.
Automaton Distil(Network& network, const NetworkShape& shape, const Dataset& dataset,
                 std::uint32_t most_states);

// The state after every row.
std::vector<std::uint16_t> Walk(const Automaton& automaton, const Dataset& dataset);

// The same automaton without states that nothing reaches, and with one state for all that no sequence of
// symbols tells apart (partition refinement, Moore 1956). States keep their order; those without difference
// in `output` begin alike.
Automaton Minimise(const Automaton& automaton);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_DISTIL_H_
