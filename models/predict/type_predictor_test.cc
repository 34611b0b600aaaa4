// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_predictor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "models/predict/features.h"
#include "models/predict/known_source_test.h"
#include "models/predict/labeler.h"

namespace foreflow::predict {
namespace {

constexpr int kWarmUp = 40'000;
constexpr int kScored = 200'000;
// Five standard deviations of an accuracy over kScored outcomes, were they independent.
constexpr double kNoise = 5 * 0.5 / 447.2;

struct RunScore {
  double accuracy = 0;
  double log_loss = 0;  // bits
  double confidence = 0;
  struct Bin {
    double hits = 0;
    double expected = 0;
    double variance = 0;
    double count = 0;
  };
  std::array<Bin, 10> bin{};
};

// Plays a sequence of types to a predictor. Its symbols are the types before: what it sees of packet t are
// the types of t - 1, t - 2 and t - 3. Labels come `delay` packets late.
template <typename NextType>
RunScore Play(PredictorKind kind, NextType next, std::size_t delay = 0) {
  const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(kind);
  struct Open {
    Context context;
    PacketType truth;
  };
  std::deque<Open> open;
  Context context;
  Work work;
  RunScore score;
  for (int i = 0; i < kWarmUp + kScored; ++i) {
    const PacketType truth = next();
    const Prediction prediction = predictor->Predict(context, work);
    if (i >= kWarmUp) {
      const bool hit = prediction.type == truth;
      const double confidence = prediction.confidence / 65535.0;
      score.accuracy += hit;
      score.confidence += confidence;
      score.log_loss -= std::log2((prediction.probability[static_cast<std::size_t>(truth)] + 0.5) / 65536.0);
      RunScore::Bin& bin = score.bin[std::min<std::size_t>(prediction.confidence / 6554u, 9)];
      bin.hits += hit;
      bin.expected += confidence;
      bin.variance += confidence * (1 - confidence);
      ++bin.count;
    }
    open.push_back({context, truth});
    if (open.size() > delay) {
      predictor->Learn(open.front().context, open.front().truth, work);
      context.last_label = open.front().truth;
      open.pop_front();
    }
    context.symbol = {static_cast<Symbol>(static_cast<unsigned>(truth) * 9), context.symbol[0],
                      context.symbol[1]};
    if (context.length < 3) ++context.length;
  }
  score.accuracy /= kScored;
  score.confidence /= kScored;
  score.log_loss /= kScored;
  return score;
}

RunScore PlaySource(PredictorKind kind, std::size_t order, std::uint64_t seed, std::size_t delay = 0) {
  KnownSource source(order, seed);
  return Play(
      kind, [&] { return source.Next(); }, delay);
}

// What a predictor may lose to its ceiling because it estimates from some 190 faded observations a context.
constexpr double kEstimation = 0.01;

TEST(TypePredictor, ReachesTheCeilingOfAFirstOrderSource) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    const KnownSource source(1, seed);
    const double ceiling = source.Ceiling(1);
    for (const PredictorKind kind :
         {PredictorKind::kMarkov1, PredictorKind::kMarkov2, PredictorKind::kMarkov3}) {
      const RunScore score = PlaySource(kind, 1, seed);
      EXPECT_LE(score.accuracy, ceiling + kNoise);
      EXPECT_GE(score.accuracy, ceiling - kEstimation - kNoise);
      EXPECT_GE(score.log_loss, source.EntropyRate() - 0.02);
      EXPECT_LE(score.log_loss, source.EntropyRate() + 0.1);
    }
    EXPECT_GT(ceiling, source.Ceiling(0) + 0.1);  // or there were nothing to learn
    EXPECT_NEAR(PlaySource(PredictorKind::kMajority, 1, seed).accuracy, source.Ceiling(0),
                kEstimation + kNoise);
  }
}

TEST(TypePredictor, ReachesTheCeilingOfASecondOrderSource) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    const KnownSource source(2, seed);
    const RunScore first = PlaySource(PredictorKind::kMarkov1, 2, seed);
    EXPECT_NEAR(first.accuracy, source.Ceiling(1), kEstimation + kNoise);
    for (const PredictorKind kind : {PredictorKind::kMarkov2, PredictorKind::kMarkov3}) {
      const RunScore score = PlaySource(kind, 2, seed);
      EXPECT_LE(score.accuracy, source.Ceiling(2) + kNoise);
      EXPECT_GE(score.accuracy, source.Ceiling(2) - kEstimation - kNoise);
      EXPECT_LE(score.log_loss, source.EntropyRate() + 0.15);
    }
    EXPECT_GT(source.Ceiling(2), source.Ceiling(1) + 0.1);
  }
}

TEST(TypePredictor, LearnsFromLateLabels) {
  const KnownSource source(1, 9);
  const RunScore score = PlaySource(PredictorKind::kMarkov2, 1, 9, 1000);
  EXPECT_NEAR(score.accuracy, source.Ceiling(1), kEstimation + kNoise);
}

TEST(TypePredictor, GainsNothingOnAMemorylessSource) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    const double ceiling = KnownSource(0, seed).Ceiling(0);
    for (const PredictorKind kind : {PredictorKind::kMajority, PredictorKind::kMarkov1,
                                     PredictorKind::kMarkov2, PredictorKind::kMarkov3}) {
      const RunScore score = PlaySource(kind, 0, seed);
      EXPECT_LE(score.accuracy, ceiling + kNoise);
      EXPECT_GE(score.accuracy, ceiling - kEstimation - kNoise);
    }
    EXPECT_LE(PlaySource(PredictorKind::kPersistence, 0, seed).accuracy, ceiling + kNoise);
  }
}

