// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/distil.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <utility>

#include "models/base/rng.h"

namespace foreflow::train {
namespace {

constexpr std::uint32_t kMostStates = 4096;
constexpr std::uint32_t kLanes = 256;
constexpr std::uint32_t kSteps = 64;
constexpr double kSmoothing[] = {1, 4, 16, 64, 256, 1024};
constexpr std::uint32_t kPadding = std::numeric_limits<std::uint32_t>::max();
// How the clusters of a GRU's states are made.
constexpr float kExpectedWeight = 2;                    // of what a state expects, beside the state itself
constexpr std::size_t kSampleOfCluster = 8;             // rows a cluster that it is started from
constexpr int kRounds = 10;                             // of k-means
constexpr int kSweeps = 4;                              // of refinement
constexpr std::uint32_t kPartsOfStates[] = {1, 4, 32};  // most states, a quarter of them, ...
constexpr std::uint32_t kClusterSeed = 1;
constexpr std::uint32_t kDisguised = 6;  // one symbol in so many
// A quantile counted on fewer rows than this is the network's.
constexpr std::size_t kFewRows = 40;

void SoftmaxInPlace(float* logits, std::size_t count) {
  const double top = *std::max_element(logits, logits + count);
  double mass = 0;
  for (std::size_t i = 0; i < count; ++i) mass += std::exp(logits[i] - top);
  for (std::size_t i = 0; i < count; ++i) logits[i] = static_cast<float>(std::exp(logits[i] - top) / mass);
}

// The network's states on the training sequences; steps of a sequence are in order.
struct Visited {
  std::vector<float> state;             // steps x width
  std::vector<std::uint32_t> sequence;  // numbered from 0
  std::vector<std::uint32_t> symbol;
  std::uint32_t sequences = 0;
};

// Stands for another symbol throughout a sequence, or for itself.
std::uint32_t Disguised(std::uint32_t symbol, std::uint32_t sequence, std::uint32_t symbols) {
  const std::uint32_t draw = Philox4x32({sequence, symbol, 0, 0}, {kClusterSeed, kDisguised})[0];
  return draw % kDisguised == 0 ? draw / kDisguised % symbols : symbol;
}

// With `disguised`, some symbols of a sequence are others throughout: the states that the network would be in
// on traffic that is like the training's, but not it.
void Visit(Network& network, const Dataset& dataset, bool disguised, Visited& visited) {
  const std::size_t width = network.width();
  const Lanes lanes(dataset, kTrainSplit, kLanes, 0);
  std::vector<std::uint32_t> running(kLanes, 0);
  network.ClearState();
  for (std::size_t first = 0; first < lanes.steps(); first += kSteps) {
    Chunk chunk = lanes.At(first, kSteps);
    std::vector<std::uint32_t> sequence(chunk.size());
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (chunk.keep[i] == 0 && chunk.row[i] != kPadding) running[i % kLanes] = visited.sequences++;
      sequence[i] = running[i % kLanes];
      if (disguised) {
        chunk.symbol[i] =
            Disguised(static_cast<std::uint32_t>(chunk.symbol[i]), sequence[i], dataset.symbols);
      }
    }
    const std::vector<float> states = network.States(chunk);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (chunk.row[i] == kPadding) continue;
      visited.sequence.push_back(sequence[i]);
      visited.symbol.push_back(static_cast<std::uint32_t>(chunk.symbol[i]));
      const auto at = states.begin() + static_cast<std::ptrdiff_t>(i * width);
      visited.state.insert(visited.state.end(), at, at + static_cast<std::ptrdiff_t>(width));
    }
  }
  network.ClearState();
}

