// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/speculation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

namespace foreflow::path {
namespace {

Speculations::Guess GuessOf(std::uint16_t number) {
  Speculations::Guess guess;
  guess.entry.fields.destination_port = number;
  guess.hash = number % 16;  // chains
  guess.vm = number;
  return guess;
}

// Against a plain queue: the oldest leaves when there is no place, places of resolved guesses are not reused
// early.
TEST(Speculations, AgreesWithANaiveRing) {
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const std::size_t places = 1 + random() % 9;
    Speculations speculations(places);
    struct Slot {
      std::uint16_t number;
      bool waits;
    };
    std::deque<Slot> naive;  // oldest first, resolved ones keep their place
    for (int step = 0; step < 20000; ++step) {
      const auto number = static_cast<std::uint16_t>(random() % 24);
      const auto same = [&](const Slot& slot) { return slot.waits && slot.number == number; };
      const auto waiting = std::find_if(naive.begin(), naive.end(), same);
      ASSERT_EQ(speculations.Waits(GuessOf(number).entry, GuessOf(number).hash), waiting != naive.end());
      Speculations::Guess out;
      if (random() % 2 == 0) {
        const bool resolved = speculations.Resolve(GuessOf(number).entry, GuessOf(number).hash, out);
        ASSERT_EQ(resolved, waiting != naive.end());
        if (resolved) {
          ASSERT_EQ(out.vm, number);
          waiting->waits = false;
        }
      } else if (waiting == naive.end()) {
        bool expect_wrong = false;
        std::uint16_t expected = 0;
        if (naive.size() == places) {
          expect_wrong = naive.front().waits;
          expected = naive.front().number;
          naive.pop_front();
        }
        naive.push_back({number, true});
        ASSERT_EQ(speculations.Add(GuessOf(number), out), expect_wrong);
        if (expect_wrong) {
          ASSERT_EQ(out.vm, expected);
        }
      }
    }
  }
}

TEST(Speculations, WithoutPlacesNothingIsRemembered) {
  Speculations speculations(0);
  Speculations::Guess out;
  EXPECT_FALSE(speculations.Add(GuessOf(1), out));
  EXPECT_FALSE(speculations.Waits(GuessOf(1).entry, GuessOf(1).hash));
}

}  // namespace
}  // namespace foreflow::path
