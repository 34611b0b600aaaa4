// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/sequence_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "models/base/refusal.h"
#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

constexpr std::uint64_t kSequenceSeed = 31;

// What this build computes itself, as the golden outputs.
void Regild(Model& model) {
  const auto served = MakeSequenceModel(model, InstructionSet::kScalar);
  for (GoldenSequence& golden : model.goldens) {
    std::vector<float> state(served->state_bytes() / 4 + 1);
    Work work;
    for (std::size_t i = 0; i < golden.symbol.size(); ++i) {
      const ModelStep step = {state.data(), golden.input.data() + i * model.inputs,
                              &golden.expected[i * model.outputs()], golden.symbol[i]};
      served->Step(&step, 1, work);
    }
  }
}

TEST(SequenceModel, GoldenOutputsAreChecked) {
  SCOPED_TRACE(kSequenceSeed);
  for (Model model : OneOfEachKind(kSequenceSeed)) {
    SCOPED_TRACE(Name(model.kind));
    EXPECT_THROW(RequireGoldens(model, "x.model"), Refusal) << "random numbers are no outputs";
    Regild(model);
    EXPECT_EQ(LargestGoldenDeviation(model), 0);
    RequireGoldens(model, "x.model");

    float& expected = model.goldens[0].expected.back();
    const float right = expected;
    expected = right + 0.5e-5f;
    EXPECT_NEAR(LargestGoldenDeviation(model), 0.5e-5, 1e-6);
    RequireGoldens(model, "x.model");
    expected = right + 3e-5f;
    try {
      RequireGoldens(model, "x.model");
      FAIL() << "accepted";
    } catch (const Refusal& refusal) {
      EXPECT_THAT(refusal.what(), ::testing::StartsWith("x.model: its golden outputs are missed by 0.00003"));
    }
    model.goldens.clear();
    EXPECT_EQ(LargestGoldenDeviation(model), 0);
  }
}

TEST(SequenceModel, NamesItsInstructionSets) {
  EXPECT_STREQ(Name(InstructionSet::kScalar), "scalar");
  EXPECT_STREQ(Name(InstructionSet::kAvx2), "avx2");
  EXPECT_STREQ(Name(InstructionSet::kAvx512), "avx512");
  EXPECT_EQ(Name(static_cast<InstructionSet>(3)), nullptr);
  EXPECT_TRUE(IsUsable(InstructionSet::kScalar));
  EXPECT_TRUE(IsUsable(WidestUsable()));
}

TEST(SequenceModel, TheReadmesExample) {
  Model written = OneOfEachKind(kSequenceSeed)[0];
  Regild(written);
  const std::vector<std::uint8_t> file = SerialiseModel(written);
  const BytesView bytes{file.data(), file.size()};
  std::vector<float> memory(1024), in(64), out(64, -1.f);
  float *state = memory.data(), *inputs = in.data(), *output = out.data();
  const std::uint8_t symbol = 0;
  Work work;
  const Model model = ParseModel(bytes, "next-type.model");  // refuses what is no intact file
  RequireGoldens(model, "next-type.model");                  // what this build computes is what was trained
  const auto served = MakeSequenceModel(model);      // scalar, AVX2 or AVX-512: what the processor has
  ModelStep step = {state, inputs, output, symbol};  // output null: only the state moves on
  served->Step(&step, 1, work);
  ASSERT_LE(served->state_bytes(), 4 * memory.size());
  ASSERT_LE(served->outputs(), out.size());
  EXPECT_NE(out[0], -1.f);
}

}  // namespace
}  // namespace foreflow::predict
