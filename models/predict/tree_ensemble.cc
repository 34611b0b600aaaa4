// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/tree_ensemble.h"

#include <algorithm>
#include <stdexcept>

#include "models/predict/vector_math.h"

namespace foreflow::predict {
namespace {

// Trees that go down together.
constexpr std::size_t kTogether = 8;

}  // namespace

TreeEnsemble::TreeEnsemble(const Model& model, InstructionSet set)
    : SequenceModel(model, 0), softmax_(NetworkKernelsOf(set).softmax) {
  if (model.kind != ModelKind::kTrees) throw std::invalid_argument("tree ensemble: the model is none");
  trees_ = model.hidden[0];
  depth_ = model.hidden[1];
  const std::vector<std::uint16_t>& feature = model.table("feature");
  const std::vector<float>& threshold = model.tensor("threshold");
  node_.resize(feature.size());
  for (std::size_t i = 0; i < node_.size(); ++i) node_[i] = {threshold[i], feature[i]};
  leaf_ = model.tensor("leaf");
  tree_output_ = model.table("tree_output");
  base_ = model.tensor("base");
  input_mean_ = model.input_mean;
  input_scale_ = model.input_scale;
  for (const Head& head : model.heads) {
    heads_.push_back({static_cast<std::uint16_t>(head.outputs()), head.IsClass(),
                      head.IsClass() ? 1 / head.temperature : 1});
  }
}

void TreeEnsemble::Step(const ModelStep* steps, std::size_t count, Work& work) const {
  std::uint32_t done = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (steps[i].output == nullptr) continue;
    StepOne(steps[i]);
    ++done;
  }
  work.Add(WorkItem::kTableStep, done * static_cast<std::uint32_t>(trees_ * depth_));
}

void TreeEnsemble::StepOne(const ModelStep& step) const {
  float value[kMaxInputs + 1];
  for (std::size_t f = 0; f < inputs(); ++f) value[f] = (step.inputs[f] - input_mean_[f]) * input_scale_[f];
  value[inputs()] = step.symbol;

  float sum[kMaxOutputs];
  std::copy(base_.begin(), base_.end(), sum);
  const std::size_t leaves = std::size_t{1} << depth_, nodes = leaves - 1;
  std::size_t tree = 0;
  for (; tree + kTogether <= trees_; tree += kTogether) {
    const Node* node = &node_[tree * nodes];
    std::size_t at[kTogether] = {};
    for (std::size_t level = 0; level < depth_; ++level) {
      for (std::size_t t = 0; t < kTogether; ++t) {
        const Node& here = node[t * nodes + at[t]];
        at[t] = 2 * at[t] + 1 + (value[here.feature] <= here.threshold ? 0 : 1);
      }
    }
    for (std::size_t t = 0; t < kTogether; ++t)
      sum[tree_output_[tree + t]] += leaf_[(tree + t) * leaves + at[t] - nodes];
  }
  for (; tree < trees_; ++tree) {
    std::size_t at = 0;
    for (std::size_t level = 0; level < depth_; ++level) {
      const Node& here = node_[tree * nodes + at];
      at = 2 * at + 1 + (value[here.feature] <= here.threshold ? 0 : 1);
    }
    sum[tree_output_[tree]] += leaf_[tree * leaves + at - nodes];
  }

  const float* from = sum;
  float* output = step.output;
  for (const HeadShape& head : heads_) {
    if (head.is_class) {
      float logit[(kMaxHeadOutputs + kGroup - 1) / kGroup * kGroup];
      std::fill(std::begin(logit), std::end(logit), kNoLogit);
      for (std::size_t i = 0; i < head.outputs; ++i) logit[i] = from[i] * head.sharpness;
      softmax_(logit, head.outputs, output);
    } else {
      vector_math::RunningMaximum(from, head.outputs, output);
    }
    from += head.outputs;
    output += head.outputs;
  }
}

}  // namespace foreflow::predict
