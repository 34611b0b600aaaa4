// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/calibrator.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

using Probabilities = std::array<double, kPacketTypes>;

Probabilities DrawProbabilities(Rng& rng) {
  Probabilities p;
  for (double& each : p) each = rng.Exponential(1) * rng.Exponential(1) + 1e-3;
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& each : p) each /= sum;
  return p;
}

PacketType Draw(const Probabilities& p, Rng& rng) {
  double left = rng.Real();
  std::size_t i = 0;
  while (i + 1 < p.size() && left >= p[i]) left -= p[i++];
  return static_cast<PacketType>(i);
}

// p^exponent, normalised.
Distribution Powered(const Probabilities& p, double exponent) {
  double sum = 0;
  for (const double each : p) sum += std::pow(each, exponent);
  Distribution raw;
  for (std::size_t i = 0; i < p.size(); ++i) {
    raw[i] = static_cast<std::uint32_t>(std::lround(65536 * std::pow(p[i], exponent) / sum));
  }
  return raw;
}

TEST(Calibrator, FindsTheTemperatureThatWasHidden) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    for (const double hidden : {0.5, 1.0, 2.0}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " exponent " << hidden);
      Rng rng(seed, "calibrator_test");
      Calibrator calibrator;
      for (int i = 0; i < 20'000; ++i) {
        const Probabilities p = DrawProbabilities(rng);
        calibrator.Learn(Powered(p, hidden), Draw(p, rng));
      }
      // The grid's steps are factors of 2^(1/4); one step either way.
      const double found = calibrator.sharpness() / 256.0;
      EXPECT_LE(std::abs(std::log2(found * hidden)), 0.26) << found;
    }
  }
}

TEST(Calibrator, UndoesWhatItFound) {
  Rng rng(7, "calibrator_test");
  Calibrator calibrator;
  for (int i = 0; i < 20'000; ++i) {
    const Probabilities p = DrawProbabilities(rng);
    calibrator.Learn(Powered(p, 2), Draw(p, rng));
  }
  const double sharpness = calibrator.sharpness() / 256.0;
  for (int i = 0; i < 1000; ++i) {
    const Distribution raw = Powered(DrawProbabilities(rng), 2);
    const auto best = static_cast<PacketType>(std::max_element(raw.begin(), raw.end()) - raw.begin());
    std::array<std::uint16_t, kPacketTypes> probability{};
    calibrator.Apply(raw, best, probability);
    // Zero counts as the least that can be written.
    const auto weight = [&](std::size_t k) { return std::pow(std::max(raw[k], 1u), sharpness); };
    double sum = 0;
    for (std::size_t k = 0; k < kPacketTypes; ++k) sum += weight(k);
    for (std::size_t k = 0; k < kPacketTypes; ++k)
      EXPECT_NEAR(probability[k] / 65535.0, weight(k) / sum, 0.0005);
  }
}

RC_GTEST_PROP(Calibrator, ProbabilitiesSumToOne, ()) {
  Calibrator calibrator;
  Rng rng(*rc::gen::arbitrary<std::uint64_t>(), "calibrator_test");
  const double hidden = rng.Real() * 4;
  for (int i = 0; i < 1000; ++i) {
    const Probabilities p = DrawProbabilities(rng);
    Distribution raw = Powered(p, hidden);
    if (i % 10 == 0) raw.fill(0);
    if (i % 10 == 1) raw = Distribution{0, 0, 65536};
    if (i % 10 == 0) raw[rng.Below(kPacketTypes)] = 1 + rng.Below(65536);
    const auto best = static_cast<PacketType>(std::max_element(raw.begin(), raw.end()) - raw.begin());
    std::array<std::uint16_t, kPacketTypes> probability{};
    calibrator.Apply(raw, best, probability);
    RC_ASSERT(std::accumulate(probability.begin(), probability.end(), 0) == 65535);
    RC_ASSERT(*std::max_element(probability.begin(), probability.end()) ==
              probability[static_cast<std::size_t>(best)]);
    calibrator.Learn(raw, Draw(p, rng));
  }
}

}  // namespace
}  // namespace foreflow::predict
