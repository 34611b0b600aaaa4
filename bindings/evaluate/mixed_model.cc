// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/mixed_model.h"

#include <algorithm>

#include "bindings/evaluate/classifier.h"
#include "bindings/evaluate/file_model.h"
#include "models/base/hash.h"
#include "models/base/refusal.h"

namespace foreflow::evaluate {
namespace {

bool Predicts(const predict::Model& model, const Target& target) {
  return std::any_of(model.heads.begin(), model.heads.end(),
                     [&](const predict::Head& head) { return head.target == target.name; });
}

}  // namespace

MixedModel::MixedModel(const std::vector<std::string>& paths, const Dataset& data) : data_(data) {
  predict::TieredConfig config;
  for (const std::string& path : paths) {
    auto model = std::make_shared<const predict::Model>(LoadModel(path));
    predict::RequireUse(*model, path, data.task, data.feature_set);
    predict::RequireGoldens(*model, path);
    auto& tier = model->kind == predict::ModelKind::kAutomaton ? config.table : config.network;
    if (tier != nullptr) {
      throw Refusal(path + ": is of the same tier as the model before it; name a table and a network");
    }
    tier = std::move(model);
  }
  if (data.inputs_per_row != predict::kSequenceInputs) {
    throw Refusal(data.path, "inputs", std::to_string(data.inputs_per_row),
                  std::to_string(predict::kSequenceInputs));
  }
  config.vms = std::max<std::uint16_t>(1, *std::max_element(data.vm.begin(), data.vm.end()));
  for (std::size_t t = 0; t < data.targets.size(); ++t) {
    const Target& target = data.targets[t];
    if (!target.ArePacketTypes()) continue;
    config.target = target.name;
    bool is_there = true;
    for (const auto& model : {config.table, config.network}) {
      is_there = is_there && (model == nullptr || Predicts(*model, target));
    }
    if (!is_there) continue;
    if (config.table != nullptr) predict::RequireTypes(*config.table, paths[0], true, target.name);
    if (config.network != nullptr) predict::RequireTypes(*config.network, paths.back(), false, target.name);
    Head& head = head_.emplace_back();
    head.target = t;
    for (std::size_t source = 0; source < data.sources.size(); ++source) {
      head.host.push_back(std::make_unique<predict::TieredPredictor>(config));
    }
    head.guess.resize(data.rows());
  }
  if (head_.empty()) {
    throw Refusal(paths[0] +
                  ": +mixed is for targets whose classes are the packet types, and that it predicts");
  }
}

void MixedModel::Step(std::size_t row, Output& output, Work& work) {
  predict::SequenceInputs inputs;
  inputs.symbol = data_.symbol[row];
  std::copy_n(&data_.inputs[row * data_.inputs_per_row], inputs.value.size(), inputs.value.begin());
  for (Head& head : head_) {
    predict::TieredPredictor& host = *head.host[data_.source[row]];
    predict::Reading reading;
    predict::TieredPredictor::Item item;
    item.inputs = &inputs;
    item.hash = Mix64(data_.sequence[row]);
    item.is_wanted = data_.HasLabel(row);
    item.arrival = item.now = Nanos(data_.time_ns[row]);
    item.reading = &reading;
    item.work = &work;
    host.Read(&item, 1);
    if (!item.is_wanted) continue;
    const predict::Prediction said =
        host.Predict(reading, data_.vm[row], ContextOf(data_.vm_history[row], -1), head.guess[row], work);
    for (std::size_t i = 0; i < said.probability.size(); ++i) {
      output[head.target][i] = static_cast<float>(said.probability[i]) / 65535.0f;
    }
  }
}

void MixedModel::Learn(std::size_t row, std::size_t target, Work& work) {
  for (Head& head : head_) {
    if (head.target != target) continue;
    const auto truth = static_cast<predict::PacketType>(data_.targets[target].label[row]);
    head.host[data_.source[row]]->Learn(head.guess[row], data_.vm[row], ContextOf(data_.vm_history[row], -1),
                                        row, truth, Nanos(data_.time_ns[row]), work);
  }
}

}  // namespace foreflow::evaluate
