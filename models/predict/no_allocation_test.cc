// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "models/base/count_allocations_test.h"
#include "models/base/rng.h"
#include "models/predict/sequence_model.h"
#include "models/predict/test_models.h"
#include "models/predict/tiered_predictor.h"
#include "models/predict/types_model_test.h"

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

TEST(NoAllocation, MixingTakesNoMemory) {
  TieredConfig config;
  config.table = TypesModel(ModelKind::kAutomaton, {50}, 0, 1);
  TieredPredictor predictor(config);
  Rng rng(3, "no_allocation_test.mixing");
  Work work;
  std::size_t alarms = 0;
  g_allocations = 0;
  g_counting = true;
  for (std::uint64_t packet = 0; packet < 5000; ++packet) {
    Reading reading;
    reading.tier = Tier::kTable;
    reading.probability[rng.Below(kPacketTypes)] = 65536;
    Context context;
    context.Push(static_cast<Symbol>(rng.Below(kSymbols)));
    TypeGuess guess;
    predictor.Predict(reading, 1, context, guess, work);
    const auto truth = static_cast<PacketType>(rng.Below(packet < 1000 ? 1 : kPacketTypes));
    alarms += predictor.Learn(guess, 1, context, packet, truth, Millis(1), work) ? 1 : 0;
  }
  g_counting = false;
  EXPECT_EQ(g_allocations, 0u);
  EXPECT_GT(alarms, 0u) << "nothing was forgotten";
}

}  // namespace
}  // namespace foreflow::predict
