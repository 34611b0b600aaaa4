// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "models/base/hash.h"
#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

// `share` of 65536 on `type`, the rest on the others.
Reading Saying(PacketType type, std::uint32_t share) {
  Reading reading;
  reading.tier = Tier::kTable;
  reading.probability.fill((65536 - share) / (kPacketTypes - 1));
  reading.probability[static_cast<std::size_t>(type)] = share;
  return reading;
}

Context AnyMixtureContext(Rng& rng) {
  Context context;
  for (Symbol& symbol : context.symbol) symbol = static_cast<Symbol>(rng.Below(4));
  context.length = 3;
  return context;
}

// The rule of the header in doubles, over the same counts.
class Naive {
 public:
  bool Asks(const Reading& reading) const { return !IsSure(reading) || weight_[1] < 0.5; }
  double Probability(const Reading& reading, const Context& context, std::size_t type) const {
    const double model = reading.probability[type] / 65536.0;
    const double weight = weight_[IsSure(reading) ? 1 : 0];
    return Asks(reading) ? weight * model + (1 - weight) * Fallback(context, type) : model;
  }
  void Learn(const Reading& reading, const Context& context, bool asked, double fallback,
             std::uint64_t packet, PacketType truth) {
    const double model = reading.probability[static_cast<std::size_t>(truth)] / 65536.0;
    if (!asked && model >= 0.5 && Mix64(packet) % TypeMixture::kSample != 0) return;
    double& weight = weight_[IsSure(reading) ? 1 : 0];
    weight *= model / (weight * model + (1 - weight) * fallback);
    weight += (0.5 - weight) / 256;
    counts_.Learn(context, counts_.PlacesOf(context), truth, work_);
    ++taught;
  }
  double Fallback(const Context& context, std::size_t type) const {
    MarkovTypes::Places places;
    Work work;
    return counts_.Predict(context, places, work)[type] / 65536.0;
  }
  double weight(bool is_sure) const { return weight_[is_sure ? 1 : 0]; }

  std::size_t taught = 0;

 private:
  static bool IsSure(const Reading& reading) {
    return *std::max_element(reading.probability.begin(), reading.probability.end()) / 65536.0 >= 0.99;
  }

  std::array<double, 2> weight_ = {0.5, 0.5};
  MarkovTypes counts_{3};
  Work work_;
};

// Models that are sure now and then, and then nearly always right; labels come late.
TEST(TypeMixture, SaysAndLearnsWhatTheRuleSays) {
  const Calibrator untempered;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "type_mixture_test");
    TypeMixture mixture;
    Naive naive;
    struct Open {
      Reading reading;
      Context context;
      TypeGuess guess;
      PacketType truth;
      double fallback;
    };
    std::deque<Open> open;
    std::size_t asked = 0;
    Work work;
    constexpr std::uint64_t kPackets = 4000, kLate = 20;
    for (std::uint64_t packet = 0; packet < kPackets; ++packet) {
      Open now;
      now.context = AnyMixtureContext(rng);
      now.truth = static_cast<PacketType>(rng.Below(2) == 0
                                              ? (now.context.symbol[0] + now.context.symbol[1]) % kPacketTypes
                                              : rng.Below(kPacketTypes));
      const bool is_sure = rng.Below(2) == 0;
      const bool is_wrong = rng.Below(is_sure ? 200 : 3) == 0;
      const auto said = is_wrong ? static_cast<PacketType>(rng.Below(kPacketTypes)) : now.truth;
      now.reading = Saying(said, is_sure ? 65300 : 40000);
      const Prediction prediction = mixture.Predict(now.reading, now.context, untempered, now.guess, work);
      ASSERT_EQ(now.guess.asked, naive.Asks(now.reading)) << packet;
      for (std::size_t type = 0; type < kPacketTypes; ++type) {
        ASSERT_NEAR(prediction.probability[type] / 65535.0, naive.Probability(now.reading, now.context, type),
                    0.005)
            << packet;
      }
      asked += now.guess.asked ? 1 : 0;
      now.fallback = naive.Fallback(now.context, static_cast<std::size_t>(now.truth));
      open.push_back(now);
      if (open.size() <= kLate) continue;
      Open& known = open.front();
      const std::uint64_t its = packet - kLate;
      const double fallback = known.guess.asked
                                  ? known.fallback
                                  : naive.Fallback(known.context, static_cast<std::size_t>(known.truth));
      naive.Learn(known.reading, known.context, known.guess.asked, fallback, its, known.truth);
      ASSERT_FALSE(mixture.Learn(known.context, its, known.truth, known.guess, work)) << packet;
      for (const bool sure : {false, true}) {
        ASSERT_NEAR(mixture.weight(sure) / double{FixedShare::kOne}, naive.weight(sure), 0.01) << packet;
      }
      open.pop_front();
    }
    EXPECT_GT(asked, kPackets / 3);
    EXPECT_LT(asked, kPackets * 2 / 3);
    EXPECT_LT(naive.taught, kPackets * 2 / 3);
  }
}