// The kept states of a binary network, one vector after the other: the first, then the most visited.
std::vector<float> MostVisited(const Visited& visited, const std::vector<float>& first, std::uint32_t most) {
  const std::size_t width = first.size();
  std::map<std::vector<float>, std::uint64_t> visits;
  for (std::size_t at = 0; at < visited.state.size(); at += width) {
    const auto begin = visited.state.begin() + static_cast<std::ptrdiff_t>(at);
    ++visits[std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(width))];
  }
  std::vector<std::pair<std::uint64_t, const std::vector<float>*>> order;
  for (const auto& [state, count] : visits) {
    if (state != first) order.emplace_back(count, &state);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<float> kept = first;
  for (std::size_t i = 0; i < order.size() && i + 1 < most; ++i) {
    kept.insert(kept.end(), order[i].second->begin(), order[i].second->end());
  }
  return kept;
}

// States as points whose distance says how much they differ: the vector, and what it expects.
class Geometry {
 public:
  Geometry(Network& network, const NetworkShape& shape) : network_(network), shape_(shape) {}

  std::size_t width() const {
    return network_.width() + (shape_.kind == NetworkKind::kBinary ? 0 : shape_.head_start.size());
  }

  std::vector<float> Points(const std::vector<float>& states) const {
    if (shape_.kind == NetworkKind::kBinary) return states;  // signs: the distance counts those that differ
    const std::size_t own = network_.width(), outputs = shape_.head_start.size(), rows = states.size() / own;
    const std::vector<float> expected = network_.Outputs(states);
    std::vector<float> points;
    points.reserve(rows * width());
    for (std::size_t row = 0; row < rows; ++row) {
      const auto state = states.begin() + static_cast<std::ptrdiff_t>(row * own);
      points.insert(points.end(), state, state + static_cast<std::ptrdiff_t>(own));
      std::vector<float> said(expected.begin() + static_cast<std::ptrdiff_t>(row * outputs),
                              expected.begin() + static_cast<std::ptrdiff_t>((row + 1) * outputs));
      float* of = said.data();
      for (std::size_t i = 0; i < shape_.heads.size(); ++i) {
        const predict::Head& head = shape_.heads[i];
        const float weight = kExpectedWeight * static_cast<float>(std::sqrt(shape_.head_weight[i]));
        // Roots of probabilities: Hellinger's distance.
        if (head.IsClass()) SoftmaxInPlace(of, head.outputs());
        for (std::size_t k = 0; k < head.outputs(); ++k)
          of[k] = weight * (head.IsClass() ? std::sqrt(of[k]) : of[k]);
        of += head.outputs();
      }
      points.insert(points.end(), said.begin(), said.end());
    }
    return points;
  }

 private:
  Network& network_;
  const NetworkShape& shape_;
};

// Means of the vectors of each group; groups without members keep what `means` holds.
void FillMeans(const std::vector<float>& vectors, const std::vector<std::uint32_t>& group, std::size_t width,
               std::vector<float>& means) {
  const std::size_t groups = means.size() / width;
  std::vector<double> sum(means.size(), 0);
  std::vector<double> count(groups, 0);
  for (std::size_t i = 0; i < group.size(); ++i) {
    count[group[i]] += 1;
    for (std::size_t k = 0; k < width; ++k) sum[group[i] * width + k] += vectors[i * width + k];
  }
  for (std::size_t i = 0; i < groups; ++i) {
    for (std::size_t k = 0; k < width && count[i] > 0; ++k) {
      means[i * width + k] = static_cast<float>(sum[i * width + k] / count[i]);
    }
  }
}

