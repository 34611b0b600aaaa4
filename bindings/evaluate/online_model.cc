// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/online_model.h"

#include <algorithm>
#include <cmath>

#include "models/base/hash.h"
#include "models/base/refusal.h"
#include "models/predict/conformal.h"

namespace foreflow::evaluate {
namespace {

constexpr double kScoresABit = 4096;  // of predict::ClassScore

double Loss(std::uint16_t probability) { return predict::ClassScore(probability) / kScoresABit; }
double Loss(float probability) {
  return Loss(static_cast<std::uint16_t>(std::clamp(probability, 0.0f, 1.0f) * 65535.0f + 0.5f));
}

// Of 65536.
predict::Distribution Fixed(const std::vector<float>& said) {
  predict::Distribution fixed{};
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    fixed[i] = static_cast<std::uint32_t>(std::lround(static_cast<double>(said[i]) * 65536));
  }
  return fixed;
}

predict::PacketType Likeliest(const predict::Distribution& reading) {
  return static_cast<predict::PacketType>(std::max_element(reading.begin(), reading.end()) - reading.begin());
}

}  // namespace

OnlineModel::OnlineModel(const std::string& path, const Dataset& data, Together together)
    : data_(data), model_(path, data), together_(together) {
  for (std::size_t t = 0; t < data.targets.size(); ++t) {
    if (!data.targets[t].ArePacketTypes()) continue;
    Head& head = head_.emplace_back();
    head.target = t;
    head.reading.resize(data.rows());
    if (together_ == Together::kMixed) head.learner.resize(data.rows());
    head.last.resize(data.rows(), -1);
    head.source.resize(data.sources.size());
  }
  if (head_.empty())
    throw Refusal(path + ": +online and +mixed are for targets whose classes are the packet types");
}

std::vector<float> OnlineModel::Fallback(Head& head, std::size_t row, Work& work) {
  std::vector<float> probability(predict::kPacketTypes);
  VmOf(head, row).fallback.Predict(data_.vm_history[row], head.last[row], probability, work);
  return probability;
}

void OnlineModel::Step(std::size_t row, Output& output, Work& work) {
  model_.Step(row, output, work);
  for (Head& head : head_) {
    std::vector<float>& said = output[head.target];
    if (!data_.targets[head.target].IsKnown(row) || std::isnan(said[0])) continue;
    const predict::Distribution& reading = head.reading[row] = Fixed(said);
    head.last[row] = VmOf(head, row).last;
    if (together_ == Together::kMixed) {
      head.learner[row] = Fixed(Fallback(head, row, work));
      const predict::Distribution mixed = VmOf(head, row).share.Mix(reading, head.learner[row]);
      work.Add(WorkItem::kMultiplyAdd, 2 * predict::kPacketTypes);
      for (std::size_t i = 0; i < mixed.size(); ++i) said[i] = static_cast<float>(mixed[i]) / 65536.0f;
      continue;
    }
    const Source& source = head.source[data_.source[row]];
    if (!source.watch.Serves()) {
      said = Fallback(head, row, work);
      continue;
    }
    std::array<std::uint16_t, predict::kPacketTypes> probability{};
    source.calibrator.Apply(reading, Likeliest(reading), probability);
    work.Add(WorkItem::kMultiplyAdd, 2 * predict::kPacketTypes);
    for (std::size_t i = 0; i < probability.size(); ++i)
      said[i] = static_cast<float>(probability[i]) / 65535.0f;
  }
}

void OnlineModel::Learn(std::size_t row, std::size_t target, Work& work) {
  for (Head& head : head_) {
    if (head.target != target) continue;
    const std::int8_t truth = data_.targets[target].label[row];
    const auto type = static_cast<std::size_t>(truth);
    const predict::Distribution& reading = head.reading[row];
    Vm& vm = VmOf(head, row);
    if (together_ == Together::kMixed) {
      vm.share.Learn(reading[type], head.learner[row][type]);
      vm.fallback.Learn(data_.vm_history[row], head.last[row], truth, work);
      vm.last = truth;
      work.Add(WorkItem::kUpdate);
      continue;
    }
    Source& source = head.source[data_.source[row]];
    std::array<std::uint16_t, predict::kPacketTypes> probability{};
    source.calibrator.Apply(reading, Likeliest(reading), probability);
    source.calibrator.Learn(reading, static_cast<predict::PacketType>(truth));
    work.Add(WorkItem::kMultiplyAdd, 4 * predict::kPacketTypes);
    work.Add(WorkItem::kUpdate, 2);
    const bool teaches = !source.watch.Serves() || Mix64(row) % kShadow == 0;
    const double loss = Loss(probability[type]);
    source.watch.SeeModel(loss);
    if (teaches) {
      source.watch.SeeBoth(loss, Loss(Fallback(head, row, work)[type]));
      vm.fallback.Learn(data_.vm_history[row], head.last[row], truth, work);
    }
    vm.last = truth;
  }
}

}  // namespace foreflow::evaluate
