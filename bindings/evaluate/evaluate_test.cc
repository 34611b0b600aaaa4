// SPDX-License-Identifier: BSD-3-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/evaluate/baselines.h"
#include "bindings/evaluate/classifier.h"
#include "bindings/evaluate/file_model.h"
#include "bindings/evaluate/mixed_model.h"
#include "bindings/evaluate/monitor.h"
#include "bindings/evaluate/row_model.h"
#include "models/base/hash.h"
#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/predict/model_file.h"
#include "models/predict/packet_type.h"
#include "models/predict/sequence_features.h"
#include "models/predict/tiered_predictor.h"

namespace foreflow::evaluate {
namespace {

using testing::ElementsAre;
using testing::FloatNear;

History HistoryOf(std::initializer_list<std::uint8_t> oldest_first) {
  History history;
  for (const std::uint8_t symbol : oldest_first) history.Push(symbol);
  return history;
}

// One source, one VM, a row each 10 ns whose label is known 25 ns later.
Dataset Rows(const std::vector<std::int8_t>& label, std::size_t classes) {
  Dataset data;
  data.path = "test";
  data.symbols = 4;
  data.sources = {"one"};
  Target target;
  target.name = "class";
  for (std::size_t i = 0; i < classes; ++i) target.classes.push_back(std::to_string(i));
  target.label = label;
  History history;
  for (std::size_t row = 0; row < label.size(); ++row) {
    data.time_ns.push_back(static_cast<std::int64_t>(10 * row));
    target.resolved_ns.push_back(static_cast<std::int64_t>(10 * row + 25));
    data.sequence.push_back(0);
    data.source.push_back(0);
    data.vm.push_back(1);
    data.known_packets.push_back(0);
    data.split.push_back(row < label.size() / 2 ? kTraining : kTest);
    data.symbol.push_back(static_cast<std::uint8_t>(row % 4));
    history.Push(data.symbol.back());
    data.vm_history.push_back(history);
    data.flow_history.push_back(history);
  }
  data.targets = {target};
  data.sequences = 1;
  return data;
}

Dataset Values(const std::vector<float>& value) {
  Dataset data = Rows(std::vector<std::int8_t>(value.size(), 0), 1);
  Target& target = data.targets[0];
  target.classes.clear();
  target.label.clear();
  target.value = value;
  for (std::size_t row = 0; row < value.size(); ++row) data.sequence[row] = static_cast<std::uint32_t>(row);
  return data;
}

std::vector<std::vector<float>> AllSaid(const Dataset& data, const std::string& name) {
  const auto model = MakeBaseline(name, data, data, 1);
  std::vector<std::vector<float>> said;
  Walk(data, *model, [&](std::size_t, const Output& output, const Work&) { said.push_back(output[0]); });
  return said;
}

TEST(CountingClassifier, MixesOrdersByMethodC) {
  CountingClassifier markov(1, 2);
  Work work;
  const History zero = HistoryOf({0}), one = HistoryOf({1});
  for (int i = 0; i < 3; ++i) markov.Learn(zero, -1, 0, work);
  markov.Learn(one, -1, 1, work);
  std::vector<float> said(2);
  markov.Predict(zero, -1, said, work);
  // Order 0: 3 and 1 of 4, 2 classes seen: (3 + 2 / 2) / 6. Order 1: 3 of 3, one class seen.
  const float shorter = 4.0f / 6;
  EXPECT_THAT(said, ElementsAre(FloatNear((3 + shorter) / 4, 1e-6f), FloatNear((1 - shorter) / 4, 1e-6f)));
  markov.Predict(HistoryOf({3}), -1, said, work);
  EXPECT_THAT(said, ElementsAre(FloatNear(shorter, 1e-6f), FloatNear(1 - shorter, 1e-6f)));
}

TEST(CountingClassifier, TellsContextsOfDifferentLengthApart) {
  CountingClassifier markov(7, 2);
  Work work;
  for (int i = 0; i < 50; ++i) {
    markov.Learn(HistoryOf({0, 0, 0, 0, 0, 0, 1}), -1, 1, work);
    markov.Learn(HistoryOf({1, 0, 0, 0, 0, 0, 1}), -1, 0, work);
  }
  std::vector<float> said(2);
  markov.Predict(HistoryOf({0, 0, 0, 0, 0, 0, 1}), -1, said, work);
  EXPECT_GT(said[1], 0.95f);
  markov.Predict(HistoryOf({1, 0, 0, 0, 0, 0, 1}), -1, said, work);
  EXPECT_GT(said[0], 0.95f);
}

// Nothing is learnt before it can be known, and everything that can be known is.
TEST(Walk, ShowsLabelsOnceTheyAreKnown) {
  class Spy : public RowModel {
   public:
    explicit Spy(const Dataset& data) : data_(data) {}
    void Step(std::size_t row, Output&, Work&) override { now_ = row; }
    void Learn(std::size_t row, std::size_t target, Work&) override {
      learnt.insert(row);
      // Called before the Step of the row after `now_`.
      EXPECT_LT(data_.targets[target].resolved_ns[row], data_.time_ns[now_ + 1]);
    }
    std::set<std::size_t> learnt;

   private:
    const Dataset& data_;
    std::size_t now_ = 0;
  };
  Dataset data = Rows({0, 1, -1, 1, 0, 1, 0, 1, 0, 1}, 2);
  data.targets[0].resolved_ns[4] = -1;
  Spy spy(data);
  Walk(data, spy, [](std::size_t, const Output&, const Work&) {});
  // Rows 7, 8 and 9 are known at 95 ns and later: nothing arrives after that. 2 has no label, 4 is never
  // known.
  EXPECT_THAT(spy.learnt, ElementsAre(0, 1, 3, 5, 6));
}

TEST(Baselines, PersistenceRepeatsWhatIsKnown) {
  const auto said = AllSaid(Rows({0, 1, 0, 0, 1, 1, 1, 1}, 2), "persistence");
  EXPECT_THAT(said[2], ElementsAre(0.5f, 0.5f));  // row 0 becomes known at 25 ns
  EXPECT_THAT(said[3], ElementsAre(0.5f, 0.5f));  // its class, and not right or wrong so far
  EXPECT_GT(said[7][1], 0.0f);
  for (const auto& each : said) EXPECT_NEAR(each[0] + each[1], 1.0f, 1e-6f);
}

TEST(Baselines, BaseRateIsOfTrainingRows) {
  const auto said = AllSaid(Rows({0, 0, 0, 1, 1, 1, 1, 1}, 2), "base-rate");
  EXPECT_THAT(said[0], ElementsAre(FloatNear(4.0f / 6, 1e-6f), FloatNear(2.0f / 6, 1e-6f)));
}

TEST(Baselines, MarkovOfFlowsLearnsTrainingRowsOnly) {
  std::vector<std::int8_t> label;
  for (int row = 0; row < 400; ++row)
    label.push_back(static_cast<std::int8_t>(row < 200 ? row % 2 : 1 - row % 2));
  const auto said = AllSaid(Rows(label, 2), "markov1-flow");
  EXPECT_GT(said[399][1], 0.95f);                                    // as in the first half
  EXPECT_LT(AllSaid(Rows(label, 2), "markov1-warm")[399][1], 0.6f);  // which the second half contradicts
}

TEST(Baselines, ForecastsSpreadAsTheErrorsOfTrainingRowsDid) {
  const auto said = AllSaid(Values({4, 4, 4, 6, 4, 4, 4, 4, 9, 9}), "persistence");
  EXPECT_TRUE(std::isnan(said[2][0]));  // nothing is known before 25 ns
  // On training rows (0 to 4) the last value known was wrong by 2 and 0.
  EXPECT_THAT(said[9].front(), 4.0f);
  EXPECT_THAT(said[9].back(), 6.0f);
}

TEST(Baselines, KnowsItsNames) {
  const Dataset data = Rows({0, 1, 0, 1}, 2);
  for (const char* name : {"markov1", "markov3-warm", "markov7-flow", "majority", "holt-winters"}) {
    EXPECT_NE(MakeBaseline(name, data, data, 1), nullptr) << name;
  }
  for (const char* name :
       {"markov", "markov0", "markov4", "markov4-warm", "markov8-flow", "markov1x", "Oracle", ""}) {
    EXPECT_EQ(MakeBaseline(name, data, data, 1), nullptr) << name;
  }
}

// An automaton that says which symbol came before, in a file.
class ModelInFile : public testing::Test {
 protected:
  static constexpr std::uint32_t kSymbols = 4;