// Rows that are far from each other, for a start: k-means++ (Arthur and Vassilvitskii 2007) on a sample.
std::vector<std::uint32_t> Spread(const std::vector<float>& points, std::size_t width, std::uint32_t count,
                                  std::uint64_t seed) {
  Rng rng(seed, "train.clusters");
  const std::size_t rows = points.size() / width;
  std::vector<std::uint32_t> sample(std::min(rows, std::size_t{count} * kSampleOfCluster));
  for (std::size_t i = 0; i < sample.size(); ++i)
    sample[i] = static_cast<std::uint32_t>(i * rows / sample.size());
  // By column, so that the distances to a new centre are sums over arrays.
  std::vector<float> column(sample.size() * width);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    for (std::size_t k = 0; k < width; ++k) column[k * sample.size() + i] = points[sample[i] * width + k];
  }
  std::vector<float> nearest(sample.size(), std::numeric_limits<float>::max());
  std::vector<float> distance(sample.size());
  std::vector<std::uint32_t> chosen;
  std::size_t next = rng.Below(static_cast<std::uint32_t>(sample.size()));
  while (chosen.size() < count) {
    chosen.push_back(sample[next]);
    std::fill(distance.begin(), distance.end(), 0.0f);
    for (std::size_t k = 0; k < width; ++k) {
      const float* values = column.data() + k * sample.size();
      const float centre = values[next];
      for (std::size_t i = 0; i < sample.size(); ++i) {
        distance[i] += (values[i] - centre) * (values[i] - centre);
      }
    }
    double mass = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) {
      nearest[i] = std::min(nearest[i], distance[i]);
      mass += nearest[i];
    }
    if (!(mass > 0)) break;  // all points are centres
    double draw = rng.Real() * mass;
    for (next = 0; next + 1 < sample.size() && draw >= nearest[next]; ++next) draw -= nearest[next];
  }
  return chosen;
}

// Clusters of the visited states: centres as states, the first state before them.
std::vector<float> Clusters(const std::vector<float>& visited, const Geometry& geometry,
                            const std::vector<float>& first, std::uint32_t count, std::uint64_t seed) {
  const std::size_t own = first.size(), width = geometry.width();
  const std::vector<float> points = geometry.Points(visited);
  const std::vector<std::uint32_t> chosen = Spread(points, width, count - 1, seed);
  std::vector<float> centres;
  std::vector<float> states = first;
  for (const std::uint32_t row : chosen) {
    const auto point = points.begin() + static_cast<std::ptrdiff_t>(row * width);
    centres.insert(centres.end(), point, point + static_cast<std::ptrdiff_t>(width));
    const auto state = visited.begin() + static_cast<std::ptrdiff_t>(row * own);
    states.insert(states.end(), state, state + static_cast<std::ptrdiff_t>(own));
  }
  std::vector<std::uint32_t> cluster;
  for (int round = 0; round < kRounds; ++round) {
    cluster = Nearest(points, centres, width);
    FillMeans(points, cluster, width, centres);
  }
  std::vector<float> means(states.begin() + static_cast<std::ptrdiff_t>(own), states.end());
  FillMeans(visited, cluster, own, means);
  std::copy(means.begin(), means.end(), states.begin() + static_cast<std::ptrdiff_t>(own));
  return states;
}

// Where every symbol leads from every state: to the nearest of what the network makes of it.
void FillTransitions(Network& network, const Geometry& geometry, const std::vector<float>& states,
                     Automaton& automaton) {
  const std::vector<float> points = geometry.Points(states);
  automaton.next.resize(std::size_t{automaton.states} * automaton.symbols);
  for (std::uint32_t symbol = 0; symbol < automaton.symbols; ++symbol) {
    const std::vector<float> next =
        network.Next(states, std::vector<std::int64_t>(automaton.states, static_cast<std::int64_t>(symbol)));
    const std::vector<std::uint32_t> nearest = Nearest(geometry.Points(next), points, geometry.width());
    for (std::size_t state = 0; state < automaton.states; ++state) {
      automaton.next[state * automaton.symbols + symbol] = static_cast<std::uint16_t>(nearest[state]);
    }
  }
}

// Where a head's outputs lie among those of all heads.
struct Columns {
  std::size_t first;
  std::size_t count;
  std::size_t all;
};

// Mean log loss of a head's probabilities (by state) on the validation rows.
double ValidationLoss(const Dataset& dataset, const Target& target, const std::vector<std::uint16_t>& walked,
                      const std::vector<float>& probability, std::size_t classes) {
  double loss = 0, rows = 0;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] != kValidationSplit || target.label[row] < 0) continue;
    rows += 1;
    loss -= std::log(probability[walked[row] * classes + static_cast<std::size_t>(target.label[row])]);
  }
  return loss / std::max(rows, 1.0);
}

// Class counts of the training rows, by state.
struct Counts {
  std::vector<double> count;  // states x classes
  std::vector<double> rows;   // states
};

