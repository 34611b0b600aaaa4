// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/sequence_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/predict/automaton.h"
#include "models/predict/network.h"
#include "models/predict/tree_ensemble.h"

namespace foreflow::predict {
namespace {

constexpr double kGoldenTolerance = 1e-5;

}  // namespace

const char* Name(InstructionSet set) {
  constexpr std::array<const char*, 3> kNames = {"scalar", "avx2", "avx512"};
  const auto index = static_cast<std::size_t>(set);
  return index < kNames.size() ? kNames[index] : nullptr;
}

bool IsUsable(InstructionSet set) {
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  switch (set) {
    case InstructionSet::kScalar:
      return true;
    case InstructionSet::kAvx2:
      return has_avx2;
    case InstructionSet::kAvx512:
      return has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  }
  return false;
#else
  return set == InstructionSet::kScalar;
#endif
}

InstructionSet WidestUsable() {
  for (const InstructionSet set : {InstructionSet::kAvx512, InstructionSet::kAvx2}) {
    if (IsUsable(set)) return set;
  }
  return InstructionSet::kScalar;
}

std::unique_ptr<SequenceModel> MakeSequenceModel(const Model& model, InstructionSet set) {
  switch (model.kind) {
    case ModelKind::kAutomaton:
      return std::make_unique<Automaton>(model);
    case ModelKind::kTrees:
      return std::make_unique<TreeEnsemble>(model, set);
    default:
      return std::make_unique<Network>(model, set);
  }
}

double LargestGoldenDeviation(const Model& model, InstructionSet set) {
  const auto served = MakeSequenceModel(model, set);
  std::vector<float> output(served->outputs());
  double largest = 0;
  Work work;
  for (const GoldenSequence& golden : model.goldens) {
    std::vector<std::uint32_t> state((served->state_bytes() + 3) / 4);
    for (std::size_t step = 0; step < golden.symbol.size(); ++step) {
      const ModelStep one = {state.data(), golden.input.data() + step * served->inputs(), output.data(),
                             golden.symbol[step]};
      served->Step(&one, 1, work);
      for (std::size_t i = 0; i < output.size(); ++i) {
        const double expected = golden.expected[step * output.size() + i];
        largest = std::max(largest, std::abs(output[i] - expected) / std::max(1.0, std::abs(expected)));
      }
    }
  }
  return largest;
}

void RequireGoldens(const Model& model, const std::string& where) {
  const double deviation = LargestGoldenDeviation(model);
  if (deviation <= kGoldenTolerance) return;
  throw Refusal(where + ": its golden outputs are missed by " + std::to_string(deviation) +
                ", allowed: 0.00001; train the model again with this release");
}

}  // namespace foreflow::predict