// What the trusted say for sure costs nothing but looking at it.
TEST(TypeMixture, AsksSeldomWhereTheModelsAreSureAndRight) {
  TypeMixture mixture;
  const Calibrator untempered;
  Rng rng(1, "type_mixture_test.sure");
  Work predicting, learning;
  for (std::uint64_t packet = 0; packet < 3200; ++packet) {
    const Context context = AnyMixtureContext(rng);
    TypeGuess guess;
    mixture.Predict(Saying(PacketType::kBulk, 65400), context, untempered, guess, predicting);
    EXPECT_EQ(guess.Predicted(), Tier::kTable);
    mixture.Learn(context, packet, PacketType::kBulk, guess, learning);
  }
  EXPECT_EQ(predicting[WorkItem::kTableStep], 0u);
  EXPECT_GT(learning[WorkItem::kTableStep], 3u * 50);
  EXPECT_LT(learning[WorkItem::kTableStep], 3u * 150);
}

// Sure of what is never so: the fall-back is asked from then on, and what it says is said.
TEST(TypeMixture, ModelsThatMisleadLoseTheirWeight) {
  TypeMixture mixture;
  const Calibrator untempered;
  Rng rng(1, "type_mixture_test.wrong");
  Work work;
  TypeGuess guess;
  for (std::uint64_t packet = 0; packet < 400; ++packet) {
    const Context context = AnyMixtureContext(rng);
    const Prediction prediction =
        mixture.Predict(Saying(PacketType::kBulk, 65400), context, untempered, guess, work);
    if (packet >= 100) {
      EXPECT_EQ(prediction.type, PacketType::kRequest) << packet;
      EXPECT_EQ(guess.Predicted(), Tier::kLearned) << packet;
    }
    mixture.Learn(context, packet, PacketType::kRequest, guess, work);
  }
  EXPECT_LT(mixture.weight(true), FixedShare::kOne / 100);
  EXPECT_EQ(mixture.weight(false), FixedShare::kOne / 2) << "models were never unsure";
}

// Where symbols and models have told the type for long, and no longer do: with what was learnt before, the
// counts would be wrong for about as long as they were filled.
TEST(TypeMixture, AnAlarmForgetsWhatNoLongerHolds) {
  TypeMixture mixture;
  const Calibrator untempered;
  Rng rng(4, "type_mixture_test.shift");
  Work work;
  std::uint64_t packet = 0;
  std::size_t alarms = 0, right = 0;
  const auto play = [&](int packets, unsigned renamed) {
    right = 0;
    for (int i = 0; i < packets; ++i, ++packet) {
      const Context context = AnyMixtureContext(rng);
      const auto known = static_cast<PacketType>(context.symbol[0]);
      const auto truth = static_cast<PacketType>((context.symbol[0] + renamed) % kPacketTypes);
      TypeGuess guess;
      const Prediction prediction = mixture.Predict(Saying(known, 60000), context, untempered, guess, work);
      right += prediction.type == truth ? 1 : 0;
      alarms += mixture.Learn(context, packet, truth, guess, work) ? 1 : 0;
    }
  };
  play(20'000, 0);
  EXPECT_EQ(alarms, 0u);
  EXPECT_GT(right, 19'900u);
  play(100, 1);
  EXPECT_GE(alarms, 1u);
  play(1000, 1);
  EXPECT_GT(right, 900u);
}

}  // namespace
}  // namespace foreflow::predict
