// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/automaton.h"

#include <algorithm>
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
  for (std::size_t i = 0; i < std::min(kAhead, count); ++i) __builtin_prefetch(steps[i].state, 1);
  std::uint32_t read = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) __builtin_prefetch(steps[i + kAhead].state, 1);
    auto& state = *static_cast<std::uint16_t*>(steps[i].state);
    state = next[state * symbol_count + steps[i].symbol];
    if (steps[i].output != nullptr) {
      std::copy_n(&output_[state * width], width, steps[i].output);
      ++read;
    }
  }
  work.Add(WorkItem::kTableStep, static_cast<std::uint32_t>(count));
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(2 * count) + read);
}

}  // namespace foreflow::predict
