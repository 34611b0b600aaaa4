// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/automaton.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <vector>

#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

constexpr std::uint64_t kAutomatonSeed = 41;

TEST(Automaton, WalksItsTable) {
  SCOPED_TRACE(kAutomatonSeed);
  std::mt19937_64 random(kAutomatonSeed);
  const Model model = MakeModel({ModelKind::kAutomaton, {500}, 64, 0, {7, 3}, {4}}, kAutomatonSeed);
  const Automaton automaton(model);
  EXPECT_EQ(automaton.states(), 500u);
  EXPECT_EQ(automaton.state_bytes(), 2u);
  EXPECT_EQ(automaton.outputs(), 14u);
  EXPECT_EQ(automaton.bytes(), 500u * (64 * 2 + 14 * 4));

  // 40 sequences at random, so that many batches hold one of them twice.
  constexpr std::size_t kSteps = 2000;
  std::vector<std::uint16_t> state(40), expected_state(40);
  std::vector<ModelStep> steps(kSteps);
  std::vector<float> output(kSteps * 14, -1), expected(kSteps * 14, -1);
  for (std::size_t i = 0; i < kSteps; ++i) {
    const std::size_t sequence = random() % 40;
    steps[i].state = &state[sequence];
    steps[i].symbol = static_cast<std::uint8_t>(random() % 64);
    std::uint16_t& at = expected_state[sequence];
    at = model.table("next_state")[at * 64u + steps[i].symbol];
    if (i % 5 == 0) continue;
    steps[i].output = &output[i * 14];
    const float* row = &model.tensor("output")[at * 14u];
    for (std::size_t k = 0; k < 14; ++k) {
      float value = row[k];
      for (std::size_t below = 10; below < k; ++below)
        value = std::max(value, row[below]);  // the quantile head
      expected[i * 14 + k] = value;
    }
  }
  Work work;
  for (std::size_t i = 0; i < kSteps;) {
    const std::size_t count = std::min<std::size_t>(random() % 80, kSteps - i);
    automaton.Step(&steps[i], count, work);
    i += count;
  }
  EXPECT_EQ(state, expected_state);
  EXPECT_EQ(output, expected);
  EXPECT_EQ(work[WorkItem::kTableStep], kSteps);
  EXPECT_EQ(work[WorkItem::kCacheLine], 2 * kSteps + kSteps * 4 / 5);
  EXPECT_EQ(automaton.Next(3, 9, nullptr), model.table("next_state")[3 * 64 + 9]);
}

TEST(Automaton, ReadsInputsAsCodes) {
  SCOPED_TRACE(kAutomatonSeed);
  std::mt19937_64 random(kAutomatonSeed);
  // Of three inputs the second is not looked at.
  const Model model = MakeModel({ModelKind::kAutomaton, {50, 9, 3, 0, 2}, 4, 3, {7}, {}}, kAutomatonSeed);
  const Automaton automaton(model);
  const std::vector<float>& edge = model.tensor("edge");
  EXPECT_EQ(automaton.states(), 50u);
  EXPECT_EQ(automaton.bytes(), 2u * (50 * 9 + 4 * 12) + 4u * (50 * 7 + 5));
  std::uint16_t state = 0, expected = 0;
  std::vector<float> output(7);
  std::uniform_real_distribution<float> anywhere(-0.6f, 0.6f);
  Work work;
  constexpr std::uint32_t kSteps = 2000;
  for (std::uint32_t i = 0; i < kSteps; ++i) {
    float input[3] = {anywhere(random), anywhere(random), anywhere(random)};
    if (i % 4 == 0) input[0] = edge[random() % 3];  // an edge belongs to the bin above it
    const auto symbol = static_cast<std::uint8_t>(random() % 4);
    const ModelStep step{&state, input, output.data(), symbol};
    automaton.Step(&step, 1, work);
    const auto low = std::upper_bound(edge.begin(), edge.begin() + 3, input[0]) - edge.begin();
    const auto high = std::upper_bound(edge.begin() + 3, edge.end(), input[2]) - (edge.begin() + 3);
    const auto cell = static_cast<std::size_t>(low * 3 + high);
    expected = model.table("next_state")[expected * 9u + model.table("step_code")[symbol * 12u + cell]];
    ASSERT_EQ(state, expected);
    ASSERT_EQ(output, std::vector<float>(&model.tensor("output")[expected * 7u],
                                         &model.tensor("output")[expected * 7u] + 7));
  }
  EXPECT_EQ(work[WorkItem::kTableStep], 2 * kSteps);
  EXPECT_EQ(work[WorkItem::kCacheLine], 4 * kSteps);
  EXPECT_EQ(work[WorkItem::kMultiplyAdd], 5 * kSteps);
}

TEST(Automaton, RefusesAnotherKind) { EXPECT_THROW(Automaton(MakeModel({}, 1)), std::invalid_argument); }

}  // namespace
}  // namespace foreflow::predict
