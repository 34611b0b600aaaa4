// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/traffic_extent.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <list>
#include <vector>

namespace foreflow::path {
namespace {

TEST(TrafficExtent, DistancesByHand) {
  // Distances: first, first, 1, 0, first, 2; an undecidable packet has none.
  const TrafficExtent extent({0, 1, 0, 0, EntryUses::kNone, 2, 1}, 0);
  EXPECT_EQ(extent.packets(), 6u);
  EXPECT_EQ(extent.Beyond(0), 6u);
  EXPECT_EQ(extent.Beyond(1), 5u);
  EXPECT_EQ(extent.Beyond(2), 4u);
  EXPECT_EQ(extent.Beyond(3), 3u);
  EXPECT_EQ(extent.Beyond(UINT64_MAX), 3u);
  const TrafficExtent settled({0, 1, 0, 0, 2, 1}, 3);
  EXPECT_EQ(settled.packets(), 3u);
  EXPECT_EQ(settled.Beyond(1), 2u);
  EXPECT_EQ(TrafficExtent().Beyond(0), 0u);
}

// The reference: an LRU memory of that many entries, played through.
RC_GTEST_PROP(TrafficExtent, BeyondIsWhatAnLruMemoryMisses, ()) {
  const auto entry = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, 12));
  const auto capacity = *rc::gen::inRange<std::size_t>(1, 14);
  std::list<std::uint32_t> memory;
  std::uint64_t misses = 0;
  for (const std::uint32_t each : entry) {
    const auto found = std::find(memory.begin(), memory.end(), each);
    if (found != memory.end()) {
      memory.erase(found);
    } else {
      ++misses;
      if (memory.size() == capacity) memory.pop_back();
    }
    memory.push_front(each);
  }
  RC_ASSERT(TrafficExtent(entry, 0).Beyond(capacity) == misses);
}

}  // namespace
}  // namespace foreflow::path
