// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "models/predict/test_models.h"

namespace foreflow::predict {
namespace {

constexpr std::uint64_t kNetworkSeed = 23;

// PyTorch's equations in double, a product at a time, from the tensors of the file.
class ScalarReference {
 public:
  explicit ScalarReference(const Model& model) : model_(model), state_(2 * model.hidden[0]) {}

  std::vector<double> Step(std::uint8_t symbol, const float* inputs) {
    const std::size_t hidden = model_.hidden[0];
    std::vector<double> x;
    for (std::size_t f = 0; f < model_.inputs; ++f)
      x.push_back((inputs[f] - model_.input_mean[f]) * model_.input_scale[f]);
    const bool is_mlp = model_.kind == ModelKind::kMlp;
    const std::size_t gates = model_.kind == ModelKind::kGru ? 3 : is_mlp ? 1 : 4;
    std::vector<double> sum(gates * hidden);
    for (std::size_t row = 0; row < sum.size(); ++row) {
      sum[row] = model_.tensor("embedding")[symbol * sum.size() + row];
      if (model_.inputs > 0) sum[row] += Dot(model_.tensor(is_mlp ? "weight_1" : "weight_ih"), row, x);
    }
    std::vector<double> h(state_.begin(), state_.begin() + static_cast<std::ptrdiff_t>(hidden));
    std::vector<double> last(hidden);
    for (std::size_t unit = 0; unit < hidden; ++unit) {
      const auto at = [&](std::size_t gate) { return gate * hidden + unit; };
      const auto recurrent = [&](std::size_t gate) { return Dot(model_.tensor("weight_hh"), at(gate), h); };
      if (is_mlp) {
        last[unit] = std::max(0.0, sum[unit]);
      } else if (model_.kind == ModelKind::kGru) {
        const double r = Sigmoid(sum[at(0)] + recurrent(0)), z = Sigmoid(sum[at(1)] + recurrent(1));
        const double n = std::tanh(sum[at(2)] + r * (recurrent(2) + model_.tensor("bias_hn")[unit]));
        last[unit] = (1 - z) * n + z * h[unit];
      } else {
        const double i = Sigmoid(sum[at(0)] + recurrent(0)), f = Sigmoid(sum[at(1)] + recurrent(1));
        const double g = std::tanh(sum[at(2)] + recurrent(2)), o = Sigmoid(sum[at(3)] + recurrent(3));
        state_[hidden + unit] = f * state_[hidden + unit] + i * g;
        last[unit] = o * std::tanh(state_[hidden + unit]);
      }
    }
    if (!is_mlp) std::copy(last.begin(), last.end(), state_.begin());
    if (is_mlp && model_.hidden.size() > 1) {
      std::vector<double> second(model_.hidden[1]);
      for (std::size_t unit = 0; unit < second.size(); ++unit)
        second[unit] =
            std::max(0.0, model_.tensor("bias_2")[unit] + Dot(model_.tensor("weight_2"), unit, last));
      last = second;
    }
    std::vector<double> output;
    for (const Head& head : model_.heads) {
      const std::size_t first = output.size();
      double total = 0, greatest = -1e300;
      for (std::size_t i = 0; i < head.outputs(); ++i) {
        const double value =
            model_.tensor("head_bias")[first + i] + Dot(model_.tensor("head_weight"), first + i, last);
        greatest = std::max(greatest, value);
        output.push_back(head.IsClass() ? std::exp(value / head.temperature) : greatest);
        total += output.back();
      }
      for (std::size_t i = first; head.IsClass() && i < output.size(); ++i) output[i] /= total;
    }
    return output;
  }

 private:
  static double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
  static double Dot(const std::vector<float>& matrix, std::size_t row, const std::vector<double>& x) {
    double sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k) sum += matrix[row * x.size() + k] * x[k];
    return sum;
  }

  const Model& model_;
  std::vector<double> state_;
};

std::vector<InstructionSet> UsableSets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : {InstructionSet::kScalar, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (IsUsable(set)) sets.push_back(set);
  }
  return sets;
}