  void SetUp() override {
    model_.task = "next-type";
    model_.kind = predict::ModelKind::kAutomaton;
    model_.feature_set = 1;
    model_.symbols = kSymbols;
    model_.hidden = {kSymbols};
    model_.heads = {{"class", {"0", "1", "2", "3"}, {}, 1.0f}};
    predict::Table next{"next_state", {kSymbols, kSymbols}, {}};
    predict::Tensor output{"output", {kSymbols, kSymbols}, {}};
    for (std::uint32_t state = 0; state < kSymbols; ++state) {
      for (std::uint32_t symbol = 0; symbol < kSymbols; ++symbol) {
        next.value.push_back(static_cast<std::uint16_t>(symbol));
        output.value.push_back(state == symbol ? 1.0f : 0.0f);
      }
    }
    model_.tables = {next};
    model_.tensors = {output};
    data_ = Rows(std::vector<std::int8_t>(12, 0), kSymbols);
    data_.task = "next-type";
    data_.feature_set = 1;
  }

  std::string Written() const {
    const std::vector<std::uint8_t> bytes = predict::SerialiseModel(model_);
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path_;
  }
  std::string Refused() const {
    try {
      FileModel(Written(), data_);
    } catch (const Refusal& refusal) {
      return refusal.what();
    }
    return "";
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::string path_ = testing::TempDir() + "evaluate_test_" + std::to_string(getpid()) + ".model";
  predict::Model model_;
  Dataset data_;
};

TEST_F(ModelInFile, StepsOneStateASequence) {
  for (std::size_t row = 0; row < data_.rows(); ++row) {
    data_.sequence[row] = static_cast<std::uint32_t>(row % 2);
    data_.symbol[row] = static_cast<std::uint8_t>(row % 2 == 0 ? row / 2 % kSymbols : 3);
  }
  data_.sequences = 2;
  FileModel model(Written(), data_);
  Walk(data_, model, [&](std::size_t row, const Output& output, const Work& work) {
    EXPECT_EQ(output[0][data_.symbol[row]], 1.0f) << row;
    EXPECT_GT(work[WorkItem::kTableStep], 0u);
  });
}

// As the data path reads it: an automaton whose state is the row's own symbol, sure of a type for each.
class ModelOfTypes : public ModelInFile {
 protected:
  void SetUp() override {
    ModelInFile::SetUp();
    constexpr std::uint32_t kStates = predict::kSequenceSymbols;
    model_.feature_set = predict::kSequenceFeatureSet;
    model_.symbols = kStates;
    model_.hidden = {kStates};
    model_.heads[0].target = "type";
    model_.heads[0].classes.clear();
    for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
      model_.heads[0].classes.push_back(predict::Name(static_cast<predict::PacketType>(i)));
    }
    predict::Table next{"next_state", {kStates, kStates}, {}};
    predict::Tensor output{"output", {kStates, static_cast<std::uint32_t>(predict::kPacketTypes)}, {}};
    for (std::uint32_t state = 0; state < kStates; ++state) {
      for (std::uint32_t symbol = 0; symbol < kStates; ++symbol) {
        next.value.push_back(static_cast<std::uint16_t>(symbol));
      }
      for (std::size_t type = 0; type < predict::kPacketTypes; ++type) {
        output.value.push_back(type == (state + 3) % kSymbols ? 0.994f : 0.001f);
      }
    }
    model_.tables = {next};
    model_.tensors = {output};
  }

