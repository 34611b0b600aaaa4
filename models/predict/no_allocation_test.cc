// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "models/base/count_allocations_test.h"
#include "models/predict/sequence_model.h"
#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

TEST(NoAllocation, SteppingModelsTakesNoMemory) {
  const std::uint64_t seed = 71;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const Model& model : OneOfEachKind(seed)) {
    SCOPED_TRACE(Name(model.kind));
    const auto served = MakeSequenceModel(model);
    constexpr std::size_t kSteps = 500, kSequences = 40;
    const std::size_t words = (served->state_bytes() + 3) / 4;
    std::vector<float> state(kSequences * words + 1), input(kSteps * served->inputs() + 1),
        output(kSteps * served->outputs());
    std::vector<ModelStep> steps(kSteps);
    for (std::size_t i = 0; i < kSteps; ++i) {
      steps[i] = {state.data() + random() % kSequences * words, input.data() + i * served->inputs(),
                  i % 7 == 0 ? nullptr : output.data() + i * served->outputs(),
                  static_cast<std::uint8_t>(random() % served->symbols())};
    }
    Work work;
    g_allocations = 0;
    g_counting = true;
    for (std::size_t at = 0; at < kSteps; at += 20) served->Step(&steps[at], 20, work);
    for (const ModelStep& step : steps) served->Step(&step, 1, work);
    g_counting = false;
    EXPECT_EQ(g_allocations, 0u);
  }
  g_counting = true;
  EXPECT_NE(MakeSequenceModel(OneOfEachKind(seed)[0]), nullptr);
  g_counting = false;
  EXPECT_GT(g_allocations, 0u) << "nothing was counted";
}

}  // namespace
}  // namespace foreflow::predict
