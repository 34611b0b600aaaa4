// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/step_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/predict/sequence_model.h"
#include "models/train/export.h"
#include "models/train/test_datasets.h"

namespace foreflow::train {
namespace {

constexpr float kThreshold = 0.5f;

// Two symbols and two inputs in [0, 1): the label of symbol 0 says whether the first input is below
// kThreshold; that of symbol 1, and the second input, say nothing.
Dataset ThresholdLaw(std::uint64_t seed, std::uint32_t rows, std::uint32_t sources) {
  Rng rng(seed, "step_codes_test");
  Dataset dataset;
  dataset.symbols = 2;
  dataset.input_names = {"telling", "idle"};
  Target type{"type", {"below", "above"}, {}, {}};
  for (std::uint32_t row = 0; row < rows; ++row) {
    dataset.sequence.push_back(row % 16);
    dataset.source.push_back(row % sources);
    dataset.split.push_back(row % 4 == 3 ? kValidationSplit : kTrainSplit);
    dataset.symbol.push_back(static_cast<std::uint8_t>(rng.Below(2)));
    dataset.inputs.push_back(static_cast<float>(rng.Real()));
    dataset.inputs.push_back(static_cast<float>(rng.Real()));
    const bool above = dataset.symbol.back() == 0 ? dataset.inputs[2 * row] >= kThreshold : rng.Below(2) == 1;
    type.label.push_back(above ? 1 : 0);
  }
  dataset.targets = {type};
  return dataset;
}

TEST(StepCodes, TellApartWhatTheInputsTell) {
  for (const std::uint32_t sources : {1u, 4u}) {
    SCOPED_TRACE(sources);
    const Dataset dataset = ThresholdLaw(51, 8000, sources);
    const StepCodes codes = ChooseCodes(dataset, {17, 5}, {1.0});
    ASSERT_EQ(codes.edges[0].size(), 16u);
    ASSERT_EQ(codes.edges[1].size(), 4u);
    EXPECT_EQ(codes.cells(), 17u * 5);
    for (const std::vector<float>& edges : codes.edges)
      EXPECT_TRUE(std::is_sorted(edges.begin(), edges.end()));
    // Far from the threshold, codes of symbol 0 lie on one side of it, whatever the other input is.
    std::set<std::uint16_t> below, above, other;
    for (const float idle : {0.1f, 0.4f, 0.9f}) {
      for (const float low : {0.05f, 0.2f, 0.4f}) {
        const float inputs[2] = {low, idle}, mirrored[2] = {1 - low, idle};
        below.insert(codes.Of(0, inputs));
        above.insert(codes.Of(0, mirrored));
        other.insert(codes.Of(1, inputs));
      }
    }
    for (const std::uint16_t code : below) EXPECT_EQ(above.count(code) + other.count(code), 0u);
    // What tells nothing is hardly split: only where the left-out rows agree by chance.
    EXPECT_LT(codes.count, 40u);
    const Dataset coded = Coded(dataset, codes);
    EXPECT_EQ(coded.symbols, codes.count);
    EXPECT_TRUE(coded.input_names.empty() && coded.inputs.empty());
    for (std::size_t row = 0; row < dataset.rows(); ++row) {
      ASSERT_EQ(coded.symbol[row], codes.Of(dataset.symbol[row], &dataset.inputs[2 * row]));
    }
  }
}

TEST(StepCodes, AreTheSymbolsWhereNoInputIsLookedAt) {
  const Dataset dataset = ThresholdLaw(52, 1000, 1);
  const StepCodes codes = ChooseCodes(dataset, {1, 1}, {1.0});
  EXPECT_EQ(codes.count, 2u);
  EXPECT_EQ(codes.code, SymbolsAsCodes(2).code);
  EXPECT_EQ(Coded(dataset, codes).symbol, dataset.symbol);
}

TEST(StepCodes, HaveTheMeanInputAsAPart) {
  const Dataset dataset = ThresholdLaw(53, 4000, 2);
  const StepCodes codes = ChooseCodes(dataset, {9, 1}, {1.0});
  const SymbolParts parts = PartsOf(dataset, codes);
  ASSERT_EQ(parts.count, 1u);  // symbols of this data have no parts, the second input is not looked at
  const float low[2] = {0.1f, 0}, high[2] = {0.9f, 0};
  EXPECT_LT(parts.has[codes.Of(0, low)], -0.5f);
  EXPECT_GT(parts.has[codes.Of(0, high)], 0.5f);
}

TEST(StepCodes, AreServedAsTheyWereExported) {
  const Dataset dataset = DatasetOfKnownLaw(55, 3000, 20, true);
  StepCodes codes;
  codes.symbols = 4;
  codes.edges = {{1, 2, 3}};
  codes.count = 16;
  for (std::uint16_t code = 0; code < codes.count; ++code) codes.code.push_back(15 - code);
  // Its state is the latest code, which it is sure of the more the greater it is.
  Automaton latest;
  latest.states = latest.symbols = codes.count;
  for (std::uint32_t state = 0; state < codes.count; ++state) {
    for (std::uint16_t code = 0; code < codes.count; ++code) latest.next.push_back(code);
    const float sure = 0.4f + 0.03f * static_cast<float>(state);
    latest.output.insert(latest.output.end(), {sure, (1 - sure) / 2, (1 - sure) / 2, 0, sure, 1});
  }
  const predict::Model model =
      ModelOf(latest, codes, dataset, Frame(dataset, HeadsOf(dataset, {0.25f, 0.5f, 0.75f}), 1, "test"));
  EXPECT_EQ(model.hidden, (std::vector<std::uint32_t>{16, 16, 3}));
  EXPECT_EQ(predict::LargestGoldenDeviation(model), 0);
  const std::vector<std::uint8_t> file = predict::SerialiseModel(model);
  EXPECT_EQ(predict::ParseModel({file.data(), file.size()}, "test").table("step_code"), codes.code);
}

TEST(StepCodes, RefuseMoreCellsThanAFileHolds) {
  EXPECT_THROW(ChooseCodes(ThresholdLaw(54, 4000, 1), {40, 40}, {1.0}), Refusal);
}

}  // namespace
}  // namespace foreflow::train
