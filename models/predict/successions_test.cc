// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/successions.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "models/base/refusal.h"

namespace foreflow::predict {
namespace {

struct SuccessionSender {
  explicit SuccessionSender(std::size_t contexts) : successions(contexts) {}
  void See(std::uint32_t symbol) { successions.See(symbol, odds, work); }
  std::vector<Successions::Next> Predict() const {
    std::vector<Successions::Next> next(Successions::kMost);
    Work uncounted;
    next.resize(successions.Predict(next.data(), next.size(), odds, uncounted));
    return next;
  }
  Successions successions;
  SuccessionOdds odds;
  Work work;
};

TEST(Successions, TwoSymbolsTellApartWhatOneDoesNot) {
  SuccessionSender sender(64);
  // 1 5 2 and 3 5 4: after 5 it depends on what was before.
  for (int i = 0; i < 40; ++i) {
    for (const std::uint32_t symbol : {1u, 5u, 2u, 3u, 5u, 4u}) sender.See(symbol);
  }
  sender.See(1);
  sender.See(5);
  ASSERT_GE(sender.Predict().size(), 1u);
  EXPECT_EQ(sender.Predict()[0].symbol, 2u);
  EXPECT_GT(sender.Predict()[0].confidence, 60'000);
  for (const std::uint32_t symbol : {2u, 3u, 5u}) sender.See(symbol);
  EXPECT_EQ(sender.Predict()[0].symbol, 4u);
  // Two symbols that were never seen together: the last one alone says that either may come.
  sender.See(4);
  sender.See(77);
  sender.See(5);
  const std::vector<Successions::Next> next = sender.Predict();
  ASSERT_EQ(next.size(), 2u);
  EXPECT_EQ(next[0].symbol + next[1].symbol, 6u);
}

TEST(Successions, ConfidencesAreHowOftenTheyComeTrue) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE("seed 11");
  std::mt19937_64 random(kSeed);
  SuccessionSender sender(4096);
  // Each symbol of 40 is followed by one of two, of its own, by 2 to 1, or now and then by any.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> law(40);
  for (auto& [often, seldom] : law) {
    often = static_cast<std::uint32_t>(random() % 40);
    seldom = static_cast<std::uint32_t>(random() % 40);
  }
  std::map<int, std::pair<double, double>> bins;  // by tenth: said, and come true
  std::map<int, int> predictions;
  std::uint32_t last = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::uint64_t draw = random() % 100;
    std::uint32_t next = draw < 60
                             ? law[last].first
                             : (draw < 90 ? law[last].second : static_cast<std::uint32_t>(random() % 40));
    if (next == last) next = (last + 1) % 40;
    if (i > 10'000) {
      for (const Successions::Next& said : sender.Predict()) {
        const int tenth = said.confidence / 6554;
        bins[tenth].first += said.confidence / 65535.0;
        bins[tenth].second += said.symbol == next ? 1 : 0;
        ++predictions[tenth];
      }
    }
    sender.See(next);
    last = next;
  }
  for (const auto& [tenth, sums] : bins) {
    if (predictions[tenth] < 1000) continue;
    EXPECT_NEAR(sums.first / predictions[tenth], sums.second / predictions[tenth], 0.04) << tenth;
  }
}

TEST(Successions, MemoryIsBoundedAndWhatIsInUseStays) {
  SuccessionSender sender(256);
  const std::size_t bytes = sender.successions.bytes();
  std::uint32_t fresh = 1000;
  for (int i = 0; i < 3000; ++i) {
    for (const std::uint32_t symbol : {1u, 2u, 3u, 4u}) sender.See(symbol);
    for (int j = 0; j < 4; ++j) sender.See(fresh++);
  }
  EXPECT_EQ(sender.successions.bytes(), bytes);
  sender.See(1);
  sender.See(2);
  ASSERT_GE(sender.Predict().size(), 1u);
  EXPECT_EQ(sender.Predict()[0].symbol, 3u);
}

TEST(Successions, NothingIsKnownBeforeASymbolAndAnySymbolIsTaken) {
  SuccessionSender sender(1);
  EXPECT_TRUE(sender.Predict().empty());
  sender.See(0xffffffff);
  EXPECT_TRUE(sender.Predict().empty());
  for (int i = 0; i < 100; ++i) sender.See(i % 2 == 0 ? 0 : 0xffffffff);
  ASSERT_FALSE(sender.Predict().empty());
  EXPECT_EQ(sender.Predict()[0].symbol, 0u);
  EXPECT_THROW(Successions(0), Refusal);
  EXPECT_THROW(Successions((std::size_t{1} << 20) + 1), Refusal);
}

// What nobody has measured yet: one outcome is no certainty.
TEST(SuccessionOdds, BeginWithTheCountsAndFollowTheOutcomes) {
  SuccessionOdds odds;
  using Context = SuccessionOdds::Context;
  EXPECT_EQ(odds.Of(Context::kTwo, 1, 1), 65535 / 2);
  for (int i = 0; i < 5000; ++i) odds.Score(Context::kTwo, 1, 1, i % 10 != 0);
  EXPECT_NEAR(odds.Of(Context::kTwo, 1, 1), 0.9 * 65535, 700);
  EXPECT_EQ(odds.Of(Context::kOne, 1, 1), 65535 / 2);
}

}  // namespace
}  // namespace foreflow::predict
