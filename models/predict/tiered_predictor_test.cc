// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/tiered_predictor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "models/base/hash.h"
#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/predict/types_model_test.h"

namespace foreflow::predict {
namespace {

using Item = TieredPredictor::Item;

struct Shown {
  PacketSummary packet;
  std::uint64_t hash = 0;
  std::uint8_t direction = 0;
  bool is_wanted = false;
};
std::vector<Shown> Packets(std::uint64_t seed, std::uint32_t conversations, std::size_t count) {
  Rng rng(seed, "tiered_test.packets");
  std::vector<Shown> packets;
  Nanos now = Seconds(3);
  for (std::size_t i = 0; i < count; ++i) {
    // Some conversations speak far more than others; now and then everybody pauses.
    const std::uint32_t conversation = rng.Below(1 + rng.Below(conversations));
    now += Nanos(static_cast<std::int64_t>(rng.Exponential(rng.Below(300) == 0 ? 3e8 : 1e5)));
    Shown shown;
    shown.hash = Mix64(conversation + 1);
    shown.direction = static_cast<std::uint8_t>(rng.Below(2));
    shown.packet.arrival = now;
    shown.packet.key.vm = static_cast<flow::VmId>((conversation + shown.direction) % 7);
    shown.packet.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
    shown.packet.key.ip_protocol = 6;
    shown.packet.key.source_port = shown.direction == 0 ? 40000 : 443;
    shown.packet.key.destination_port = shown.direction == 0 ? 443 : 40000;
    shown.packet.payload_bytes = std::array{0u, 80u, 600u, 1400u}[rng.Below(4)];
    shown.packet.tcp_flags = 0x10;
    shown.is_wanted = shown.packet.key.vm != 0 && shown.packet.key.vm <= 4;
    packets.push_back(shown);
  }
  return packets;
}

struct Told {
  std::vector<Reading> reading;
  std::vector<Work> work;
};
Told Show(TieredPredictor& predictor, const std::vector<Shown>& packets, Rng* sizes) {
  Told told;
  told.reading.resize(packets.size());
  told.work.resize(packets.size());
  for (std::size_t at = 0; at < packets.size();) {
    const std::size_t wanted = sizes == nullptr ? 1 : 1 + sizes->Below(TieredPredictor::kBurst);
    const std::size_t count = std::min(wanted, packets.size() - at);
    std::array<Item, TieredPredictor::kBurst> items;
    for (std::size_t i = 0; i < count; ++i) {
      const Shown& shown = packets[at + i];
      items[i] = {
          &shown.packet,         shown.hash,         shown.direction, shown.is_wanted, shown.packet.arrival,
          &told.reading[at + i], &told.work[at + i], nullptr,         Nanos()};
    }
    predictor.Read(items.data(), count);
    at += count;
  }
  return told;
}

// The same with all that a conversation was ever shown kept, whole models with all heads, scalar kernels, and
// no batches.
class NaiveTiers {
 public:
  explicit NaiveTiers(const TieredConfig& config)
      : slots_(config.conversations), bucket_(config.readings_per_second, TieredPredictor::kReadingsBurst) {
    if (config.table != nullptr) table_ = MakeSequenceModel(*config.table, InstructionSet::kScalar);
    if (config.network != nullptr) network_ = MakeSequenceModel(*config.network, InstructionSet::kScalar);
  }

