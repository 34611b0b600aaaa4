// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/conversation_slots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "models/base/hash.h"
#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

// Lists in order of use, one a set.
class NaiveSlots {
 public:
  explicit NaiveSlots(std::size_t sets) : sets_(sets) {}
  bool IsNew(std::uint64_t hash) {
    auto& list = lists_[(hash >> 32) % sets_];
    const auto at = std::find(list.begin(), list.end(), hash | 1);
    const bool is_new = at == list.end();
    if (!is_new) list.erase(at);
    list.push_back(hash | 1);
    if (list.size() > ConversationSlots::kWays) list.erase(list.begin());
    return is_new;
  }

 private:
  std::size_t sets_;
  std::map<std::uint64_t, std::vector<std::uint64_t>> lists_;  // least recently used first
};

TEST(ConversationSlots, KeepTheLatelyUsedOfEachSet) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "conversation_slots_test");
    ConversationSlots slots(60);
    ASSERT_EQ(slots.size(), 64u);
    NaiveSlots naive(16);
    std::map<std::uint32_t, std::uint64_t> owner;
    // Counting begins shortly before the counter wraps.
    std::uint32_t now = UINT32_MAX - 2000;
    for (int i = 0; i < 20000; ++i) {
      const std::uint64_t hash = Mix64(rng.Below(1 + rng.Below(200)));
      const ConversationSlots::Found found = slots.FindOrTake(hash, now++);
      ASSERT_LT(found.slot, slots.size());
      ASSERT_EQ(found.is_new, naive.IsNew(hash)) << i;
      if (!found.is_new) {
        ASSERT_EQ(owner[found.slot], hash | 1);
      }
      owner[found.slot] = hash | 1;
    }
  }
}

TEST(ConversationSlots, RoundUp) {
  EXPECT_EQ(ConversationSlots(1).size(), 4u);
  EXPECT_EQ(ConversationSlots(5).size(), 8u);
  EXPECT_EQ(ConversationSlots(16384).size(), 16384u);
}

}  // namespace
}  // namespace foreflow::predict
