// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/hash.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "models/base/rng.h"

namespace foreflow {
namespace {

using Key = std::array<std::uint8_t, KeyHasher::kKeyBytes>;

Key RandomKey(Rng& rng) {
  Key key;
  for (std::uint8_t& byte : key) byte = static_cast<std::uint8_t>(rng.Next32());
  return key;
}

// The authors' vectors: isthe.com/chongo/tech/comp/fnv.
TEST(HashName, AgreesWithFnv1a) {
  EXPECT_EQ(HashName(""), 0x811c9dc5u);
  EXPECT_EQ(HashName("a"), 0xe40c292cu);
  EXPECT_EQ(HashName("foobar"), 0xbf9cf968u);
}

// SplitMix64 from seed 1234567, as in the reference implementation's published outputs (Vigna).
TEST(Mix64, AgreesWithSplitMix64) {
  std::uint64_t state = 1234567;
  for (const std::uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                       4593380528125082431u, 16408922859458223821u}) {
    state += 0x9e3779b97f4a7c15u;
    EXPECT_EQ(Mix64(state), expected);
  }
}

// Every key bit flips every hash bit in half of the cases: within 5.5 standard deviations of 1/2 over all
// 320 x 64 pairs (chance of a false alarm below 1e-3; the seed is fixed, so it does not come and go).
TEST(KeyHasher, Avalanches) {
  constexpr int kTrials = 2000;
  const KeyHasher hasher(1);
  Rng rng(1, "avalanche");
  std::vector<std::array<int, 64>> flips(8 * KeyHasher::kKeyBytes);
  for (int trial = 0; trial < kTrials; ++trial) {
    Key key = RandomKey(rng);
    const std::uint64_t before = hasher(key.data());
    for (std::size_t bit = 0; bit < flips.size(); ++bit) {
      const auto mask = static_cast<std::uint8_t>(1u << (bit % 8));
      key[bit / 8] ^= mask;
      const std::uint64_t changed = before ^ hasher(key.data());
      key[bit / 8] ^= mask;
      for (std::size_t out = 0; out < 64; ++out) flips[bit][out] += static_cast<int>(changed >> out & 1);
    }
  }
  const double tolerance = 5.5 * std::sqrt(kTrials * 0.25);
  for (std::size_t bit = 0; bit < flips.size(); ++bit) {
    for (std::size_t out = 0; out < 64; ++out) {
      ASSERT_NEAR(flips[bit][out], kTrials / 2.0, tolerance) << "key bit " << bit << ", hash bit " << out;
    }
  }
}

// Keys that differ in a counter only, as ports and addresses do: 64 keys a bucket on average, and no bucket,
// taken from high or low bits, has twice that (8 standard deviations of a Poisson load).
TEST(KeyHasher, SpreadsCounters) {
  for (const std::size_t offset :
       {std::size_t{0}, std::size_t{12}, std::size_t{16}, std::size_t{32}, std::size_t{34}}) {
    const KeyHasher hasher(2);
    std::vector<int> low(1024);
    std::vector<int> high(1024);
    for (std::uint32_t i = 0; i < 65536; ++i) {
      Key key{};
      key[offset] = static_cast<std::uint8_t>(i >> 8);
      key[offset + 1] = static_cast<std::uint8_t>(i);
      const std::uint64_t hash = hasher(key.data());
      ++low[hash & 1023];
      ++high[hash >> 54];
    }
    for (const int load : low) ASSERT_LT(load, 128) << offset;
    for (const int load : high) ASSERT_LT(load, 128) << offset;
  }
}

TEST(KeyHasher, SeedsGiveUnrelatedHashes) {
  Rng rng(3, "seeds");
  const Key key = RandomKey(rng);
  int flips = 0;
  constexpr int kSeeds = 1000;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::uint64_t changed = KeyHasher(seed)(key.data()) ^ KeyHasher(seed + 1)(key.data());
    for (; changed != 0; changed &= changed - 1) ++flips;
  }
  EXPECT_NEAR(flips, 32.0 * kSeeds, 5 * std::sqrt(16.0 * kSeeds));
}

}  // namespace
}  // namespace foreflow
