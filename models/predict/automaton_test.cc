// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/automaton.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>
#include <vector>

#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

constexpr std::uint64_t kSeed = 41;

TEST(Automaton, WalksItsTable) {
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  const Model model = MakeModel({ModelKind::kAutomaton, {500}, 64, 0, {7, 3}, {4}}, kSeed);
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
  EXPECT_EQ(automaton.Next(3, 9), model.table("next_state")[3 * 64 + 9]);
}

TEST(Automaton, RefusesAnotherKind) { EXPECT_THROW(Automaton(MakeModel({}, 1)), std::invalid_argument); }

}  // namespace
}  // namespace foreflow::predict
