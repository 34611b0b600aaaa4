// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/trees.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "models/base/refusal.h"

namespace foreflow::train {
namespace {

using Json = nlohmann::json;

template <typename T>
std::vector<T> Flat(const Json& value) {
  if (!value.is_array()) return {value.get<T>()};
  std::vector<T> all;
  for (const Json& one : value) {
    for (const T each : Flat<T>(one)) all.push_back(each);
  }
  return all;
}

}  // namespace

predict::Model TreesModel(const std::string& path, const Dataset& dataset, predict::Model model) {
  std::ifstream in(path);
  if (!in) throw Refusal(path + ": cannot be opened; --fitted names what analysis/foreflow/trees.py wrote");
  try {
    const Json document = Json::parse(in);
    const auto depth = document.at("depth").get<std::uint32_t>();
    std::vector<std::uint16_t> output = Flat<std::uint16_t>(document.at("tree_output"));
    const auto trees = static_cast<std::uint32_t>(output.size());
    const std::uint32_t leaves = 1u << std::min(depth, 31u);  // writing the model refuses more than a few
    model.hidden = {trees, depth};
    model.tables.push_back({"tree_output", {trees}, std::move(output)});
    model.tables.push_back({"feature", {trees, leaves - 1}, Flat<std::uint16_t>(document.at("feature"))});
    model.tensors.push_back({"threshold", {trees, leaves - 1}, Flat<float>(document.at("threshold"))});
    model.tensors.push_back({"leaf", {trees, leaves}, Flat<float>(document.at("leaf"))});
    const Json& golden = document.at("golden");
    model.goldens.push_back({Flat<std::uint8_t>(golden.at("symbol")), Flat<float>(golden.at("input")),
                             Flat<float>(golden.at("expected"))});
    for (std::size_t i = 0; i < model.heads.size(); ++i) {
      if (!model.heads[i].IsClass()) model.heads[i].levels = Flat<float>(document.at("levels"));
    }
    model.tensors.push_back(
        {"base", {static_cast<std::uint32_t>(model.outputs())}, Flat<float>(document.at("base"))});
    for (std::size_t i = 0; i < model.heads.size(); ++i) {
      if (model.heads[i].IsClass())
        model.heads[i].temperature = document.at("temperature").at(i).get<float>();
    }
  } catch (const Json::exception& error) {
    throw Refusal(path + ": no fitted ensemble: " + error.what());
  }
  model.kind = predict::ModelKind::kTrees;
  model.inputs = static_cast<std::uint32_t>(dataset.input_names.size());
  model.input_mean.assign(model.inputs, 0);
  model.input_scale.assign(model.inputs, 1);
  return model;
}

}  // namespace foreflow::train
