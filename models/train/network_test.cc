// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/base/refusal.h"
#include "models/train/distil.h"
#include "models/train/export.h"
#include "models/train/temperature.h"
#include "models/train/test_datasets.h"
#include "models/train/trainer.h"

namespace foreflow::train {
namespace {

const std::vector<float> kLevels{0.1f, 0.5f, 0.9f};

NetworkShape ShapeFor(const Dataset& dataset, NetworkKind kind) {
  NetworkShape shape;
  shape.kind = kind;
  shape.symbols = dataset.symbols;
  shape.inputs = kind == NetworkKind::kBinary ? 0 : static_cast<std::uint32_t>(dataset.input_names.size());
  shape.hidden = 16;
  shape.bits = 6;
  shape.heads = HeadsOf(dataset, kLevels);
  shape.head_weight = {1, 1};
  FillFromTraining(dataset, shape);
  return shape;
}

Schedule Quick() {
  Schedule schedule;
  schedule.lanes = 32;
  schedule.epochs = 25;
  schedule.rate = 0.01;
  return schedule;
}

// The laws are simple and the rows few: nothing is held back.
Tuning Plain() {
  Tuning tuning;
  tuning.weight_decay = 0;
  tuning.dropout = 0;
  return tuning;
}

double TypeLoss(Network& network, const NetworkShape& shape, const Dataset& dataset) {
  const Scored scored = Score(network, dataset, shape.heads, kTestSplit);
  return LogLoss(scored.logits[0], 3, scored.label[0], 1);
}

class Recurrent : public testing::TestWithParam<NetworkKind> {};

TEST_P(Recurrent, LearnsAKnownLawUpToItsEntropyAndExportsWhatItComputes) {
  const Dataset dataset = DatasetOfKnownLaw(41, 12000, 40, true);
  const NetworkShape shape = ShapeFor(dataset, GetParam());
  Network network(shape, Plain());
  Train(network, dataset, shape.head_weight, Quick());
  // 2100 rows are judged: their mean scatters by 0.02 about the entropy.
  EXPECT_NEAR(TypeLoss(network, shape, dataset), KnownLaw::EntropyNats(), 0.07);

  // The value is x + uniform: its quantile at level q is x + q.
  const predict::Model model = ModelOf(network, shape, dataset, Frame(dataset, shape.heads, 1, "test"));
  double error = 0, count = 0;
  for (const predict::GoldenSequence& golden : model.goldens) {
    for (std::size_t step = 0; step < golden.symbol.size(); ++step) {
      for (std::size_t i = 0; i < kLevels.size(); ++i) {
        error += std::abs(golden.expected[step * 6 + 3 + i] - golden.input[step] - kLevels[i]);
        ++count;
      }
    }
  }
  EXPECT_LT(error / count, 0.12);

  // The file's tensors, run by libtorch's own module, against the network that was trained.
  predict::Model plain = model;
  plain.heads[0].temperature = 1;
  const Lanes lanes(dataset, kTestSplit, 1, 0);
  const Chunk chunk = lanes.At(0, 400);
  Steps steps;
  for (std::size_t i = 0; i < chunk.size() && (i == 0 || chunk.keep[i] != 0); ++i) {
    steps.symbol.push_back(static_cast<std::uint8_t>(chunk.symbol[i]));
    steps.input.push_back(chunk.inputs[i]);
  }
  ASSERT_GT(steps.symbol.size(), 100u);
  network.ClearState();
  const std::vector<float> logits = network.Forward(chunk);
  const std::vector<float> expected = Reference(plain).Run({steps})[0];
  for (std::size_t step = 0; step < steps.symbol.size(); ++step) {
    double mass = 0;
    for (int i = 0; i < 3; ++i) mass += std::exp(static_cast<double>(logits[step * 6 + i]));
    for (int i = 0; i < 3; ++i) {
      ASSERT_NEAR(std::exp(logits[step * 6 + i]) / mass, expected[step * 6 + i], 1e-5) << "step " << step;
    }
  }
  const std::vector<std::uint8_t> bytes = predict::SerialiseModel(model);
  EXPECT_EQ(predict::SerialiseModel(predict::ParseModel({bytes.data(), bytes.size()}, "test")), bytes);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Recurrent, testing::Values(NetworkKind::kGru, NetworkKind::kLstm));

TEST(Mlp, HasNoMemoryAndSoKeepsToWhatOneRowSays) {
  const Dataset dataset = DatasetOfKnownLaw(42, 12000, 40, true);
  const NetworkShape shape = ShapeFor(dataset, NetworkKind::kMlp);
  Network network(shape, Plain());
  Train(network, dataset, shape.head_weight, Quick());
  // Knowing the symbol alone: class 0 with 1/2, the class of the symbol's bit with 1/2, each blurred by the
  // law.
  const double other = (1 - KnownLaw::kSure) / 2, half = (KnownLaw::kSure + other) / 2;
  const double best = -2 * half * std::log(half) - other * std::log(other);
  EXPECT_NEAR(TypeLoss(network, shape, dataset), best, 0.05);
}

class Tabulated : public testing::TestWithParam<NetworkKind> {};

TEST_P(Tabulated, IsAnAutomatonThatKnowsTheLaw) {
  const Dataset dataset = DatasetOfKnownLaw(43, 12000, 40, false);
  const NetworkShape shape = ShapeFor(dataset, GetParam());
  Network network(shape, Plain());
  Train(network, dataset, shape.head_weight, Quick());
  const predict::Model model = ModelOf(Distil(network, shape, dataset, 64), SymbolsAsCodes(dataset.symbols),
                                       dataset, Frame(dataset, shape.heads, 1, "test"));
  const std::vector<std::uint16_t>& next = model.table("next_state");
  const std::vector<float>& output = model.tensor("output");
  std::vector<std::size_t> state(40, 0);
  double loss = 0, count = 0;
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    std::size_t& own = state[dataset.sequence[row]];
    own = next[own * 4 + dataset.symbol[row]];
    if (dataset.split[row] != kTestSplit || dataset.targets[0].label[row] < 0) continue;
    loss -= std::log(output[own * 6 + static_cast<std::size_t>(dataset.targets[0].label[row])]);
    ++count;
  }
  EXPECT_NEAR(loss / count, KnownLaw::EntropyNats(), 0.07);
  EXPECT_GE(model.hidden[0], 6u);  // four symbols, of which the law asks for three outputs, twice
}

INSTANTIATE_TEST_SUITE_P(Kinds, Tabulated, testing::Values(NetworkKind::kBinary, NetworkKind::kGru));

TEST(Network, LearnsTheSameFromASeedAndGoesOnFromWhatWasSaved) {
  const Dataset dataset = DatasetOfKnownLaw(44, 3000, 20, true);
  const NetworkShape shape = ShapeFor(dataset, NetworkKind::kLstm);
  const Lanes lanes(dataset, kTrainSplit, 8, 64);
  const std::vector<double> known{100, 100};
  const auto learn = [&](Network& network, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t step = from; step < to; ++step)
      network.Learn(lanes.At(step * 16, 16), known, 0.01, step);
  };
  Network one(shape, Tuning{}), same(shape, Tuning{});
  learn(one, 0, 6);
  learn(same, 0, 6);
  const std::string saved = one.Save();
  learn(one, 6, 10);
  learn(same, 6, 10);
  Tuning other_seed;
  other_seed.seed = 2;
  Network resumed(shape, Tuning{}), other(shape, other_seed);
  resumed.Load(saved);
  learn(resumed, 6, 10);
  learn(other, 0, 10);
  const auto weights = [](const Network& network) {
    std::vector<float> all;
    for (const predict::Tensor& tensor : network.Export())
      all.insert(all.end(), tensor.value.begin(), tensor.value.end());
    return all;
  };
  EXPECT_EQ(weights(one), weights(same));
  EXPECT_EQ(weights(one), weights(resumed));
  EXPECT_NE(weights(one), weights(other));
}

TEST(Network, CudaLearnsTheSameWithinNoise) {
  if (!Network::HasCuda()) {
    const Dataset dataset = DatasetOfKnownLaw(45, 100, 2, true);
    Tuning tuning;
    tuning.on_cuda = true;
    EXPECT_THROW(Network(ShapeFor(dataset, NetworkKind::kGru), tuning), Refusal);
    GTEST_SKIP() << "no CUDA device: the comparison of CUDA with the CPU was not made";
  }
  const Dataset dataset = DatasetOfKnownLaw(45, 12000, 40, true);
  const NetworkShape shape = ShapeFor(dataset, NetworkKind::kGru);
  double loss[2];
  for (const bool on_cuda : {false, true}) {
    Tuning tuning;
    tuning.on_cuda = on_cuda;
    Network network(shape, tuning);
    Train(network, dataset, shape.head_weight, Quick());
    loss[on_cuda] = TypeLoss(network, shape, dataset);
  }
  EXPECT_NEAR(loss[0], loss[1], 0.02);
}

}  // namespace
}  // namespace foreflow::train