  Dataset RowsOf(const std::vector<std::int8_t>& label) const {
    Dataset data = Rows(label, predict::kPacketTypes);
    data.task = "next-type";
    data.feature_set = predict::kSequenceFeatureSet;
    data.symbols = predict::kSequenceSymbols;
    data.inputs_per_row = predict::kSequenceInputs;
    data.inputs.resize(data.rows() * data.inputs_per_row);
    data.targets[0].name = "type";
    data.targets[0].classes = model_.heads[0].classes;
    return data;
  }
};

// A model that is sure of what is right for the first half, and wrong from then on.
TEST_F(ModelOfTypes, MixedFollowsWhatLearnsWhereTheModelIsWrong) {
  constexpr std::size_t kRows = 8000;
  std::vector<std::int8_t> label;
  for (std::size_t row = 0; row < kRows; ++row) {
    const std::size_t before = (row + 3) % kSymbols;
    label.push_back(static_cast<std::int8_t>(row < kRows / 2 ? before : (before + 1) % kSymbols));
  }
  const Dataset data = RowsOf(label);
  const auto share_right = [&](RowModel& model) {
    std::array<double, 2> right{};
    Walk(data, model, [&](std::size_t row, const Output& said, const Work&) {
      const auto likeliest = std::max_element(said[0].begin(), said[0].end()) - said[0].begin();
      right[row / (kRows / 2)] += likeliest == label[row] ? 2.0 / kRows : 0.0;
    });
    return right;
  };
  FileModel alone(Written(), data);
  EXPECT_GT(share_right(alone)[0], 0.99);
  FileModel again(path_, data);
  EXPECT_LT(share_right(again)[1], 0.01);
  MixedModel mixed({path_}, data);
  const std::array<double, 2> right = share_right(mixed);
  EXPECT_GT(right[0], 0.99);
  EXPECT_GT(right[1], 0.97);
}

// Row for row what predict::TieredPredictor says when it is shown the same.
TEST_F(ModelOfTypes, MixedSaysWhatTheDataPathSays) {
  Rng rng(5, "mixed_model");
  std::vector<std::int8_t> label;
  for (int row = 0; row < 3000; ++row) label.push_back(static_cast<std::int8_t>(rng.Below(3)));
  Dataset data = RowsOf(label);
  for (std::size_t row = 0; row < data.rows(); ++row) {
    data.vm[row] = static_cast<std::uint16_t>(1 + rng.Below(3));
    data.sequence[row] = rng.Below(5);
  }
  data.sequences = 5;
  predict::TieredConfig config;
  config.table = std::make_shared<const predict::Model>(LoadModel(Written()));
  predict::TieredPredictor host(config);
  struct Open {
    predict::TypeGuess guess;
    std::size_t row;
  };
  std::vector<Open> open;
  MixedModel mixed({path_}, data);
  Walk(data, mixed, [&](std::size_t row, const Output& said, const Work&) {
    // A label is known 25 ns after its row, and a row arrives each 10 ns.
    if (row >= 3) {
      Open& known = open[row - 3];
      Work work;
      host.Learn(known.guess, data.vm[known.row], ContextOf(data.vm_history[known.row], -1), known.row,
                 static_cast<predict::PacketType>(label[known.row]), Nanos(0), work);
    }
    predict::SequenceInputs inputs;
    inputs.symbol = data.symbol[row];
    predict::Reading reading;
    Work work;
    const predict::TieredPredictor::Item item = {
        nullptr, Mix64(data.sequence[row]), 0, true, Nanos(0), &reading, &work, &inputs, Nanos(0)};
    host.Read(&item, 1);
    Open& now = open.emplace_back();
    now.row = row;
    const predict::Prediction expected =
        host.Predict(reading, data.vm[row], ContextOf(data.vm_history[row], -1), now.guess, work);
    for (std::size_t type = 0; type < predict::kPacketTypes; ++type) {
      ASSERT_EQ(said[0][type], static_cast<float>(expected.probability[type]) / 65535.0f) << row;
    }
  });
}

TEST_F(ModelOfTypes, MixedRefusesWhatTheDataPathCouldNotServe) {
  const auto refused = [&](const std::vector<std::string>& paths, const Dataset& data) {
    try {
      MixedModel(paths, data);
    } catch (const Refusal& refusal) {
      return std::string(refusal.what());
    }
    return std::string();
  };
  Dataset data = RowsOf({0, 1, 2, 3});
  EXPECT_EQ(refused({Written()}, data), "");
  EXPECT_THAT(refused({path_, path_}, data), testing::HasSubstr("of the same tier"));
  data.targets[0].name = "next_type";
  EXPECT_THAT(refused({path_}, data), testing::HasSubstr("+mixed is for targets"));
  data = RowsOf({0, 1, 2, 3});
  data.inputs_per_row = 1;
  EXPECT_THAT(refused({path_}, data), testing::HasSubstr("inputs is 1, allowed: 4"));
  data.feature_set = 1;
  EXPECT_THAT(refused({path_}, data), testing::HasSubstr("feature set is 2"));
}

TEST_F(ModelInFile, RefusesWhatIsNotOfTheDataset) {
  EXPECT_EQ(Refused(), "");
  EXPECT_THAT([] { FileModel("/nowhere/x.model", Dataset()); },
              testing::ThrowsMessage<Refusal>(testing::HasSubstr("cannot be read")));
  data_.task = "flow-size";
  EXPECT_THAT(Refused(), testing::HasSubstr("flow-size"));
  data_.task = "next-type";
  data_.feature_set = 2;
  EXPECT_NE(Refused(), "");
  data_.feature_set = 1;
  data_.symbols = 5;
  EXPECT_THAT(Refused(), testing::HasSubstr("symbols and inputs is 4 and 0, allowed: 5 and 0 or 0"));
  data_.symbols = 4;
  data_.inputs_per_row = 1;  // which the model need not take
  data_.inputs.resize(data_.rows());
  EXPECT_EQ(Refused(), "");
  data_.targets[0].classes[2] = "other";
  EXPECT_THAT(Refused(), testing::HasSubstr("its classes of class are not those of"));
  data_.targets[0].name = "another";
  EXPECT_THAT(Refused(), testing::HasSubstr("predicts no target"));
  data_.targets[0].name = "class";
  data_.targets[0].classes[2] = "2";
}

TEST(Monitor, CoversAsOftenAsItSaysBeforeAndAfterAChange) {
  Rng rng(3, "monitor");
  std::vector<std::int8_t> label;
  constexpr std::size_t kRows = 20'000;
  for (std::size_t row = 0; row < kRows; ++row) {
    // What is said to come 6 times in 10 does so in the first half, and once in 10 in the second.
    const bool likely = rng.Below(10) < (row < kRows / 2 ? 6 : 1);
    label.push_back(static_cast<std::int8_t>(likely ? 0 : 1 + rng.Below(3)));
  }
  const Dataset data = Rows(label, 4);
  Monitor monitor(data, 0);
  std::size_t covered[2] = {0, 0};
  for (std::size_t row = 0; row < kRows; ++row) {
    const float tilt = static_cast<float>(rng.Below(100)) * 1e-4f;  // no two sets tie
    covered[row / (kRows / 2)] +=
        monitor.Step(row, {0.6f + tilt, 0.2f - tilt, 0.1f + tilt, 0.1f - tilt}).covered;
  }
  for (const std::size_t each : covered) EXPECT_NEAR(static_cast<double>(each) / (kRows / 2), 0.9, 0.01);
  bool is_seen = false;
  for (const Monitor::Alarm& alarm : monitor.alarms()) {
    is_seen = is_seen || (alarm.row > kRows / 2 && alarm.row < kRows / 2 + 500);
  }
  EXPECT_TRUE(is_seen);
}

}  // namespace
}  // namespace foreflow::evaluate