// Sets a head's outputs; returns its loss on the validation rows.
double CountClasses(const Dataset& dataset, const Target& target, const std::vector<std::uint16_t>& walked,
                    const Columns& columns, Automaton& automaton) {
  const std::size_t classes = columns.count;
  std::map<std::uint32_t, Counts> by_source;
  Counts all{std::vector<double>(automaton.states * classes, 0), std::vector<double>(automaton.states, 0)};
  const auto is_learnt = [&](std::size_t row) {
    return dataset.split[row] == kTrainSplit && target.label[row] >= 0;
  };
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (!is_learnt(row)) continue;
    Counts& own = by_source.emplace(dataset.source[row], Counts{}).first->second;
    if (own.rows.empty())
      own = {std::vector<double>(all.count.size(), 0), std::vector<double>(all.rows.size(), 0)};
    for (Counts* counts : {&all, &own}) {
      counts->count[walked[row] * classes + static_cast<std::size_t>(target.label[row])] += 1;
      counts->rows[walked[row]] += 1;
    }
  }
  const auto prior = [&](std::size_t state, std::size_t label) {
    return static_cast<double>(automaton.output[state * columns.all + columns.first + label]);
  };
  const auto smooth = [&](double smoothing) {
    std::vector<float> probability(all.count.size());
    for (std::size_t state = 0; state < automaton.states; ++state) {
      for (std::size_t i = 0; i < classes; ++i) {
        probability[state * classes + i] = static_cast<float>(
            (all.count[state * classes + i] + smoothing * prior(state, i)) / (all.rows[state] + smoothing));
      }
    }
    return probability;
  };
  const auto loss_left_out = [&](double smoothing) {
    double loss = 0;
    for (std::size_t row = 0; row < dataset.rows(); ++row) {
      if (!is_learnt(row)) continue;
      const Counts& own = by_source.at(dataset.source[row]);
      const std::size_t state = walked[row], label = static_cast<std::size_t>(target.label[row]);
      const double count = all.count[state * classes + label] - own.count[state * classes + label];
      const double rows = all.rows[state] - own.rows[state];
      loss -= std::log((count + smoothing * prior(state, label)) / (rows + smoothing));
    }
    return loss;
  };
  double best = kSmoothing[0], best_loss = std::numeric_limits<double>::infinity();
  for (const double smoothing : kSmoothing) {
    const double loss = by_source.size() > 1
                            ? loss_left_out(smoothing)
                            : ValidationLoss(dataset, target, walked, smooth(smoothing), classes);
    if (loss < best_loss) {
      best_loss = loss;
      best = smoothing;
    }
  }
  const std::vector<float> probability = smooth(best);
  for (std::size_t state = 0; state < automaton.states; ++state) {
    std::copy_n(probability.begin() + static_cast<std::ptrdiff_t>(state * classes), classes,
                automaton.output.begin() + static_cast<std::ptrdiff_t>(state * columns.all + columns.first));
  }
  return ValidationLoss(dataset, target, walked, probability, classes);
}

// The mean pinball loss on the validation rows.
double CountQuantiles(const Dataset& dataset, const Target& target, const std::vector<float>& levels,
                      const std::vector<std::uint16_t>& walked, const Columns& columns,
                      Automaton& automaton) {
  std::vector<std::vector<float>> values(automaton.states);
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] == kTrainSplit && target.is_known(row)) {
      values[walked[row]].push_back(target.value[row]);
    }
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
  double loss = 0, rows = 0;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] != kValidationSplit || !target.is_known(row)) continue;
    rows += static_cast<double>(levels.size());
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const double error =
          target.value[row] - automaton.output[walked[row] * columns.all + columns.first + i];
      loss += std::max(levels[i] * error, (levels[i] - 1) * error);
    }
  }
  return loss / std::max(rows, 1.0);
}

struct Tabulated {
  Automaton automaton;
  double loss = std::numeric_limits<double>::infinity();  // on the validation rows, a row: sum over the heads
};

