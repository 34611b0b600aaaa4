// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/distil.h"

#include <gtest/gtest.h>

#include "models/base/rng.h"
#include "models/train/test_datasets.h"

namespace foreflow::train {
namespace {

TEST(Minimise, KeepsWhatEveryWordGivesInTheFewestStates) {
  for (std::uint32_t index = 0; index < 20; ++index) {
    // A small automaton with distinct outputs, blown up: state s of the big one stands for s % kSmall, so
    // that at most kSmall states are needed.
    constexpr std::uint32_t kSmall = 5, kBig = 40, kSymbols = 3;
    Rng rng(31, "minimise", index);
    std::vector<std::uint32_t> small(kSmall * kSymbols);
    for (std::uint32_t& next : small) next = rng.Below(kSmall);
    Automaton big;
    big.states = kBig;
    big.symbols = kSymbols;
    for (std::uint32_t state = 0; state < kBig; ++state) {
      big.output.push_back(static_cast<float>(state % kSmall));
      for (std::uint32_t symbol = 0; symbol < kSymbols; ++symbol) {
        const std::uint32_t next =
            small[state % kSmall * kSymbols + symbol] + kSmall * rng.Below(kBig / kSmall);
        big.next.push_back(static_cast<std::uint16_t>(next));
      }
    }
    const Automaton least = Minimise(big);
    EXPECT_LE(least.states, kSmall);
    std::uint32_t one = 0, other = 0;
    for (int step = 0; step < 500; ++step) {
      const std::uint32_t symbol = rng.Below(kSymbols);
      one = big.next[one * kSymbols + symbol];
      other = least.next[other * kSymbols + symbol];
      ASSERT_EQ(big.output[one], least.output[other]);
    }
    EXPECT_EQ(Minimise(least).states, least.states);
  }
}

TEST(MostStates, FitInTheBytes) {
  EXPECT_EQ(MostStates(512 * 1024, 128, 28), 1424u);
  EXPECT_EQ(MostStates(512 * 1024, 2, 3), 4096u);
}

TEST(Walk, FollowsEverySequenceOnItsOwn) {
  Automaton parity;
  parity.states = 2;
  parity.symbols = 4;
  parity.next = {0, 1, 0, 1, 1, 0, 1, 0};
  const Dataset dataset = DatasetOfKnownLaw(32, 500, 6, false);
  const std::vector<std::uint16_t> walked = Walk(parity, dataset);
  std::vector<int> ones(6, 0);
  for (std::size_t row = 0; row < dataset.rows(); ++row) {
    ones[dataset.sequence[row]] += dataset.symbol[row] & 1;
    ASSERT_EQ(walked[row], ones[dataset.sequence[row]] & 1);
  }
}

}  // namespace
}  // namespace foreflow::train
