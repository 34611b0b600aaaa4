// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/model_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

using Event = ModelWatch::Event;

// Losses of two predictors that draw from the same truth: partly common, as on the same traffic.
struct Losses {
  double model;
  double fallback;
};
Losses Draw(Rng& rng, double model, double fallback) {
  const double common = rng.Exponential(1);
  return {std::min(model * (0.5 * common + 0.5 * rng.Exponential(1)), 16.0),
          std::min(fallback * (0.5 * common + 0.5 * rng.Exponential(1)), 16.0)};
}

struct Seen {
  int alarms = 0;
  int falls = 0;
  int recoveries = 0;
  int served = 0;        // outcomes while the model served
  int first_event = -1;  // the outcome of the first fall or alarm
  double loss = 0;       // of whoever predicted
  double fallback_loss = 0;
};
Seen Play(ModelWatch& watch, Rng& rng, double model, double fallback, int outcomes) {
  Seen seen;
  for (int i = 0; i < outcomes; ++i) {
    const Losses losses = Draw(rng, model, fallback);
    seen.served += watch.Serves() ? 1 : 0;
    seen.loss += watch.Serves() ? losses.model : losses.fallback;
    seen.fallback_loss += losses.fallback;
    for (const Event event : {watch.SeeModel(losses.model), watch.SeeBoth(losses.model, losses.fallback)}) {
      seen.alarms += event == Event::kAlarm ? 1 : 0;
      seen.falls += event == Event::kFellBack ? 1 : 0;
      seen.recoveries += event == Event::kRecovered ? 1 : 0;
      if (seen.first_event < 0 && (event == Event::kAlarm || event == Event::kFellBack)) seen.first_event = i;
    }
  }
  return seen;
}

TEST(ModelWatch, SeesAShiftFallsBackAndRecovers) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "model_watch_test");
    ModelWatch watch;
    const Seen good = Play(watch, rng, 0.4, 0.7, 20000);
    EXPECT_GT(good.served, 19900);
    const Seen bad = Play(watch, rng, 2.5, 0.7, 5000);
    EXPECT_GE(bad.first_event, 0);
    EXPECT_LT(bad.first_event, 100);
    EXPECT_FALSE(watch.Serves());
    EXPECT_LT(bad.served, 300);
    const Seen again = Play(watch, rng, 0.4, 0.7, 5000);
    EXPECT_GE(again.recoveries, 1);
    EXPECT_TRUE(watch.Serves());
    EXPECT_GT(again.served, 3500);
  }
}

// A rise that hits both alike costs the fall-back's predictions for a while, no more.
TEST(ModelWatch, KeepsAModelThatIsStillTheBetter) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "model_watch_both");
    ModelWatch watch;
    Play(watch, rng, 0.3, 0.6, 5000);
    const Seen seen = Play(watch, rng, 1.2, 2.0, 5000);
    EXPECT_GE(seen.alarms, 1);
    EXPECT_TRUE(watch.Serves());
    EXPECT_GT(seen.served, 4500);
  }
}

// Whoever chooses the losses: over a run whoever predicts loses little more than the fall-back alone would.
TEST(ModelWatch, CostsLittleAgainstTheFallBackAlone) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "model_watch_cost");
    ModelWatch watch;
    Seen sum;
    for (int phase = 0; phase < 20; ++phase) {
      const double model = rng.Real() * 3, fallback = rng.Real() * 3;
      const Seen seen = Play(watch, rng, model, fallback, 2000);
      sum.loss += seen.loss;
      sum.fallback_loss += seen.fallback_loss;
    }
    EXPECT_LT(sum.loss, sum.fallback_loss * 1.01);
  }
}

TEST(ModelWatch, NeedsAProbationBeforeItCompares) {
  ModelWatch watch;
  for (std::uint32_t i = 1; i < ModelWatch::kProbation; ++i) {
    EXPECT_EQ(watch.SeeBoth(1, 0.5), Event::kNone) << i;
  }
  EXPECT_EQ(watch.SeeBoth(1, 0.5), Event::kFellBack);
}

}  // namespace
}  // namespace foreflow::predict
