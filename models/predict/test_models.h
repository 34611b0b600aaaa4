// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TEST_MODELS_H_
#define FOREFLOW_MODELS_PREDICT_TEST_MODELS_H_

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "models/predict/model_file.h"

namespace foreflow::predict {

// The sizes of a random model.
struct RandomModel {
  ModelKind kind = ModelKind::kGru;
  std::vector<std::uint32_t> hidden = {16};
  std::uint32_t symbols = 64;
  std::uint32_t inputs = 0;
  std::vector<std::size_t> classes = {7};  // of each class head
  std::vector<std::size_t> levels;         // of each quantile head, which follow
  float scale = 0.5f;                      // weights are uniform in -scale..scale
};

// A model that its file may hold, with weights, tables and trees at random.
inline Model MakeModel(const RandomModel& sizes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Model model;
  model.task = "next-type";
  model.kind = sizes.kind;
  model.feature_set = 1;
  model.symbols = sizes.symbols;
  model.inputs = sizes.inputs;
  model.hidden = sizes.hidden;
  for (const std::size_t classes : sizes.classes) {
    Head head;
    head.target = "target" + std::to_string(model.heads.size());
    for (std::size_t i = 0; i < classes; ++i) head.classes.push_back("class" + std::to_string(i));
    head.temperature = 1.25f;
    model.heads.push_back(head);
  }
  for (const std::size_t levels : sizes.levels) {
    Head head;
    head.target = "target" + std::to_string(model.heads.size());
    for (std::size_t i = 0; i < levels; ++i)
      head.levels.push_back(static_cast<float>(i + 1) / static_cast<float>(levels + 1));
    model.heads.push_back(head);
  }
  std::uniform_real_distribution<float> weight(-sizes.scale, sizes.scale);
  const auto outputs = static_cast<std::uint32_t>(model.outputs());
  const std::uint32_t inputs = sizes.inputs, symbols = sizes.symbols, width = sizes.hidden[0];
  const auto count = [](const std::vector<std::uint32_t>& shape) {
    std::size_t product = 1;
    for (const std::uint32_t extent : shape) product *= extent;
    return product;
  };
  const auto tensor = [&](const char* name, std::vector<std::uint32_t> shape) -> std::vector<float>& {
    Tensor made{name, std::move(shape), {}};
    made.value.resize(count(made.shape));
    for (float& value : made.value) value = weight(random);
    model.tensors.push_back(std::move(made));
    return model.tensors.back().value;
  };
  const auto table = [&](const char* name, std::vector<std::uint32_t> shape, std::uint32_t below) {
    Table made{name, std::move(shape), {}};
    made.value.resize(count(made.shape));
    for (std::uint16_t& value : made.value) value = static_cast<std::uint16_t>(random() % below);
    model.tables.push_back(std::move(made));
  };
  switch (sizes.kind) {
    case ModelKind::kGru:
    case ModelKind::kLstm: {
      const std::uint32_t gates = (sizes.kind == ModelKind::kGru ? 3 : 4) * width;
      tensor("embedding", {symbols, gates});
      if (inputs > 0) tensor("weight_ih", {gates, inputs});
      tensor("weight_hh", {gates, width});
      if (sizes.kind == ModelKind::kGru) tensor("bias_hn", {width});
      tensor("head_weight", {outputs, width});
      tensor("head_bias", {outputs});
      break;
    }
    case ModelKind::kMlp:
      tensor("embedding", {symbols, width});
      if (inputs > 0) tensor("weight_1", {width, inputs});
      if (sizes.hidden.size() > 1) {
        tensor("weight_2", {sizes.hidden[1], width});
        tensor("bias_2", {sizes.hidden[1]});
      }
      tensor("head_weight", {outputs, sizes.hidden.back()});
      tensor("head_bias", {outputs});
      break;
    case ModelKind::kAutomaton: {
      const std::uint32_t codes = inputs > 0 ? sizes.hidden[1] : symbols;
      table("next_state", {width, codes}, width);
      for (float& value : tensor("output", {width, outputs}))
        value = std::min(1.0f, value < 0 ? -value : value);
      if (inputs == 0) break;
      std::uint32_t cells = 1, edges = 0;
      for (std::size_t i = 2; i < sizes.hidden.size(); ++i) {
        cells *= sizes.hidden[i] + 1;
        edges += sizes.hidden[i];
      }
      table("step_code", {symbols, cells}, codes);
      auto edge = tensor("edge", {edges}).begin();
      for (std::size_t i = 2; i < sizes.hidden.size(); ++i) {
        std::sort(edge, edge + sizes.hidden[i]);
        edge += sizes.hidden[i];
      }
      break;
    }
    case ModelKind::kTrees: {
      const std::uint32_t leaves = 1u << sizes.hidden[1];
      table("tree_output", {width}, outputs);
      table("feature", {width, leaves - 1}, inputs + 1);
      tensor("threshold", {width, leaves - 1});
      tensor("leaf", {width, leaves});
      tensor("base", {outputs});
      break;
    }
  }
  for (std::uint32_t i = 0; i < inputs; ++i) {
    model.input_mean.push_back(weight(random));
    model.input_scale.push_back(1 + weight(random));
  }
  for (std::uint8_t& byte : model.data_sha256) byte = static_cast<std::uint8_t>(random());
  model.seed = seed;
  model.command = "./foreflow train next-type";
  GoldenSequence golden;
  for (std::size_t step = 0; step < 3; ++step) {
    golden.symbol.push_back(static_cast<std::uint8_t>(random() % symbols));
    for (std::uint32_t i = 0; i < inputs; ++i) golden.input.push_back(weight(random));
    for (std::uint32_t i = 0; i < outputs; ++i) golden.expected.push_back(weight(random));
  }
  model.goldens.push_back(golden);
  return model;
}

// One of each kind, small.
inline std::vector<Model> OneOfEachKind(std::uint64_t seed) {
  return {MakeModel({ModelKind::kGru, {16}, 4, 2, {7, 2}, {}}, seed),
          MakeModel({ModelKind::kLstm, {16}, 4, 0, {3}, {3}}, seed + 1),
          MakeModel({ModelKind::kMlp, {16}, 1, 3, {}, {5}}, seed + 2),
          MakeModel({ModelKind::kMlp, {16, 32}, 2, 0, {2}, {}}, seed + 3),
          MakeModel({ModelKind::kAutomaton, {40}, 8, 0, {4, 3}, {}}, seed + 4),
          MakeModel({ModelKind::kAutomaton, {30, 9, 3, 0, 2}, 4, 3, {4}, {}}, seed + 6),
          MakeModel({ModelKind::kTrees, {6, 3}, 3, 4, {3}, {2}}, seed + 5)};
}

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TEST_MODELS_H_