// Networks of all kinds and sizes, with and without inputs and heads of many shapes.
std::vector<RandomModel> Shapes() {
  std::vector<RandomModel> shapes;
  for (const ModelKind kind : {ModelKind::kGru, ModelKind::kLstm}) {
    for (const std::uint32_t hidden : {16u, 32u, 64u}) {
      shapes.push_back({kind, {hidden}, 64, 0, {7}, {}, 0.4f});
      shapes.push_back({kind, {hidden}, 3, 5, {7, 2, 17, 8}, {9, 1}, 0.4f});
    }
  }
  shapes.push_back({ModelKind::kMlp, {16}, 1, 6, {2}, {3}, 0.4f});
  shapes.push_back({ModelKind::kMlp, {48, 256}, 9, 1, {128, 30}, {}, 0.2f});
  shapes.push_back({ModelKind::kMlp, {256, 16}, 256, 0, {}, {32}, 0.2f});
  return shapes;
}

// Steps of several sequences in any order, with memory for states, inputs and outputs.
struct Traffic {
  Traffic(const SequenceModel& model, std::size_t sequences, std::size_t count, std::mt19937_64& random)
      : words((model.state_bytes() + 3) / 4),
        state(sequences * words),
        input(count * model.inputs()),
        output(count * model.outputs(), -1) {
    std::normal_distribution<float> value(0, 2);
    for (float& x : input) x = value(random);
    for (std::size_t i = 0; i < count; ++i) {
      sequence.push_back(random() % sequences);
      steps.push_back({state.data() + sequence[i] * words, input.data() + i * model.inputs(),
                       output.data() + i * model.outputs(),
                       static_cast<std::uint8_t>(random() % model.symbols())});
    }
  }

  std::size_t words;
  std::vector<float> state;
  std::vector<float> input;
  std::vector<float> output;
  std::vector<std::size_t> sequence;
  std::vector<ModelStep> steps;
};

TEST(Network, ComputesPyTorchsEquations) {
  SCOPED_TRACE(kNetworkSeed);
  std::mt19937_64 random(kNetworkSeed);
  for (const RandomModel& shape : Shapes()) {
    SCOPED_TRACE(std::string(Name(shape.kind)) + " " + std::to_string(shape.hidden[0]));
    const Model model = MakeModel(shape, random());
    const Network network(model, WidestUsable());
    constexpr std::size_t kSequences = 3;
    Traffic traffic(network, kSequences, 300, random);
    Work work;
    network.Step(traffic.steps.data(), traffic.steps.size(), work);
    std::vector<ScalarReference> reference(kSequences, ScalarReference(model));
    double largest = 0;
    for (std::size_t i = 0; i < traffic.steps.size(); ++i) {
      const std::vector<double> expected =
          reference[traffic.sequence[i]].Step(traffic.steps[i].symbol, traffic.steps[i].inputs);
      for (std::size_t k = 0; k < expected.size(); ++k)
        largest = std::max(largest, std::abs(expected[k] - traffic.steps[i].output[k]));
    }
    EXPECT_LE(largest, 1e-5);
    EXPECT_GT(largest, 0);  // float, after all
  }
}

std::vector<std::uint32_t> BitsOf(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) {
    std::memcpy(&bits.emplace_back(), &value, sizeof(value));
  }
  return bits;
}

// Wild weights too, which saturate every gate.
TEST(Network, EveryInstructionSetGivesTheSameBits) {
  SCOPED_TRACE(kNetworkSeed);
  std::mt19937_64 random(kNetworkSeed);
  const std::vector<InstructionSet> sets = UsableSets();
  if (sets.size() == 1) GTEST_SKIP() << "this processor has no vectors to compare with";
  for (const float scale : {0.3f, 3.0f, 1000.0f}) {
    for (RandomModel shape : Shapes()) {
      SCOPED_TRACE(std::string(Name(shape.kind)) + " " + std::to_string(shape.hidden[0]));
      shape.scale = scale;
      const Model model = MakeModel(shape, random());
      const Network reference(model, InstructionSet::kScalar);
      const std::uint64_t traffic_seed = random();
      std::mt19937_64 again(traffic_seed);
      Traffic expected(reference, 20, 200, again);
      Work work;
      reference.Step(expected.steps.data(), expected.steps.size(), work);
      for (const InstructionSet set : sets) {
        SCOPED_TRACE(Name(set));
        const Network network(model, set);
        again.seed(traffic_seed);
        Traffic traffic(network, 20, 200, again);
        Work same_work;
        network.Step(traffic.steps.data(), traffic.steps.size(), same_work);
        EXPECT_EQ(same_work, work);
        EXPECT_EQ(BitsOf(traffic.output), BitsOf(expected.output));
        EXPECT_EQ(BitsOf(traffic.state), BitsOf(expected.state));
      }
    }
  }
}

