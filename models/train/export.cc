// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/export.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "models/base/rng.h"
#include "models/train/temperature.h"

namespace foreflow::train {
namespace {

constexpr std::uint32_t kLanes = 256;
constexpr std::uint32_t kSteps = 64;
constexpr std::size_t kGoldenLengths[] = {1, 4, 16, 64};
constexpr std::size_t kRandomGoldens = 2;
constexpr std::size_t kRandomSteps = 32;

std::vector<float> Quantiles(std::vector<float> values, const std::vector<float>& levels) {
  std::sort(values.begin(), values.end());
  std::vector<float> quantiles;
  for (const float level : levels) {
    const double rank = std::ceil(level * static_cast<double>(values.size())) - 1;
    quantiles.push_back(values.empty() ? 0 : values[static_cast<std::size_t>(std::max(rank, 0.0))]);
  }
  return quantiles;
}

std::vector<float> StartOf(const Dataset& dataset, const Target& target, const predict::Head& head) {
  if (!head.IsClass()) {
    std::vector<float> values;
    for (std::size_t row = 0; row < dataset.rows(); ++row) {
      if (dataset.split[row] == kTrainSplit && target.is_known(row)) values.push_back(target.value[row]);
    }
    return Quantiles(std::move(values), head.levels);
  }
  std::vector<double> count(head.outputs(), 1);  // one row more of each: no class is impossible
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    if (dataset.split[row] == kTrainSplit && target.label[row] >= 0) {
      count[static_cast<std::size_t>(target.label[row])] += 1;
    }
  }
  double rows = 0;
  for (const double one : count) rows += one;
  std::vector<float> start;
  for (const double one : count) start.push_back(static_cast<float>(std::log(one / rows)));
  return start;
}

}  // namespace

std::vector<predict::Head> HeadsOf(const Dataset& dataset, const std::vector<float>& levels) {
  std::vector<predict::Head> heads;
  for (const Target& target : dataset.targets) {
    predict::Head head;
    head.target = target.name;
    if (target.is_class()) {
      head.classes = target.classes;
    } else {
      head.levels = levels;
    }
    heads.push_back(std::move(head));
  }
  return heads;
}

void FillFromTraining(const Dataset& dataset, NetworkShape& shape) {
  const std::size_t inputs = dataset.input_names.size();
  shape.input_mean.assign(inputs, 0);
  shape.input_scale.assign(inputs, 1);
  for (std::size_t i = 0; i < inputs; ++i) {
    double sum = 0, squares = 0, rows = 0;
    for (std::size_t row = 0; row < dataset.rows(); ++row) {
      if (dataset.split[row] != kTrainSplit) continue;
      const double x = dataset.inputs[row * inputs + i];
      sum += x;
      squares += x * x;
      rows += 1;
    }
    const double mean = sum / std::max(rows, 1.0);
    const double deviation = std::sqrt(std::max(squares / std::max(rows, 1.0) - mean * mean, 0.0));
    shape.input_mean[i] = static_cast<float>(mean);
    if (deviation > 1e-6) shape.input_scale[i] = static_cast<float>(1 / deviation);
  }
  shape.head_start.clear();
  for (std::size_t i = 0; i < shape.heads.size(); ++i) {
    const std::vector<float> start = StartOf(dataset, dataset.targets[i], shape.heads[i]);
    shape.head_start.insert(shape.head_start.end(), start.begin(), start.end());
  }
}

Scored Score(Network& network, const Dataset& dataset, const std::vector<predict::Head>& heads,
             std::uint8_t split) {
  std::size_t all = 0;
  for (const predict::Head& head : heads) all += head.outputs();
  Scored scored;
  scored.logits.resize(heads.size());
  scored.label.resize(heads.size());
  const Lanes lanes(dataset, split, kLanes, 0);
  network.ClearState();
  for (std::size_t first = 0; first < lanes.steps(); first += kSteps) {
    const Chunk chunk = lanes.At(first, kSteps);
    const std::vector<float> out = network.Forward(chunk);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (chunk.row[i] == std::numeric_limits<std::uint32_t>::max() || dataset.split[chunk.row[i]] != split)
        continue;
      const float* at = out.data() + i * all;
      for (std::size_t head = 0; head < heads.size(); ++head) {
        scored.logits[head].insert(scored.logits[head].end(), at, at + heads[head].outputs());
        at += heads[head].outputs();
        if (heads[head].IsClass()) scored.label[head].push_back(dataset.targets[head].label[chunk.row[i]]);
      }
    }
  }
  network.ClearState();
  return scored;
}

predict::Model Frame(const Dataset& dataset, const std::vector<predict::Head>& heads, std::uint64_t seed,
                     const std::string& command) {
  predict::Model model;
  model.task = dataset.task;
  model.feature_set = dataset.feature_set;
  model.symbols = dataset.symbols;
  model.heads = heads;
  model.data_sha256 = dataset.digest;
  model.seed = seed;
  model.command = command;
  return model;
}

predict::Model ModelOf(Network& network, const NetworkShape& shape, const Dataset& dataset,
                       predict::Model model) {
  model.kind = shape.kind == NetworkKind::kGru    ? predict::ModelKind::kGru
               : shape.kind == NetworkKind::kLstm ? predict::ModelKind::kLstm
                                                  : predict::ModelKind::kMlp;
  model.inputs = shape.inputs;
  model.hidden = {shape.hidden};
  model.input_mean = shape.input_mean;
  model.input_scale = shape.input_scale;
  model.tensors = network.Export();
  const Scored scored = Score(network, dataset, model.heads, kValidationSplit);
  for (std::size_t i = 0; i < model.heads.size(); ++i) {
    if (!model.heads[i].IsClass()) continue;
    model.heads[i].temperature = static_cast<float>(FitTemperature(
        scored.logits[i], static_cast<std::uint32_t>(model.heads[i].outputs()), scored.label[i]));
  }
  const std::vector<Steps> steps = GoldenSteps(dataset, model.seed);
  std::vector<std::vector<float>> expected = Reference(model).Run(steps);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    model.goldens.push_back({steps[i].symbol, steps[i].input, std::move(expected[i])});
  }
  return model;
}

