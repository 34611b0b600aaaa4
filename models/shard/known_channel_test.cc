// SPDX-License-Identifier: BSD-3-Clause
// Rules that know their channel: the filter of its states, and what the detector makes of it.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/shard/gap_detector.h"
#include "models/shard/loss_filter.h"

namespace foreflow::shard {
namespace {

ChannelModel RandomModel(Rng& rng) {
  ChannelModel model;
  model.to_bad = 0.5 * rng.Real();
  model.to_good = 0.05 + 0.95 * rng.Real();
  model.loss_good = 0.1 * rng.Real();
  model.loss_bad = rng.Real();
  model.lateness = {{Nanos(), 0.2 * rng.Real()}};
  model.lateness.push_back({Micros(100), model.lateness[0].share * rng.Real()});
  model.lateness.push_back({Millis(1), 0});
  return model;
}

// Each number that is missing: that it is lost, by going through all sequences of states, from the stationary
// law on. `is_missing` ends with a number that came.
std::vector<double> LostOf(const ChannelModel& model, const std::vector<bool>& is_missing) {
  const std::size_t n = is_missing.size();
  const double late = model.lateness[0].share;
  double all = 0;
  std::vector<double> lost(n, 0);
  for (std::size_t states = 0; states < std::size_t{1} << n; ++states) {
    double likely = 1;
    std::vector<double> share(n, 0);
    for (std::size_t i = 0; i < n; ++i) {
      const bool is_bad = (states >> i & 1) != 0;
      if (i == 0) {
        const double bad = model.to_bad / (model.to_bad + model.to_good);
        likely *= is_bad ? bad : 1 - bad;
      } else {
        const bool was_bad = (states >> (i - 1) & 1) != 0;
        const double to_bad = was_bad ? 1 - model.to_good : model.to_bad;
        likely *= is_bad ? to_bad : 1 - to_bad;
      }
      const double loss = is_bad ? model.loss_bad : model.loss_good;
      likely *= is_missing[i] ? loss + (1 - loss) * late : (1 - loss) * (1 - late);
      share[i] = loss / (loss + (1 - loss) * late);
    }
    all += likely;
    for (std::size_t i = 0; i < n; ++i) lost[i] += likely * share[i];
  }
  for (double& value : lost) value /= all;
  return lost;
}

TEST(LossFilter, AgreesWithEverySequenceOfStates) {
  Work work;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "known_channel_test");
    const ChannelModel model = RandomModel(rng);
    LossFilter filter(model);
    std::vector<bool> is_missing;
    while (is_missing.size() < 9) {
      std::uint64_t run = 0;
      while (run < 4 && rng.Below(2) == 0) ++run;
      is_missing.insert(is_missing.end(), run, true);
      is_missing.push_back(false);
      if (run > 0) {
        filter.OnMissing(run, work);
        const std::vector<double> lost = LostOf(model, is_missing);
        for (std::uint64_t back = 0; back < run; ++back)
          ASSERT_NEAR(filter.Posterior(back), lost[is_missing.size() - 2 - back], 1e-9)
              << back << " of " << run;
      }
      filter.OnReceived(work);
    }
  }
}

// Whatever came before, a number of a memoryless channel is lost with the same probability.
TEST(LossFilter, OfAMemorylessChannelHistorySaysNothing) {
  ChannelModel model;
  model.loss_good = model.loss_bad = 0.02;
  model.to_bad = 0.3;
  model.to_good = 0.2;
  model.lateness = {{Nanos(), 0.01}, {Millis(1), 0}};
  LossFilter filter(model);
  Work work;
  for (std::uint64_t run = 1; run < 200; run += 7) {
    filter.OnMissing(run, work);
    for (std::uint64_t back = 0; back < run; ++back)
      ASSERT_NEAR(filter.Posterior(back), 0.02 / (0.02 + 0.98 * 0.01), 1e-12);
    for (std::uint64_t i = 0; i < run % 5; ++i) filter.OnReceived(work);
  }
}