// Who else is in a batch, and how large it is, changes nothing; nor does leaving outputs out.
TEST(Network, AStepDoesNotDependOnItsBatch) {
  SCOPED_TRACE(kNetworkSeed);
  std::mt19937_64 random(kNetworkSeed);
  for (const RandomModel& shape : Shapes()) {
    SCOPED_TRACE(std::string(Name(shape.kind)) + " " + std::to_string(shape.hidden[0]));
    const Model model = MakeModel(shape, random());
    for (const InstructionSet set : UsableSets()) {
      const Network network(model, set);
      const std::uint64_t traffic_seed = random();
      std::mt19937_64 again(traffic_seed);
      Traffic one(network, 6, 150, again);
      Work work;
      for (const ModelStep& step : one.steps) network.Step(&step, 1, work);
      again.seed(traffic_seed);
      Traffic many(network, 6, 150, again);
      Work many_work;
      for (std::size_t i = 0; i < many.steps.size();) {
        const std::size_t count = std::min<std::size_t>(random() % 33, many.steps.size() - i);
        network.Step(&many.steps[i], count, many_work);
        i += count;
      }
      EXPECT_EQ(one.output, many.output);
      EXPECT_EQ(one.state, many.state);
      EXPECT_EQ(work, many_work);

      again.seed(traffic_seed);
      Traffic silent(network, 6, 150, again);
      for (std::size_t i = 0; i < silent.steps.size(); ++i) {
        if (i % 3 != 0) silent.steps[i].output = nullptr;
      }
      network.Step(silent.steps.data(), silent.steps.size(), work);
      EXPECT_EQ(one.state, silent.state);
      for (std::size_t i = 0; i < silent.steps.size(); ++i) {
        for (std::size_t k = 0; k < network.outputs(); ++k) {
          const std::size_t at = i * network.outputs() + k;
          EXPECT_EQ(silent.output[at], i % 3 == 0 ? one.output[at] : -1);
        }
      }
    }
  }
}

TEST(Network, AStateIsSavedAndRestoredAsBytes) {
  SCOPED_TRACE(kNetworkSeed);
  std::mt19937_64 random(kNetworkSeed);
  for (const ModelKind kind : {ModelKind::kGru, ModelKind::kLstm}) {
    const Network network(MakeModel({kind, {32}, 64, 2, {7}, {}}, random()), WidestUsable());
    EXPECT_EQ(network.state_bytes(), kind == ModelKind::kGru ? 128u : 256u);
    Traffic traffic(network, 1, 100, random);
    Work work;
    network.Step(traffic.steps.data(), 50, work);
    std::vector<unsigned char> saved(network.state_bytes());
    std::memcpy(saved.data(), traffic.state.data(), saved.size());
    network.Step(traffic.steps.data() + 50, 50, work);
    const std::vector<float> state = traffic.state, output = traffic.output;
    std::fill(traffic.state.begin(), traffic.state.end(), 7.0f);
    std::memcpy(traffic.state.data(), saved.data(), saved.size());
    network.Step(traffic.steps.data() + 50, 50, work);
    EXPECT_EQ(traffic.state, state);
    EXPECT_EQ(traffic.output, output);
  }
}

TEST(Network, CountsItsWork) {
  const Network gru(MakeModel({ModelKind::kGru, {32}, 64, 2, {7}, {}}, kNetworkSeed), WidestUsable());
  std::mt19937_64 random(kNetworkSeed);
  Traffic traffic(gru, 5, 10, random);
  traffic.steps[3].output = nullptr;
  Work work;
  gru.Step(traffic.steps.data(), 10, work);
  EXPECT_EQ(work[WorkItem::kMultiplyAdd], 10u * 3 * 32 * (32 + 2) + 9 * 32 * 7);
  EXPECT_EQ(work[WorkItem::kCacheLine], 20u);
}

TEST(Network, RefusesAnotherKind) {
  EXPECT_THROW(Network(MakeModel({ModelKind::kAutomaton, {4}, 2, 0, {2}, {}}, 1), InstructionSet::kScalar),
               std::invalid_argument);
}

}  // namespace
}  // namespace foreflow::predict
