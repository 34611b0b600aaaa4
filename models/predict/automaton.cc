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
  const std::size_t symbol_count = symbols(), width = outputs();
  const std::uint16_t* next = next_.data();
  std::uint32_t read = 0;
  for (std::size_t i = 0; i < std::min(kAhead, count); ++i) __builtin_prefetch(steps[i].state, 1);
  for (std::size_t begin = 0; begin < count; begin += kAhead) {
    const std::size_t end = std::min(begin + kAhead, count);
    for (std::size_t i = end; i < std::min(end + kAhead, count); ++i) __builtin_prefetch(steps[i].state, 1);
    for (const ModelStep* step = steps + begin; step != steps + end; ++step) {
      auto& state = *static_cast<std::uint16_t*>(step->state);
      const std::uint16_t reached = next[state * symbol_count + step->symbol];
      state = reached;
      if (step->output == nullptr) continue;
      std::memcpy(step->output, &output_[reached * width], width * sizeof(float));
      ++read;
    }
  }
  work.Add(WorkItem::kTableStep, static_cast<std::uint32_t>(count));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(2 * count) + read);
}

}  // namespace foreflow::predict