// Exponential spread mu, all of them late: t* = mu ln((1 - q) / q c / (1 - c)), 5.28 mu for q = 0.02, c =
// 0.8.
TEST(LossFilter, WaitsAsTheClosedFormSays) {
  ChannelModel model;
  constexpr double kMu = 1e6;
  for (int i = 0; i < 2000; ++i) model.lateness.push_back({Micros(10 * i), std::exp(-10'000.0 * i / kMu)});
  const LossFilter filter(model);
  for (const double q : {0.001, 0.02, 0.3})
    for (const double c : {0.5, 0.8, 0.98}) {
      const double expected = std::max(0.0, kMu * std::log((1 - q) / q * c / (1 - c)));
      EXPECT_NEAR(static_cast<double>(filter.Wait(q, c).count()), expected, 2e-5 * kMu) << q << " " << c;
    }
  EXPECT_NEAR(static_cast<double>(filter.Wait(0.02, 0.8).count()) / kMu, 5.28, 0.01);
  EXPECT_EQ(filter.Wait(1, 0.98), Nanos());
  EXPECT_EQ(LossFilter(ChannelModel{}).Wait(0.5, 0.98), Nanos())
      << "nothing comes late: what is missing is lost";
}

TEST(LossFilter, RefusesWhatIsNoChannel) {
  const auto refuses = [](auto change) {
    ChannelModel model;
    model.lateness = {{Nanos(), 0.1}, {Millis(1), 0}};
    change(model);
    EXPECT_THROW(LossFilter{model}, Refusal);
  };
  refuses([](ChannelModel& model) { model.to_bad = 1.5; });
  refuses([](ChannelModel& model) { model.to_good = 0; });
  refuses([](ChannelModel& model) { model.loss_good = -0.1; });
  refuses([](ChannelModel& model) { model.loss_bad = std::nan(""); });
  refuses([](ChannelModel& model) { model.lateness[0].after = Nanos(1); });
  refuses([](ChannelModel& model) { model.lateness[1].after = Nanos(); });
  refuses([](ChannelModel& model) { model.lateness[1].share = 0.2; });
}

using Asks = std::vector<std::pair<std::uint64_t, Nanos>>;

// What is asked for, and when, by `until`, in steps of 1 us.
Asks AskedBy(GapDetector& gaps, Nanos from, Nanos until) {
  Asks asks;
  Work work;
  for (Nanos now = from; now <= until; now += Micros(1))
    for (std::uint64_t number = 0; gaps.NextAsk(now, number, work);) asks.emplace_back(number, now);
  return asks;
}

TEST(GapDetector, BayesAsksWhenItsChannelSays) {
  GapDetectorConfig config;
  config.rule = GapRule::kBayes;
  config.asks = 1;
  config.channel.to_bad = 0.01;
  config.channel.to_good = 0.2;
  config.channel.loss_bad = 1;
  config.channel.lateness = {{Nanos(), 0.02}, {Micros(300), 0.02}, {Millis(1), 0}};
  GapDetector gaps(config);
  LossFilter filter(config.channel);
  Work work;
  const auto arrive = [&](std::uint64_t number, Nanos now) {
    gaps.OnNumber(number, now, work);
    filter.OnReceived(work);
  };
  for (std::uint64_t number = 0; number < 50; ++number) arrive(number, Millis(1));
  gaps.OnNumber(51, Millis(2), work);
  filter.OnMissing(1, work);
  const Nanos alone = filter.Wait(filter.Posterior(0), 64'225 / 65'536.0);
  filter.OnReceived(work);
  EXPECT_GT(alone, Micros(300)) << "one that is missing may be late";
  EXPECT_LT(alone, Millis(1));
  const Asks one = AskedBy(gaps, Millis(2), Millis(4));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].first, 50u);
  EXPECT_LE(one[0].second - Millis(2) - alone, Micros(2));
  EXPECT_GE(one[0].second, Millis(2) + alone);
  // Side by side they are a burst; its first and last may be late numbers beside it.
  gaps.OnNumber(58, Millis(5), work);
  filter.OnMissing(6, work);
  const Asks run = AskedBy(gaps, Millis(5), Millis(7));
  ASSERT_EQ(run.size(), 6u);
  for (const auto& [number, at] : run) {
    const Nanos due = Millis(5) + filter.Wait(filter.Posterior(57 - number), 64'225 / 65'536.0);
    EXPECT_GE(at, due) << number;
    EXPECT_LE(at - due, Micros(2)) << number;
  }
  EXPECT_LT(run[3].second, Millis(5) + Micros(3));
  EXPECT_GT(run[4].second, Millis(5) + Micros(300));
}

TEST(GapDetector, ClairvoyantAsksForWhatIsLostAndForNothingElse) {
  GapDetectorConfig config;
  config.rule = GapRule::kClairvoyant;
  GapDetector gaps(config);
  gaps.SetRoundTrip(Millis(2), Millis(2));
  Work work;
  gaps.OnNumber(0, Millis(1), work);
  gaps.OnNumber(3, Millis(1), work);
  EXPECT_EQ(AskedBy(gaps, Millis(1), Millis(3)), Asks());
  gaps.OnNumber(1, Millis(3), work);
  gaps.OnLost(2, Millis(3), work);
  gaps.OnLost(7, Millis(3), work);  // before a later one came
  gaps.OnLost(7, Millis(3), work);
  EXPECT_EQ(AskedBy(gaps, Millis(3), Millis(3) + Micros(1)),
            (Asks{{2, Millis(3) + Micros(1)}, {7, Millis(3) + Micros(1)}}))
      << "in the next tick";
  EXPECT_EQ(gaps.counts().spurious, 0u);
  gaps.OnSentAgain(2, Millis(5));
  gaps.OnSentAgain(7, Millis(5));
  gaps.OnNumber(8, Millis(5), work);
  gaps.OnNumber(9, Millis(5), work);
  EXPECT_EQ(AskedBy(gaps, Millis(5), Millis(30)), Asks());

  GapDetector rack(GapDetectorConfig{});
  rack.OnNumber(0, Millis(1), work);
  rack.OnLost(5, Millis(1), work);
  EXPECT_EQ(AskedBy(rack, Millis(1), Millis(3)), Asks()) << "other rules cannot be told";
}

TEST(GapDetector, EwmaWaitsForMeanAndFourDeviationsOfLateness) {
  GapDetectorConfig config;
  config.rule = GapRule::kEwma;
  config.asks = 1;
  GapDetector gaps(config);
  gaps.SetRoundTrip(Millis(20), Millis(20));
  Work work;
  Rng rng(7, "known_channel_test");
  double mean = 0, deviation = 0;
  Nanos now = Millis(1);
  gaps.OnNumber(0, now, work);
  for (std::uint64_t number = 2; number < 200; number += 2) {
    now += Millis(50);
    const double wait = number == 2 ? 5e6 : mean + 4 * deviation;
    gaps.OnNumber(number, now, work);
    const double late = 1e6 + 3e5 * rng.Real();
    const Nanos at = now + Nanos(static_cast<std::int64_t>(late));
    const Asks asks = AskedBy(gaps, now, at);
    ASSERT_EQ(asks.size(), late > wait + 2000 ? 1u : asks.size()) << number;
    if (!asks.empty()) {
      ASSERT_NEAR(static_cast<double>((asks[0].second - now).count()), wait, 3000) << number;
    }
    gaps.OnNumber(number - 1, at, work);
    deviation = number == 2 ? late / 2 : 0.75 * deviation + 0.25 * std::abs(late - mean);
    mean = number == 2 ? late : 0.875 * mean + 0.125 * late;
  }
  EXPECT_LT(mean + 4 * deviation, 2e6);
}

}  // namespace
}  // namespace foreflow::shard
