// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/distil.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace foreflow::train {
namespace {

constexpr std::uint32_t kMostStates = 4096;
constexpr std::uint32_t kLanes = 256;
constexpr std::uint32_t kSteps = 64;
constexpr double kSmoothing[] = {1, 4, 16, 64, 256};
// A quantile counted on fewer rows than this is the network's.
constexpr std::size_t kFewRows = 40;

int Differing(std::uint32_t a, std::uint32_t b) { return __builtin_popcount(a ^ b); }

// How often the training rows visit each state of the network.
std::map<std::uint32_t, std::uint64_t> Visits(Network& network, const Dataset& dataset) {
  std::map<std::uint32_t, std::uint64_t> visits;
  const Lanes lanes(dataset, kTrainSplit, kLanes, 0);
  network.ClearState();
  for (std::size_t first = 0; first < lanes.steps(); first += kSteps) {
    const Chunk chunk = lanes.At(first, kSteps);
    const std::vector<std::uint32_t> states = network.States(chunk);
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (chunk.row[i] != std::numeric_limits<std::uint32_t>::max()) ++visits[states[i]];
    }
  }
  return visits;
}

// The kept states, the initial one first, then the most visited.
std::vector<std::uint32_t> Kept(const std::map<std::uint32_t, std::uint64_t>& visits, std::uint32_t most) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> order;
  for (const auto& [state, count] : visits) {
    if (state != 0) order.emplace_back(count, state);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::uint32_t> kept{0};
  for (const auto& [count, state] : order) {
    if (kept.size() == most) break;
    kept.push_back(state);
  }
  return kept;
}

std::uint16_t Nearest(const std::vector<std::uint32_t>& kept, std::uint32_t state) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < kept.size(); ++i) {
    if (Differing(kept[i], state) < Differing(kept[best], state)) best = i;
  }
  return static_cast<std::uint16_t>(best);
}

void FillTransitions(Network& network, const std::vector<std::uint32_t>& kept, Automaton& automaton) {
  std::map<std::uint32_t, std::uint16_t> index;
  for (std::size_t i = 0; i < kept.size(); ++i) index.emplace(kept[i], static_cast<std::uint16_t>(i));
  automaton.next.resize(std::size_t{automaton.states} * automaton.symbols);
  for (std::uint32_t symbol = 0; symbol < automaton.symbols; ++symbol) {
    const std::vector<std::uint32_t> next =
        network.Next(kept, std::vector<std::int64_t>(kept.size(), symbol));
    for (std::size_t state = 0; state < kept.size(); ++state) {
      auto found = index.find(next[state]);
      if (found == index.end()) found = index.emplace(next[state], Nearest(kept, next[state])).first;
      automaton.next[state * automaton.symbols + symbol] = found->second;
    }
  }
}

void SoftmaxInPlace(float* logits, std::size_t count) {
  const double top = *std::max_element(logits, logits + count);
  double mass = 0;
  for (std::size_t i = 0; i < count; ++i) mass += std::exp(logits[i] - top);
  for (std::size_t i = 0; i < count; ++i) logits[i] = static_cast<float>(std::exp(logits[i] - top) / mass);
}

// Where a head's outputs lie among those of all heads.
struct Columns {
  std::size_t first;
  std::size_t count;
  std::size_t all;
};

// Log loss of a head's probabilities (by state) on the validation rows.
double ValidationLoss(const Dataset& dataset, const Target& target, const std::vector<std::uint16_t>& walked,
                      const std::vector<float>& probability, std::size_t classes) {
  double loss = 0;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] != kValidationSplit || target.label[row] < 0) continue;
    loss -= std::log(static_cast<double>(
        probability[walked[row] * classes + static_cast<std::size_t>(target.label[row])]));
  }
  return loss;
}

void CountClasses(const Dataset& dataset, const Target& target, const std::vector<std::uint16_t>& walked,
                  const Columns& columns, Automaton& automaton) {
  std::vector<double> count(automaton.states * columns.count, 0);
  std::vector<double> rows(automaton.states, 0);
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] != kTrainSplit || target.label[row] < 0) continue;
    count[walked[row] * columns.count + static_cast<std::size_t>(target.label[row])] += 1;
    rows[walked[row]] += 1;
  }
  std::vector<float> best;
  double best_loss = std::numeric_limits<double>::infinity();
  for (const double smoothing : kSmoothing) {
    std::vector<float> smooth(count.size());
    for (std::size_t state = 0; state < automaton.states; ++state) {
      for (std::size_t i = 0; i < columns.count; ++i) {
        const double prior = automaton.output[state * columns.all + columns.first + i];
        smooth[state * columns.count + i] = static_cast<float>(
            (count[state * columns.count + i] + smoothing * prior) / (rows[state] + smoothing));
      }
    }
    const double loss = ValidationLoss(dataset, target, walked, smooth, columns.count);
    if (loss < best_loss) {
      best_loss = loss;
      best = smooth;
    }
  }
  for (std::size_t state = 0; state < automaton.states; ++state) {
    std::copy_n(best.begin() + static_cast<std::ptrdiff_t>(state * columns.count), columns.count,
                automaton.output.begin() + static_cast<std::ptrdiff_t>(state * columns.all + columns.first));
  }
}