  Reading Show(const Shown& shown) {
    const ConversationSlots::Found found = slots_.FindOrTake(shown.hash, now_++);
    if (found.is_new) conversation_[found.slot] = Conversation();
    Conversation& conversation = conversation_[found.slot];
    const bool is_birth = conversation.all.size() < TieredPredictor::kBirth;
    const bool is_pause = !conversation.all.empty() && shown.packet.arrival - conversation.last > Millis(200);
    conversation.last = shown.packet.arrival;
    SequenceInputs inputs;
    SequenceStep(shown.packet, shown.direction, conversation.features,
                 senders_[shown.packet.key.vm > 4 ? 0 : shown.packet.key.vm], inputs);
    conversation.all.push_back(inputs);
    Reading reading;
    if (network_ == nullptr || table_ != nullptr) {
      const Reading table = Run(*table_, conversation.all, Tier::kTable);
      if (shown.is_wanted) reading = table;
      if (network_ == nullptr) return reading;
      ++conversation.unseen;
      const bool sure =
          *std::max_element(table.probability.begin(), table.probability.end()) >= TieredPredictor::kSure;
      if (!shown.is_wanted || (!is_birth && !is_pause && sure) || !bucket_.Take(shown.packet.arrival))
        return reading;
      if (conversation.unseen > TieredPredictor::kUnseen)
        conversation.begin = conversation.all.size() - TieredPredictor::kUnseen;
      conversation.unseen = 0;
    }
    if (!shown.is_wanted) return reading;
    const auto begin = conversation.all.begin() + static_cast<std::ptrdiff_t>(conversation.begin);
    return Run(*network_, {begin, conversation.all.end()}, Tier::kNetwork);
  }

 private:
  struct Conversation {
    ConversationState features;
    Nanos last;
    std::vector<SequenceInputs> all;
    std::size_t begin = 0;  // of what the network has seen
    std::size_t unseen = 0;
  };

  static Reading Run(const SequenceModel& model, const std::vector<SequenceInputs>& steps, Tier tier) {
    std::vector<float> state(model.state_bytes() / sizeof(float) + 1), output(model.outputs());
    Work uncounted;
    for (const SequenceInputs& inputs : steps) {
      const ModelStep step{state.data(), inputs.value.data(), output.data(), inputs.symbol};
      model.Step(&step, 1, uncounted);
    }
    Reading reading;
    reading.tier = tier;
    for (std::size_t i = 0; i < kPacketTypes; ++i) {
      reading.probability[i] = static_cast<std::uint32_t>(static_cast<double>(output[3 + i]) * 65536 + 0.5);
    }
    return reading;
  }