// The control: contexts from a source with memory, labels drawn without it.
TEST(TypePredictor, ScoresRandomLabelsAtTheBaseRate) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    KnownSource symbols(2, seed);
    KnownSource labels(0, seed + 100);
    const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(PredictorKind::kMarkov3);
    Context context;
    context.length = 3;
    Work work;
    double hits = 0;
    for (int i = 0; i < kWarmUp + kScored; ++i) {
      const PacketType truth = labels.Next();
      context.symbol = {static_cast<Symbol>(symbols.Next()), context.symbol[0], context.symbol[1]};
      if (i >= kWarmUp) hits += predictor->Predict(context, work).type == truth;
      predictor->Learn(context, truth, work);
    }
    EXPECT_LE(hits / kScored, labels.Ceiling(0) + kNoise);
    EXPECT_GE(hits / kScored, labels.Ceiling(0) - kEstimation - kNoise);
  }
}

TEST(TypePredictor, ConfidenceIsReliable) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    for (const PredictorKind kind :
         {PredictorKind::kPersistence, PredictorKind::kMajority, PredictorKind::kMarkov1,
          PredictorKind::kMarkov2, PredictorKind::kMarkov3}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " kind " << static_cast<int>(kind));
      const RunScore score = PlaySource(kind, 2, seed);
      EXPECT_NEAR(score.confidence, score.accuracy, 0.02 + kNoise);
      for (const RunScore::Bin& bin : score.bin) {
        if (bin.count < 1000) continue;
        // Binomial, and as much as estimates from some 190 observations wander (2 standard deviations).
        const double slack = 5 * std::sqrt(bin.variance) / bin.count + 0.07;
        EXPECT_NEAR(bin.hits / bin.count, bin.expected / bin.count, slack);
      }
    }
  }
}

TEST(TypePredictor, PersistenceSaysTheLastLabelAgain) {
  const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(PredictorKind::kPersistence);
  Context context;
  Work work;
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    context.last_label = static_cast<PacketType>(i);
    EXPECT_EQ(predictor->Predict(context, work).type, context.last_label);
    predictor->Learn(context, context.last_label, work);
  }
  EXPECT_GT(predictor->Predict(context, work).confidence, 65535 / 2);
}

TEST(TypePredictor, BeginsWithWhatHeadersSuggest) {
  const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(PredictorKind::kMarkov3);
  Work work;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    Context context;
    context.symbol[0] = static_cast<Symbol>(symbol);
    context.length = 1;
    const std::size_t kind = symbol % 16;
    const PacketType usual = kind == 0   ? PacketType::kGroup
                             : kind < 4  ? PacketType::kControl
                             : kind < 10 ? PacketType::kRequest
                                         : PacketType::kResponse;
    EXPECT_EQ(predictor->Predict(context, work).type, usual) << symbol;
    for (int i = 0; i < 3; ++i) predictor->Learn(context, PacketType::kBulk, work);
    EXPECT_EQ(predictor->Predict(context, work).type, PacketType::kBulk) << symbol;
  }
}

TEST(TypePredictor, FollowsAChangeOfHabit) {
  const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(PredictorKind::kMarkov3);
  Context context;
  context.length = 3;
  Work work;
  for (int i = 0; i < 50'000; ++i) predictor->Learn(context, PacketType::kBulk, work);
  for (int i = 0; i < 300; ++i) predictor->Learn(context, PacketType::kStream, work);
  EXPECT_EQ(predictor->Predict(context, work).type, PacketType::kStream);
}

TEST(TypePredictor, StaysWithinItsShareOfAProfile) {
  const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(PredictorKind::kMarkov3);
  EXPECT_LE(predictor->bytes(), 17u * 1024);
  Rng rng(1, "type_predictor_test");
  Context context;
  context.length = 3;
  Work work;
  const std::size_t before = predictor->bytes();
  for (int i = 0; i < 200'000; ++i) {
    for (Symbol& symbol : context.symbol) symbol = static_cast<Symbol>(rng.Below(kSymbols));
    predictor->Learn(context, static_cast<PacketType>(rng.Below(kPacketTypes)), work);
  }
  EXPECT_EQ(predictor->bytes(), before);
}

TEST(TypePredictor, CountsItsWork) {
  const std::unique_ptr<TypePredictor> predictor = MakeTypePredictor(PredictorKind::kMarkov3);
  Context context;
  context.length = 3;
  Work learning;
  predictor->Learn(context, PacketType::kBulk, learning);
  EXPECT_GT(learning[WorkItem::kUpdate], 0u);
  Work predicting;
  predictor->Predict(context, predicting);
  EXPECT_EQ(predicting[WorkItem::kTableStep], 3u);
  EXPECT_EQ(predicting[WorkItem::kUpdate], 0u);
}

TEST(TypePredictor, TheReadmesExample) {
  PacketSummary summary;
  const std::uint64_t number = 0;
  Labeler labeler(Millis(200), 16);
  Work work;
  FeatureState features;  // one a VM
  Context context;        // one a VM
  const auto predictor = MakeTypePredictor(PredictorKind::kMarkov3);

  const Symbol symbol = SymbolOf(summary, features);  // at arrival
  context.Push(symbol);
  const Prediction prediction = predictor->Predict(context, work);
  labeler.Push(number, summary);  // and keep (number, context) for a horizon
  labeler.Flush();
  const auto context_of = [&](std::uint64_t) { return context; };
  Label label;
  while (labeler.Pop(label)) predictor->Learn(context_of(label.packet), label.type, work);
  EXPECT_EQ(label.type, PacketType::kControl);
  EXPECT_GT(predictor->Predict(context, work).confidence, prediction.confidence);
}

}  // namespace
}  // namespace foreflow::predict