void CountQuantiles(const Dataset& dataset, const Target& target, const std::vector<float>& levels,
                    const std::vector<std::uint16_t>& walked, const Columns& columns, Automaton& automaton) {
  std::vector<std::vector<float>> values(automaton.states);
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] == kTrainSplit && target.is_known(row))
      values[walked[row]].push_back(target.value[row]);
  }
  for (std::size_t state = 0; state < automaton.states; ++state) {
    if (values[state].size() < kFewRows) continue;
    std::sort(values[state].begin(), values[state].end());
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const double rank = std::ceil(levels[i] * static_cast<double>(values[state].size())) - 1;
      automaton.output[state * columns.all + columns.first + i] =
          values[state][static_cast<std::size_t>(std::max(rank, 0.0))];
    }
  }
}

}  // namespace

std::uint32_t MostStates(std::size_t bytes, std::uint32_t symbols, std::size_t outputs) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(kMostStates, bytes / (2 * (symbols + outputs))));
}

Automaton Distil(Network& network, const NetworkShape& shape, const Dataset& dataset,
                 std::uint32_t most_states) {
  const std::vector<std::uint32_t> kept = Kept(Visits(network, dataset), most_states);
  Automaton automaton;
  automaton.states = static_cast<std::uint32_t>(kept.size());
  automaton.symbols = shape.symbols;
  FillTransitions(network, kept, automaton);
  automaton.output = network.Outputs(kept);

  const std::vector<std::uint16_t> walked = Walk(automaton, dataset);
  const std::size_t all = shape.head_start.size();
  std::size_t first = 0;
  for (std::size_t head = 0; head < shape.heads.size(); ++head) {
    const Columns columns{first, shape.heads[head].outputs(), all};
    first += columns.count;
    for (std::size_t state = 0; state < automaton.states; ++state) {
      float* own = automaton.output.data() + state * all + columns.first;
      if (shape.heads[head].IsClass()) {
        SoftmaxInPlace(own, columns.count);
      } else {
        for (std::size_t i = 1; i < columns.count; ++i) own[i] = std::max(own[i], own[i - 1]);
      }
    }
    if (shape.heads[head].IsClass()) {
      CountClasses(dataset, dataset.targets[head], walked, columns, automaton);
    } else {
      CountQuantiles(dataset, dataset.targets[head], shape.heads[head].levels, walked, columns, automaton);
    }
  }
  return automaton;
}

std::vector<std::uint16_t> Walk(const Automaton& automaton, const Dataset& dataset) {
  const std::uint32_t sequences = *std::max_element(dataset.sequence.begin(), dataset.sequence.end()) + 1;
  std::vector<std::uint16_t> state(sequences, 0);
  std::vector<std::uint16_t> walked(dataset.rows());
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    std::uint16_t& own = state[dataset.sequence[row]];
    own = automaton.next[std::size_t{own} * automaton.symbols + dataset.symbol[row]];
    walked[row] = own;
  }
  return walked;
}

Automaton Minimise(const Automaton& automaton) {
  const std::uint32_t symbols = automaton.symbols;
  const std::size_t outputs = automaton.output.size() / automaton.states;
  // Reachable from the initial state.
  std::vector<std::uint32_t> waiting{0};
  std::vector<bool> reached(automaton.states, false);
  reached[0] = true;
  while (!waiting.empty()) {
    const std::size_t state = waiting.back();
    waiting.pop_back();
    for (std::uint32_t symbol = 0; symbol < symbols; ++symbol) {
      const std::uint16_t next = automaton.next[state * symbols + symbol];
      if (!reached[next]) waiting.push_back(next);
      reached[next] = true;
    }
  }
  // Blocks of states, split until the successors of a block's states lie in the same blocks.
  std::vector<std::uint32_t> block(automaton.states, 0);
  std::uint32_t blocks = 0;
  for (bool first = true;; first = false) {
    std::map<std::vector<float>, std::uint32_t> by_output;
    std::map<std::vector<std::uint32_t>, std::uint32_t> by_successors;
    std::vector<std::uint32_t> refined(automaton.states, 0);
    for (std::size_t state = 0; state < automaton.states; ++state) {
      if (!reached[state]) continue;
      if (first) {
        const float* own = automaton.output.data() + state * outputs;
        refined[state] =
            by_output.emplace(std::vector<float>(own, own + outputs), by_output.size()).first->second;
      } else {
        std::vector<std::uint32_t> key{block[state]};
        for (std::uint32_t symbol = 0; symbol < symbols; ++symbol) {
          key.push_back(block[automaton.next[state * symbols + symbol]]);
        }
        refined[state] = by_successors.emplace(std::move(key), by_successors.size()).first->second;
      }
    }
    const auto found = static_cast<std::uint32_t>(first ? by_output.size() : by_successors.size());
    block = std::move(refined);
    if (!first && found == blocks) break;
    blocks = found;
  }
  Automaton small;
  small.states = blocks;
  small.symbols = symbols;
  small.next.resize(std::size_t{blocks} * symbols);
  small.output.resize(std::size_t{blocks} * outputs);
  for (std::size_t state = 0; state < automaton.states; ++state) {
    if (!reached[state]) continue;
    for (std::uint32_t symbol = 0; symbol < symbols; ++symbol) {
      small.next[block[state] * symbols + symbol] =
          static_cast<std::uint16_t>(block[automaton.next[state * symbols + symbol]]);
    }
    std::copy_n(automaton.output.begin() + static_cast<std::ptrdiff_t>(state * outputs), outputs,
                small.output.begin() + static_cast<std::ptrdiff_t>(block[state] * outputs));
  }
  return small;
}

}  // namespace foreflow::train
