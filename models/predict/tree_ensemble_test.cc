// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/tree_ensemble.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

constexpr std::uint64_t kTreeSeed = 43;

// The leaf below node `node`, by comparing and calling again.
double Walk(const Model& model, std::size_t tree, std::size_t node, const std::vector<float>& value) {
  const std::size_t leaves = std::size_t{1} << model.hidden[1], nodes = leaves - 1;
  if (node >= nodes) return model.tensor("leaf")[tree * leaves + node - nodes];
  const std::size_t feature = model.table("feature")[tree * nodes + node];
  const float threshold = model.tensor("threshold")[tree * nodes + node];
  return Walk(model, tree, value[feature] <= threshold ? 2 * node + 1 : 2 * node + 2, value);
}

TEST(TreeEnsemble, AgreesWithARecursiveWalk) {
  SCOPED_TRACE(kTreeSeed);
  std::mt19937_64 random(kTreeSeed);
  std::normal_distribution<float> number(0, 0.6f);
  for (const auto& hidden :
       std::vector<std::vector<std::uint32_t>>{{1, 1}, {6, 3}, {16, 5}, {61, 6}, {9, 8}}) {
    const Model model = MakeModel({ModelKind::kTrees, hidden, 3, 4, {7, 3}, {5}}, random());
    std::vector<TreeEnsemble> ensembles;
    for (const InstructionSet set :
         {InstructionSet::kScalar, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
      if (IsUsable(set)) ensembles.emplace_back(model, set);
    }
    for (int round = 0; round < 200; ++round) {
      std::vector<float> input(4), value, output(15), same(15);
      for (float& x : input) x = number(random);
      if (round == 7) input[1] = NAN;
      const ModelStep step = {nullptr, input.data(), output.data(), static_cast<std::uint8_t>(random() % 3)};
      for (std::size_t f = 0; f < 4; ++f)
        value.push_back((input[f] - model.input_mean[f]) * model.input_scale[f]);
      value.push_back(step.symbol);

      std::vector<double> sum(model.tensor("base").begin(), model.tensor("base").end());
      for (std::size_t tree = 0; tree < hidden[0]; ++tree)
        sum[model.table("tree_output")[tree]] += Walk(model, tree, 0, value);
      std::vector<double> expected;
      for (const Head& head : model.heads) {
        const std::size_t first = expected.size();
        double total = 0, greatest = -1e300;
        for (std::size_t i = 0; i < head.outputs(); ++i) {
          greatest = std::max(greatest, sum[first + i]);
          expected.push_back(head.IsClass() ? std::exp(sum[first + i] / head.temperature) : greatest);
          total += expected.back();
        }
        for (std::size_t i = first; head.IsClass() && i < expected.size(); ++i) expected[i] /= total;
      }

      Work work;
      ensembles[0].Step(&step, 1, work);
      EXPECT_EQ(work[WorkItem::kTableStep], hidden[0] * hidden[1]);
      for (std::size_t i = 0; i < 15; ++i) ASSERT_NEAR(output[i], expected[i], 2e-6) << i;
      for (const TreeEnsemble& ensemble : ensembles) {
        ModelStep other = step;
        other.output = same.data();
        ensemble.Step(&other, 1, work);
        ASSERT_EQ(std::memcmp(same.data(), output.data(), sizeof(float) * 15), 0);
      }
    }
  }
}

TEST(TreeEnsemble, RefusesAnotherKind) {
  EXPECT_THROW(TreeEnsemble(MakeModel({}, 1), InstructionSet::kScalar), std::invalid_argument);
}

}  // namespace
}  // namespace foreflow::predict