predict::Model ModelOf(Automaton automaton, const StepCodes& codes, const Dataset& dataset,
                       predict::Model model) {
  const std::size_t all = model.outputs();
  std::size_t first = 0;
  const std::vector<std::uint16_t> walked = Walk(automaton, Coded(dataset, codes));
  for (std::size_t i = 0; i < model.heads.size(); ++i) {
    const std::size_t count = model.heads[i].outputs();
    if (model.heads[i].IsClass()) {
      std::vector<float> logits;
      std::vector<std::int8_t> label;
      for (std::size_t row = 0; row < dataset.rows(); ++row) {
        if (dataset.split[row] != kValidationSplit) continue;
        const float* of = automaton.output.data() + walked[row] * all + first;
        for (std::size_t k = 0; k < count; ++k) logits.push_back(std::log(of[k]));
        label.push_back(dataset.targets[i].label[row]);
      }
      const double temperature = FitTemperature(logits, static_cast<std::uint32_t>(count), label);
      for (std::size_t state = 0; state < automaton.states; ++state) {
        float* own = automaton.output.data() + state * all + first;
        double mass = 0;
        for (std::size_t k = 0; k < count; ++k) mass += std::pow(own[k], 1 / temperature);
        for (std::size_t k = 0; k < count; ++k) {
          own[k] = static_cast<float>(std::pow(own[k], 1 / temperature) / mass);
        }
      }
    }
    first += count;
  }
  automaton = Minimise(automaton);
  model.kind = predict::ModelKind::kAutomaton;
  model.hidden = {automaton.states};
  const bool has_inputs = !codes.edges.empty();
  predict::Tensor edge{"edge", {0}, {}};
  if (has_inputs) {
    model.inputs = static_cast<std::uint32_t>(codes.edges.size());
    model.input_mean.assign(model.inputs, 0);
    model.input_scale.assign(model.inputs, 1);
    model.hidden.push_back(codes.count);
    for (const std::vector<float>& each : codes.edges) {
      model.hidden.push_back(static_cast<std::uint32_t>(each.size()));
      edge.value.insert(edge.value.end(), each.begin(), each.end());
    }
    edge.shape = {static_cast<std::uint32_t>(edge.value.size())};
  }
  for (Steps& steps : GoldenSteps(dataset, model.seed)) {
    predict::GoldenSequence golden{std::move(steps.symbol), {}, {}};
    if (has_inputs) golden.input = std::move(steps.input);
    std::size_t state = 0;
    for (std::size_t step = 0; step < golden.symbol.size(); ++step) {
      const std::uint16_t code = codes.Of(golden.symbol[step], golden.input.data() + step * model.inputs);
      state = automaton.next[state * automaton.symbols + code];
      const auto own = automaton.output.begin() + static_cast<std::ptrdiff_t>(state * all);
      golden.expected.insert(golden.expected.end(), own, own + static_cast<std::ptrdiff_t>(all));
    }
    model.goldens.push_back(std::move(golden));
  }
  model.tables.push_back({"next_state", {automaton.states, automaton.symbols}, std::move(automaton.next)});
  model.tensors.push_back(
      {"output", {automaton.states, static_cast<std::uint32_t>(all)}, std::move(automaton.output)});
  if (has_inputs) {
    model.tables.push_back(
        {"step_code", {codes.symbols, static_cast<std::uint32_t>(codes.cells())}, codes.code});
    model.tensors.push_back(std::move(edge));
  }
  return model;
}

std::vector<Steps> GoldenSteps(const Dataset& dataset, std::uint64_t seed) {
  const std::size_t inputs = dataset.input_names.size();
  const std::uint32_t sequences = *std::max_element(dataset.sequence.begin(), dataset.sequence.end()) + 1;
  std::vector<std::uint32_t> length(sequences, 0);
  for (const std::uint32_t sequence : dataset.sequence) ++length[sequence];
  const auto add = [&](std::size_t row, Steps& steps) {
    steps.symbol.push_back(dataset.symbol[row]);
    for (std::size_t i = 0; i < inputs; ++i) steps.input.push_back(dataset.inputs[row * inputs + i]);
  };
  std::vector<Steps> all;
  for (const std::size_t wanted : kGoldenLengths) {
    const auto found =
        std::find_if(length.begin(), length.end(), [&](std::uint32_t rows) { return rows >= wanted; });
    if (found == length.end()) continue;
    Steps steps;
    for (std::size_t row = 0; row < dataset.rows() && steps.symbol.size() < wanted; ++row) {
      if (dataset.sequence[row] == static_cast<std::uint32_t>(found - length.begin())) add(row, steps);
    }
    all.push_back(std::move(steps));
  }
  for (std::uint32_t index = 0; index < kRandomGoldens; ++index) {
    Rng rng(seed, "train.golden", index);
    Steps steps;
    while (steps.symbol.size() < kRandomSteps) {
      add(rng.Below(static_cast<std::uint32_t>(dataset.rows())), steps);
      steps.symbol.back() = static_cast<std::uint8_t>(rng.Below(dataset.symbols));
    }
    all.push_back(std::move(steps));
  }
  return all;
}

}  // namespace foreflow::train
