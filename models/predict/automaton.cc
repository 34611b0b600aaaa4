// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/automaton.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "models/predict/vector_math.h"

namespace foreflow::predict {
namespace {

// Steps whose states are on their way: as many as a burst.
constexpr std::size_t kAhead = 32;

}  // namespace

Automaton::Automaton(const Model& model) : SequenceModel(model, sizeof(std::uint16_t)) {
  if (model.kind != ModelKind::kAutomaton) throw std::invalid_argument("automaton: the model is none");
  next_ = model.table("next_state");
  codes_ = next_.size() / model.hidden[0];
  if (model.inputs > 0) {
    step_code_ = model.table("step_code");
    edge_ = model.tensor("edge");
    std::size_t first = 0;
    for (std::size_t i = 0; i < model.inputs; ++i) {
      const std::size_t edges = model.hidden[i + 2];
      if (edges > 0) bins_.push_back({i, first, edges});
      first += edges;
      cells_ *= edges + 1;
    }
  }
  output_ = model.tensor("output");
  for (float* row = output_.data(); row != output_.data() + output_.size(); row += outputs()) {
    float* head_row = row;
    for (const Head& head : model.heads) {
      if (!head.IsClass()) vector_math::RunningMaximum(head_row, head.outputs(), head_row);
      head_row += head.outputs();
    }
  }
}

void Automaton::Step(const ModelStep* steps, std::size_t count, Work& work) const {
  const std::size_t width = outputs();
  std::uint32_t read = 0;
  for (std::size_t i = 0; i < std::min(kAhead, count); ++i) __builtin_prefetch(steps[i].state, 1);
  for (std::size_t begin = 0; begin < count; begin += kAhead) {
    const std::size_t end = std::min(begin + kAhead, count);
    for (std::size_t i = end; i < std::min(end + kAhead, count); ++i) __builtin_prefetch(steps[i].state, 1);
    for (const ModelStep* step = steps + begin; step != steps + end; ++step) {
      auto& state = *static_cast<std::uint16_t*>(step->state);
      const std::uint16_t reached = Next(state, step->symbol, step->inputs);
      state = reached;
      if (step->output == nullptr) continue;
      std::memcpy(step->output, &output_[reached * width], width * sizeof(float));
      ++read;
    }
  }
  const auto steps_made = static_cast<std::uint32_t>(count);
  work.Add(WorkItem::kTableStep, steps_made);
  work.Add(WorkItem::kCacheLine, 2 * steps_made + read);
  if (step_code_.empty()) return;
  work.Add(WorkItem::kTableStep, steps_made);
  work.Add(WorkItem::kCacheLine, steps_made);
  work.Add(WorkItem::kMultiplyAdd, steps_made * static_cast<std::uint32_t>(edge_.size()));
}

}  // namespace foreflow::predict
