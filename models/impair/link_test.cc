// SPDX-License-Identifier: BSD-3-Clause
#include "models/impair/link.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "models/base/count_allocations_test.h"
#include "models/base/refusal.h"
#include "models/base/rng.h"

namespace foreflow::impair {
namespace {

using Raw = std::vector<std::uint8_t>;

LinkConfig Rough() {
  LinkConfig config;
  config.impairment.paths.resize(2);
  for (PathConfig& path : config.impairment.paths) {
    path.loss = 0.05;
    path.delay = Millis(1);
    path.jitter = Micros(300);
    path.duplicate = 0.1;
    path.corrupt = 0.1;
  }
  config.impairment.paths[1].delay = Millis(4);
  return config;
}

Raw RandomBytes(Rng& rng, std::size_t bytes) {
  Raw raw(bytes);
  for (std::uint8_t& byte : raw) byte = static_cast<std::uint8_t>(rng.Next32());
  return raw;
}

// Beside an impairment of the same seed and a map of all that is on its way.
TEST(Link, CarriesWhatItsImpairmentLetsPassInOrderOfTime) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    const LinkConfig config = Rough();
    Link link(config, seed);
    Impairment impairment(config.impairment, seed);
    Rng rng(seed, "link_test");
    struct Copy {
      Raw bytes;
      std::size_t path = 0;
    };
    std::multimap<Nanos, Copy> on_its_way;
    Nanos now;
    std::uint64_t arrived = 0;
    for (int i = 0; i < 4000; ++i) {
      now += Nanos(rng.Below(20'000));
      Link::Arrival arrival;
      while (link.Receive(now, arrival)) {
        ASSERT_FALSE(on_its_way.empty());
        const auto first = on_its_way.begin();
        ASSERT_EQ(arrival.at, first->first);
        ASSERT_LE(arrival.at, now);
        ASSERT_EQ(arrival.path, first->second.path);
        ASSERT_EQ(Raw(arrival.datagram.begin(), arrival.datagram.end()), first->second.bytes);
        on_its_way.erase(first);
        ++arrived;
      }
      ASSERT_EQ(link.next(), on_its_way.empty() ? DelayLine::kNever : on_its_way.begin()->first);
      ASSERT_EQ(link.held(), on_its_way.size());
      const Raw datagram = RandomBytes(rng, 1 + rng.Below(1400));
      const std::size_t path = rng.Below(4);
      const Passage passage = impairment.Pass(path, datagram.size(), now);
      ASSERT_EQ(link.Send({datagram.data(), datagram.size()}, path, now), passage.fate);
      for (std::size_t copy = 0; copy < passage.copies; ++copy) {
        Raw bytes = datagram;
        if (passage.copy[copy].flip != 0) bytes[passage.copy[copy].place] ^= passage.copy[copy].flip;
        on_its_way.insert({passage.copy[copy].at, {bytes, path % 2}});
      }
    }
    EXPECT_EQ(link.arrived(), arrived);
    EXPECT_EQ(link.counts().out, link.arrived() + link.no_room() + link.held());
    EXPECT_EQ(link.no_room(), 0u);
    EXPECT_GT(arrived, 3500u);
  }
}

TEST(Link, DelaysWhatItPasses) {
  const std::uint64_t seed = 3;
  const Raw bytes(700, 1);
  const BytesView datagram{bytes.data(), bytes.size()};
  const Nanos now = Seconds(1);
  LinkConfig config;
  config.impairment.paths[0].delay = Millis(5);
  config.impairment.paths[0].burst.to_bad = 0.01;
  config.impairment.paths[0].burst.to_good = 0.3;
  Link link(config, seed);
  const Fate fate = link.Send(datagram, 0, now);
  EXPECT_EQ(link.next(), fate == Fate::kPassed ? now + Millis(5) : DelayLine::kNever);
  std::size_t arrived = 0;
  for (Link::Arrival arrival; link.Receive(now + Millis(5), arrival);) ++arrived;
  EXPECT_EQ(arrived, fate == Fate::kPassed ? 1u : 0u);
}

TEST(Link, CountsWhatFindsNoRoom) {
  LinkConfig config;
  config.datagrams = 3;
  config.impairment.paths[0].delay = Millis(1);
  Link link(config, 1);
  const Raw datagram(10, 7);
  for (int i = 0; i < 5; ++i) link.Send({datagram.data(), datagram.size()}, 0, Nanos(i));
  EXPECT_EQ(link.no_room(), 2u);
  Link::Arrival arrival;
  ASSERT_TRUE(link.Receive(Seconds(1), arrival));
  // While one is looked at, all the others' places can be taken.
  for (int i = 0; i < 5; ++i) link.Send({datagram.data(), datagram.size()}, 0, Seconds(1));
  EXPECT_EQ(link.held(), 3u);
  EXPECT_EQ(link.no_room(), 6u);
  EXPECT_EQ(Raw(arrival.datagram.begin(), arrival.datagram.end()), datagram);
  while (link.Receive(Seconds(2), arrival)) {
  }
  EXPECT_EQ(link.arrived(), 4u);
  EXPECT_EQ(link.counts().out, 10u);
}

TEST(Link, LetsNothingPassThatItCannotHold) {
  LinkConfig config;
  config.largest_bytes = 100;
  Link link(config, 1);
  const Raw datagram(101);
  EXPECT_EQ(link.Send({datagram.data(), 101}, 0, Nanos()), Fate::kTooLarge);
  EXPECT_EQ(link.Send({datagram.data(), 100}, 0, Nanos()), Fate::kPassed);
  EXPECT_EQ(link.Send({nullptr, 0}, 0, Nanos()), Fate::kPassed);
}

TEST(Link, TakesNoMemoryAfterSetUp) {
  Link link(Rough(), 1);
  const Raw datagram(1400, 1);
  std::size_t arrived = 0;
  g_allocations = 0;
  g_counting = true;
  for (int i = 0; i < 20'000; ++i) {
    link.Send({datagram.data(), datagram.size()}, static_cast<std::size_t>(i), Micros(i / 4));
    Link::Arrival arrival;
    while (link.Receive(Micros(i / 4), arrival)) ++arrived;
  }
  g_counting = false;
  EXPECT_EQ(g_allocations, 0u);
  EXPECT_GT(arrived, 0u);
  EXPECT_GT(link.no_room(), 0u);
}

TEST(Link, RefusesWhatIsOutOfRange) {
  LinkConfig config;
  config.datagrams = 0;
  EXPECT_THROW(Link(config, 1), Refusal);
  config = {};
  config.largest_bytes = 65'536;
  EXPECT_THROW(Link(config, 1), Refusal);
}

}  // namespace
}  // namespace foreflow::impair