  std::unique_ptr<SequenceModel> table_;
  std::unique_ptr<SequenceModel> network_;
  ConversationSlots slots_;
  std::map<std::uint32_t, Conversation> conversation_;
  std::array<SenderState, 5> senders_{};
  TokenBucket bucket_;
  std::uint32_t now_ = 0;
};

struct Case {
  const char* name;
  std::shared_ptr<Model> table;
  std::shared_ptr<Model> network;
  std::uint32_t readings_per_second;
};

class TieredPredictorTest : public testing::TestWithParam<Case> {
 protected:
  TieredConfig Config(std::uint32_t conversations) const {
    TieredConfig config;
    config.table = GetParam().table;
    config.network = GetParam().network;
    config.conversations = conversations;
    config.readings_per_second = GetParam().readings_per_second;
    config.vms = 4;
    return config;
  }
};

TEST_P(TieredPredictorTest, IsItsDefinitionInBurstsOfAnySize) {
  for (const std::uint32_t conversations : {8u, 64u}) {  // with and without evictions
    const std::uint64_t seed = conversations;
    SCOPED_TRACE(seed);
    const std::vector<Shown> packets = Packets(seed, 40, 1000);
    const TieredConfig config = Config(conversations);
    NaiveTiers naive(config);
    TieredPredictor one(config), many(config);
    Rng sizes(seed, "tiered_test.bursts");
    const Told singly = Show(one, packets, nullptr);
    const Told bursts = Show(many, packets, &sizes);
    std::array<std::size_t, kTiers> of_tier{};
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const Reading expected = naive.Show(packets[i]);
      ++of_tier[static_cast<std::size_t>(expected.tier)];
      ASSERT_EQ(singly.reading[i].tier, expected.tier) << i;
      ASSERT_EQ(bursts.reading[i].tier, expected.tier) << i;
      if (expected.tier == Tier::kLearned) continue;
      ASSERT_EQ(singly.reading[i].probability, expected.probability) << i;
      ASSERT_EQ(bursts.reading[i].probability, expected.probability) << i;
      ASSERT_TRUE(singly.work[i] == bursts.work[i]) << i;
    }
    EXPECT_EQ(of_tier[1] > 0, GetParam().table != nullptr);
    EXPECT_EQ(of_tier[2] > 0, GetParam().network != nullptr);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, TieredPredictorTest,
    testing::Values(Case{"table", TypesModel(ModelKind::kAutomaton, {200}, 0, 1), nullptr, 0},
                    Case{"coded",
                         TypesModel(ModelKind::kAutomaton, {200, 90, 0, 0, 3, 2}, kSequenceInputs, 9),
                         nullptr, 0},
                    Case{"gru", nullptr, TypesModel(ModelKind::kGru, {16}, kSequenceInputs, 2), 0},
                    Case{"lstm", nullptr, TypesModel(ModelKind::kLstm, {32}, 0, 3), 0},
                    Case{"mlp", nullptr, TypesModel(ModelKind::kMlp, {16}, kSequenceInputs, 4), 0},
                    Case{"tiers", TypesModel(ModelKind::kAutomaton, {200}, 0, 5),
                         TypesModel(ModelKind::kGru, {16}, kSequenceInputs, 6), 1'000'000},
                    Case{"metered", TypesModel(ModelKind::kAutomaton, {200}, 0, 7),
                         TypesModel(ModelKind::kLstm, {16}, kSequenceInputs, 8), 500}),
    [](const auto& tested) { return tested.param.name; });

// A data set that holds what models read of each packet is read as the packets are.
TEST(TieredPredictor, ReadsKeptInputsAsItReadsPackets) {
  const std::vector<Shown> packets = Packets(9, 40, 1000);
  TieredConfig config;
  config.table = TypesModel(ModelKind::kAutomaton, {200}, 0, 5);
  config.network = TypesModel(ModelKind::kGru, {16}, kSequenceInputs, 6);
  config.conversations = 64;
  config.vms = 4;
  TieredPredictor predictor(config), from_inputs(config);
  const Told told = Show(predictor, packets, nullptr);
  std::map<std::uint64_t, ConversationState> conversations;
  std::map<flow::VmId, SenderState> senders;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Shown& shown = packets[i];
    SequenceInputs inputs;
    SequenceStep(shown.packet, shown.direction, conversations[shown.hash],
                 senders[shown.packet.key.vm > 4 ? flow::VmId{0} : shown.packet.key.vm], inputs);
    Reading reading;
    Work work;
    const Item item = {nullptr,  shown.hash, shown.direction, shown.is_wanted,     shown.packet.arrival,
                       &reading, &work,      &inputs,         shown.packet.arrival};
    from_inputs.Read(&item, 1);
    ASSERT_EQ(reading.tier, told.reading[i].tier) << i;
    ASSERT_EQ(reading.probability, told.reading[i].probability) << i;
    ASSERT_TRUE(work == told.work[i]) << i;
  }
}

Reading SureOfBulk(std::uint32_t share) {
  Reading reading;
  reading.tier = Tier::kTable;
  reading.probability.fill((65536 - share) / (kPacketTypes - 1));
  reading.probability[static_cast<std::size_t>(PacketType::kBulk)] = share;
  return reading;
}

TEST(TieredPredictor, KeepsVmsApartAndTellsHowItWent) {
  TieredConfig config;
  config.table = TypesModel(ModelKind::kAutomaton, {50}, 0, 1);
  TieredPredictor predictor(config);
  const Reading reading = SureOfBulk(60000);
  Context context;
  context.Push(1);
  Work work;
  Nanos now;
  std::size_t alarms = 0;
  double loss = 0;
  constexpr int kOutcomes = 1000;
  for (int i = 0; i < kOutcomes; ++i) {
    // Of VM 1 the model is right, of VM 2 wrong.
    for (const flow::VmId vm : {flow::VmId{1}, flow::VmId{2}}) {
      const PacketType truth = vm == 1 ? PacketType::kBulk : PacketType::kRequest;
      TypeGuess guess;
      const Prediction said = predictor.Predict(reading, vm, context, guess, work);
      loss -= std::log2(said.probability[static_cast<std::size_t>(truth)] / 65535.0);
      if (i >= 100) {
        EXPECT_EQ(said.type, truth) << i;
      }
      const auto packet = static_cast<std::uint64_t>(2 * i + vm);
      alarms += predictor.Learn(guess, vm, context, packet, truth, now += Millis(1), work) ? 1 : 0;
    }
  }
  EXPECT_GT(predictor.mixture(1).weight(false), predictor.mixture(2).weight(false));
  ScoreHistory::Cell sum;
  for (std::size_t i = 0; i < predictor.history().size(); ++i) {
    const ScoreHistory::Cell& cell = predictor.history()[i];
    for (std::size_t tier = 0; tier < kTiers; ++tier) sum.predicted[tier] += cell.predicted[tier];
    sum.alarms += cell.alarms;
    sum.loss += cell.loss;
    sum.compared += cell.compared;
  }
  EXPECT_EQ(sum.predicted[0] + sum.predicted[1], 2u * kOutcomes);
  EXPECT_GT(sum.predicted[0], kOutcomes * 9 / 10u);
  EXPECT_EQ(sum.alarms, alarms);
  EXPECT_NEAR(static_cast<double>(sum.loss) / 4096, loss, 0.01 * loss);
  EXPECT_NEAR(sum.compared, 2.0 * kOutcomes / TypeMixture::kSample, 40);
}

TEST(TieredPredictor, CalibratesWhatIsTooSure) {
  TieredConfig config;
  config.table = TypesModel(ModelKind::kAutomaton, {50}, 0, 1);
  TieredPredictor predictor(config);
  const Reading reading = SureOfBulk(65000);
  Rng rng(1, "tiered_test.calibration");
  Work work;
  // A VM a packet, so that mixtures learn little: right in 0.743 of all cases.
  for (int i = 0; i < 40'000; ++i) {
    const PacketType truth = rng.Below(100) < 70 ? PacketType::kBulk : static_cast<PacketType>(rng.Below(7));
    TypeGuess guess;
    const auto vm = static_cast<flow::VmId>(1 + i % config.vms);
    predictor.Predict(reading, vm, Context(), guess, work);
    predictor.Learn(guess, vm, Context(), static_cast<std::uint64_t>(i), truth, Nanos(i), work);
  }
  TypeGuess guess;
  double confidence = 0;
  for (flow::VmId vm = 1; vm <= config.vms; ++vm) {
    confidence += predictor.Predict(reading, vm, Context(), guess, work).confidence / 65535.0 / config.vms;
  }
  EXPECT_NEAR(confidence, 0.743, 0.06);
}

TEST(TieredPredictor, RefusesModelsThatSayNothingOfTypes) {
  const auto refused = [](const Model& model, bool is_table) {
    try {
      RequireTypes(model, "x.model", is_table);
    } catch (const Refusal& refusal) {
      return std::string(refusal.what());
    }
    return std::string();
  };
  const Model good = *TypesModel(ModelKind::kGru, {16}, kSequenceInputs, 2);
  EXPECT_EQ(refused(good, false), "");
  EXPECT_NE(refused(good, true).find("automaton"), std::string::npos);
  Model model = good;
  model.task = "flow-size";
  EXPECT_NE(refused(model, false).find("next-type"), std::string::npos);
  model = good;
  model.feature_set = 99;
  EXPECT_NE(refused(model, false).find("99"), std::string::npos);
  model = good;
  model.heads[1].target = "next_type";
  EXPECT_NE(refused(model, false).find("no head is of the target type"), std::string::npos);
  model = good;
  std::swap(model.heads[1].classes[0], model.heads[1].classes[1]);
  EXPECT_NE(refused(model, false), "");
  model = *TypesModel(ModelKind::kGru, {16}, 2, 2);
  EXPECT_NE(refused(model, false).find("inputs"), std::string::npos);
}

}  // namespace
}  // namespace foreflow::predict
