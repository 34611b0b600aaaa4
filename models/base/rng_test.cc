// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace foreflow {
namespace {

using Block = std::array<std::uint32_t, 4>;

// tests/kat_vectors of Random123 1.14.0, the lines "philox4x32 10".
TEST(Philox, AgreesWithRandom123) {
  struct Vector {
    Block counter;
    std::array<std::uint32_t, 2> key;
    Block expected;
  };
  const Vector kVectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Vector& v : kVectors) EXPECT_EQ(Philox4x32(v.counter, v.key), v.expected);
}

TEST(Rng, ReadsPhiloxBlocksOfItsStream) {
  const std::uint64_t seed = 0x0123456789abcdefu;
  // FNV-1a of "foobar", from the authors' table of test vectors.
  Rng rng(seed, "foobar", 7);
  for (std::uint32_t block = 0; block < 3; ++block) {
    const Block expected = Philox4x32({block, 0, 7, 0xbf9cf968u}, {0x89abcdefu, 0x01234567u});
    for (const std::uint32_t word : expected) EXPECT_EQ(rng.Next32(), word);
  }
}

TEST(Rng, StreamsDiffer) {
  std::set<std::uint64_t> first;
  std::size_t streams = 0;
  for (const std::uint64_t seed : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1} << 32}) {
    for (const char* name : {"arrivals", "rotation", "sizes"}) {
      for (std::uint32_t index = 0; index < 100; ++index, ++streams)
        first.insert(Rng(seed, name, index).Next64());
    }
  }
  EXPECT_EQ(first.size(), streams);
}

// Pearson's chi-square below its 1 - 1e-6 quantile, by Wilson and Hilferty's approximation (z = 4.75).
void ExpectUniform(const std::vector<std::uint32_t>& counts) {
  double total = 0;
  for (const std::uint32_t count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  double chi_square = 0;
  for (const std::uint32_t count : counts) chi_square += (count - expected) * (count - expected) / expected;
  const double df = static_cast<double>(counts.size() - 1);
  const double root = 1 - 2 / (9 * df) + 4.75 * std::sqrt(2 / (9 * df));
  EXPECT_LT(chi_square, df * root * root * root);
}

TEST(Rng, BelowIsUniform) {
  for (const std::uint32_t bound : {1u, 2u, 3u, 7u, 1000u}) {
    SCOPED_TRACE(bound);
    Rng rng(11, "below", bound);
    std::vector<std::uint32_t> counts(std::max(bound, 2u));
    for (int i = 0; i < 200'000; ++i) {
      const std::uint32_t drawn = rng.Below(bound);
      ASSERT_LT(drawn, bound);
      ++counts[drawn];
    }
    counts.resize(bound);
    if (bound > 1) ExpectUniform(counts);
  }
}

// 3/4 of 2^32: without rejection, the lower third of the range would come twice as often.
TEST(Rng, BelowHasNoBiasAtLargeBounds) {
  Rng rng(12, "below");
  std::vector<std::uint32_t> counts(3);
  for (int i = 0; i < 300'000; ++i) ++counts[rng.Below(3u << 30) >> 30];
  ExpectUniform(counts);
  std::vector<std::uint32_t> remainder(3);
  for (int i = 0; i < 300'000; ++i) ++remainder[rng.Below(3u << 30) % 3];
  ExpectUniform(remainder);
}

// Kolmogorov-Smirnov distance below its 1 - 1e-6 quantile: sqrt(-ln(1e-6 / 2) / 2) / sqrt(n).
template <typename Distribution>
void ExpectDistributed(std::vector<double> sample, Distribution distribution) {
  std::sort(sample.begin(), sample.end());
  const double n = static_cast<double>(sample.size());
  double distance = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double f = distribution(sample[i]);
    distance = std::max({distance, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  EXPECT_LT(distance, std::sqrt(-std::log(1e-6 / 2) / 2 / n));
}

TEST(Rng, RealIsUniform) {
  Rng rng(13, "real");
  std::vector<double> sample(100'000);
  for (double& x : sample) {
    x = rng.Real();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
  }
  ExpectDistributed(sample, [](double x) { return x; });
}

TEST(Rng, ExponentialIsExponential) {
  Rng rng(14, "exponential");
  std::vector<double> sample(100'000);
  for (double& x : sample) x = rng.Exponential(250.0);
  ExpectDistributed(sample, [](double x) { return 1 - std::exp(-x / 250.0); });
}

}  // namespace
}  // namespace foreflow