// Outputs of the states of an automaton whose transitions are there.
void FillOutputs(Network& network, const NetworkShape& shape, const Dataset& dataset,
                 const std::vector<float>& states, const std::vector<std::uint16_t>& walked,
                 Tabulated& table) {
  Automaton& automaton = table.automaton;
  automaton.output = network.Outputs(states);
  table.loss = 0;
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
    const Target& target = dataset.targets[head];
    if (shape.heads[head].IsClass()) {
      table.loss += shape.head_weight[head] * CountClasses(dataset, target, walked, columns, automaton);
    } else {
      const std::vector<float>& levels = shape.heads[head].levels;
      table.loss +=
          shape.head_weight[head] * CountQuantiles(dataset, target, levels, walked, columns, automaton);
    }
  }
}

Tabulated Tabulate(Network& network, const NetworkShape& shape, const Dataset& dataset,
                   const std::vector<float>& states) {
  Tabulated table;
  table.automaton.states = static_cast<std::uint32_t>(states.size() / network.width());
  table.automaton.symbols = shape.symbols;
  FillTransitions(network, Geometry(network, shape), states, table.automaton);
  FillOutputs(network, shape, dataset, states, Walk(table.automaton, dataset), table);
  return table;
}

Tabulated Refine(Network& network, const NetworkShape& shape, const Dataset& dataset, const Visited& visited,
                 std::uint32_t count) {
  const Geometry geometry(network, shape);
  const std::size_t width = network.width();
  const std::vector<float> first = network.FirstState();
  std::vector<float> states = Clusters(visited.state, geometry, first, count, kClusterSeed);
  Tabulated best = Tabulate(network, shape, dataset, states), table = best;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    Automaton& automaton = table.automaton;
    std::vector<std::uint32_t> after, step;
    std::vector<std::uint32_t> running(visited.sequences, 0);
    for (std::size_t i = 0; i < visited.sequence.size(); ++i) {
      std::uint32_t& state = running[visited.sequence[i]];
      step.push_back(state * automaton.symbols + visited.symbol[i]);
      state = automaton.next[step.back()];
      after.push_back(state);
    }
    FillMeans(visited.state, after, width, states);
    std::copy(first.begin(), first.end(), states.begin());  // it stands for no step
    FillTransitions(network, geometry, states, automaton);
    // Observed steps, numbered densely.
    std::map<std::uint32_t, std::uint32_t> number;
    for (std::uint32_t& one : step) {
      one = number.emplace(one, static_cast<std::uint32_t>(number.size())).first->second;
    }
    std::vector<float> means(number.size() * width);
    FillMeans(visited.state, step, width, means);
    const std::vector<std::uint32_t> nearest =
        Nearest(geometry.Points(means), geometry.Points(states), geometry.width());
    for (const auto& [place, index] : number) {
      automaton.next[place] = static_cast<std::uint16_t>(nearest[index]);
    }
    FillOutputs(network, shape, dataset, states, Walk(automaton, dataset), table);
    if (table.loss < best.loss) best = table;
  }
  return best;
}

}  // namespace

std::uint32_t MostStates(std::size_t bytes, std::uint32_t symbols, std::size_t outputs) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(
      kMostStates, bytes / (sizeof(std::uint16_t) * symbols + sizeof(float) * outputs)));
}

Automaton Distil(Network& network, const NetworkShape& shape, const Dataset& dataset,
                 std::uint32_t most_states) {
  Visited visited;
  Visit(network, dataset, false, visited);
  if (shape.kind == NetworkKind::kBinary) {
    return Tabulate(network, shape, dataset, MostVisited(visited, network.FirstState(), most_states))
        .automaton;
  }
  Visit(network, dataset, true, visited);
  Tabulated best;
  for (const std::uint32_t part : kPartsOfStates) {
    const std::uint32_t count = std::max(2u, most_states / part);
    Tabulated found = Refine(network, shape, dataset, visited, count);
    std::fprintf(stderr, "  automaton of %u states: validation loss %.4f\n", found.automaton.states,
                 found.loss);
    if (found.loss < best.loss) best = std::move(found);
  }
  return best.automaton;
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
