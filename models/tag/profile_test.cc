// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>

#include "models/base/refusal.h"

namespace foreflow::tag {
namespace {

predict::PacketSummary To(std::uint16_t number, Nanos now) {
  predict::PacketSummary packet;
  packet.arrival = now;
  packet.key.vm = 3;
  packet.key.ip_protocol = 17;
  packet.key.source_address[0] = static_cast<std::uint8_t>(number % 5);
  packet.key.destination_address[0] = static_cast<std::uint8_t>(number);
  packet.key.destination_address[1] = static_cast<std::uint8_t>(number >> 8);
  packet.key.source_port = static_cast<std::uint16_t>(40000 + number);
  packet.key.destination_port = 53;
  return packet;
}

// Every port its own class: entries are flow keys.
rules::EntryKey EntryOf(const predict::PacketSummary& packet) { return rules::EntryKey{packet.key}; }

VmProfile::Config Small(std::uint16_t peers) {
  VmProfile::Config config;
  config.vm = 3;
  config.peers = peers;
  return config;
}

TEST(VmProfile, RemembersTheLatestDestinationsAsANaiveListDoes) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    VmProfile profile(Small(16));
    std::list<std::pair<std::uint16_t, predict::DestinationId>> naive;  // newest first
    std::uint16_t last = 0xffff;
    for (int i = 0; i < 20000; ++i) {
      const auto number = static_cast<std::uint16_t>(random() % 24);
      const auto packet = To(number, Micros(i));
      Work work;
      const auto seen = profile.Observe(packet, EntryOf(packet), work);
      ASSERT_EQ(seen.moved, number != last || std::none_of(naive.begin(), naive.end(), [&](const auto& peer) {
                              return peer.first == number;
                            }));
      last = number;
      const auto known =
          std::find_if(naive.begin(), naive.end(), [&](const auto& peer) { return peer.first == number; });
      if (known != naive.end()) {
        ASSERT_EQ(seen.destination, known->second);
        naive.erase(known);
      } else if (naive.size() == 16) {
        ASSERT_EQ(seen.destination, naive.back().second);  // takes the place of the least recently used
        naive.pop_back();
      }
      naive.emplace_front(number, seen.destination);
      for (const auto& [expected, id] : naive) ASSERT_EQ(profile.KeyOf(id), To(expected, Nanos()).key);
    }
  }
}

TEST(VmProfile, PredictsWhatFollowed) {
  VmProfile profile(Small(16));
  Work work;
  predict::DestinationId id[3] = {};
  for (int i = 0; i < 300; ++i) {
    const auto packet = To(static_cast<std::uint16_t>(i % 3), Micros(i));
    id[i % 3] = profile.Observe(packet, EntryOf(packet), work).destination;
  }
  predict::NextDestination next;
  ASSERT_EQ(profile.PredictDestinations(id[0], &next, 1, work), 1u);
  EXPECT_EQ(next.destination, id[1]);
  EXPECT_EQ(next.confidence, 65535);
}

TEST(VmProfile, StaysWithinItsMemory) {
  const VmProfile profile(Small(1000));
  EXPECT_LE(profile.bytes(), 64u * 1024u);
}

TEST(VmProfile, SourcesBeyondTheBoundAreNotProfiled) {
  VmProfile profile(Small(1000));
  Work work;
  for (int i = 0; i < 200; ++i) {
    auto packet = To(1, Micros(i));
    packet.key.source_address[1] = static_cast<std::uint8_t>(i);
    const auto seen = profile.Observe(packet, EntryOf(packet), work);
    EXPECT_EQ(seen.destination == VmProfile::kNoDestination, i >= 64) << i;
  }
}

TEST(VmProfile, RefusesImpossibleSizes) {
  EXPECT_THROW(VmProfile(Small(1)), Refusal);
  EXPECT_THROW(VmProfile(Small(65535)), Refusal);
}

}  // namespace
}  // namespace foreflow::tag
