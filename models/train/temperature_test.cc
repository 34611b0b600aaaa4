// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/temperature.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/base/rng.h"

namespace foreflow::train {
namespace {

TEST(Temperature, LogLossIsThatOfTheClosedForm) {
  // softmax(log p / 1) = p; softmax(log p * 2) is proportional to p^2.
  const std::vector<float> logits{std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  EXPECT_NEAR(LogLoss(logits, 3, {0}, 1), std::log(2.0), 1e-6);
  EXPECT_NEAR(LogLoss(logits, 3, {1}, 0.5), -std::log(0.0625 / 0.375), 1e-6);
  EXPECT_EQ(LogLoss(logits, 3, {-1}, 1), 0);
}

TEST(Temperature, FindsWhatTheLogitsWereScaledBy) {
  Rng rng(21, "temperature");
  for (const double truth : {0.5, 1.0, 2.5}) {
    std::vector<float> logits;
    std::vector<std::int8_t> labels;
    for (int row = 0; row < 40000; ++row) {
      double p[3], mass = 0;
      for (double& one : p) mass += one = 0.05 + rng.Real();
      double draw = rng.Real() * mass;
      std::int8_t label = 0;
      while (label < 2 && draw >= p[label]) draw -= p[label++];
      labels.push_back(label);
      for (const double one : p) logits.push_back(static_cast<float>(std::log(one / mass) * truth));
    }
    // The estimate's deviation is about 0.02 T here.
    EXPECT_NEAR(FitTemperature(logits, 3, labels) / truth, 1, 0.1);
  }
}

TEST(Temperature, IsOneWhereNothingIsKnown) { EXPECT_EQ(FitTemperature({1, 2}, 2, {-1}), 1); }

}  // namespace
}  // namespace foreflow::train
