// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "models/predict/sequence_model.h"
#include "models/predict/test_models.h"
#include "models/train/reference.h"

namespace foreflow::train {
namespace {

using predict::InstructionSet;
using predict::Model;
using predict::ModelKind;

constexpr std::uint64_t kSeed = 61;

// The largest deviation of our kernels from libtorch's modules over random sequences, all of them stepped in
// turn as flows of one table; `steps` is counted up.
double LargestDeviation(const predict::RandomModel& shape, std::size_t sequences, std::size_t length,
                        std::mt19937_64& random, std::size_t& steps) {
  const Model model = predict::MakeModel(shape, random());
  std::vector<Steps> traffic(sequences);
  std::uniform_real_distribution<float> input(-1, 1);
  for (Steps& sequence : traffic) {
    for (std::size_t t = 0; t < length; ++t) {
      sequence.symbol.push_back(static_cast<std::uint8_t>(random() % model.symbols));
      for (std::size_t f = 0; f < model.inputs; ++f) sequence.input.push_back(input(random));
    }
  }
  const std::vector<std::vector<float>> expected = Reference(model).Run(traffic);
  steps += sequences * length;

  double largest = 0;
  for (const InstructionSet set : {InstructionSet::kScalar, predict::WidestUsable()}) {
    const auto served = predict::MakeSequenceModel(model, set);
    const std::size_t words = served->state_bytes() / 4, outputs = served->outputs();
    std::vector<float> state(sequences * words + 1), output(sequences * outputs);
    std::vector<predict::ModelStep> batch(sequences);
    Work work;
    for (std::size_t t = 0; t < length; ++t) {
      for (std::size_t i = 0; i < sequences; ++i) {
        batch[i] = {state.data() + i * words, traffic[i].input.data() + t * model.inputs,
                    output.data() + i * outputs, traffic[i].symbol[t]};
      }
      served->Step(batch.data(), sequences, work);
      for (std::size_t i = 0; i < sequences; ++i) {
        for (std::size_t k = 0; k < outputs; ++k) {
          const double wanted = expected[i][t * outputs + k];
          largest =
              std::max(largest, std::abs(output[i * outputs + k] - wanted) / std::max(1.0, std::abs(wanted)));
        }
      }
    }
  }
  return largest;
}

// Weights from PyTorch's initial scale, 1 / sqrt(hidden), to three times that, over long sequences.
TEST(KernelEquality, OverAHundredThousandRandomStepsWeAreLibtorch) {
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  std::size_t steps = 0;
  double worst = 0;
  for (const ModelKind kind : {ModelKind::kGru, ModelKind::kLstm}) {
    for (const std::uint32_t hidden : {16u, 32u, 64u}) {
      for (const float scale : {1.0f, 2.0f, 3.0f}) {
        for (const std::uint32_t inputs : {0u, 4u}) {
          const predict::RandomModel shape{
              kind, {hidden}, 64, inputs, {7, 2}, {3}, scale / std::sqrt(static_cast<float>(hidden))};
          const double deviation = LargestDeviation(shape, 7, 400, random, steps);
          EXPECT_LE(deviation, 1e-5) << Name(kind) << " " << hidden << ", scale " << scale << ", inputs "
                                     << inputs;
          worst = std::max(worst, deviation);
        }
      }
    }
  }
  EXPECT_GE(steps, 100'000u);
  RecordProperty("largest deviation", std::to_string(worst));
}

TEST(KernelEquality, PerceptronsAreLibtorchs) {
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  std::size_t steps = 0;
  EXPECT_LE(LargestDeviation({ModelKind::kMlp, {32}, 64, 4, {7}, {5}, 0.3f}, 5, 50, random, steps), 1e-5);
}

}  // namespace
}  // namespace foreflow::train
