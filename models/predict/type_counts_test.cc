// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/type_counts.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

static_assert(sizeof(ContextCounts) == 8, "the size that the tables are planned for");

TEST(TypeCounts, MixesByWittenAndBell) {
  ContextCounts counts;
  Distribution mixed{};
  mixed.fill(65536 / 7);
  const Distribution before = mixed;
  counts.MixInto(mixed);
  EXPECT_EQ(mixed, before);  // nothing seen: the shorter context speaks

  for (int i = 0; i < 6; ++i) counts.Add(PacketType::kBulk);
  for (int i = 0; i < 2; ++i) counts.Add(PacketType::kStream);
  counts.MixInto(mixed);
  // 8 observations, 2 types: (n + 2 / 7) / 10.
  EXPECT_NEAR(mixed[static_cast<std::size_t>(PacketType::kBulk)] / 65536.0, (6 + 2 / 7.0) / 10, 1e-4);
  EXPECT_NEAR(mixed[static_cast<std::size_t>(PacketType::kStream)] / 65536.0, (2 + 2 / 7.0) / 10, 1e-4);
  EXPECT_NEAR(mixed[static_cast<std::size_t>(PacketType::kGroup)] / 65536.0, 2 / 7.0 / 10, 1e-4);
}

RC_GTEST_PROP(TypeCounts, MixturesStayDistributions, ()) {
  Rng rng(*rc::gen::arbitrary<std::uint64_t>(), "type_counts_test");
  Distribution mixed;
  mixed.fill(65536 / 7);
  for (int order = 0; order < 4; ++order) {
    ContextCounts counts;
    for (std::uint32_t i = rng.Below(2000); i > 0; --i) {
      counts.Add(static_cast<PacketType>(rng.Below(1 + rng.Below(kPacketTypes))));
    }
    std::uint32_t total = 0;
    for (const std::uint8_t each : counts.count) total += each;
    RC_ASSERT(total == counts.total);
    counts.MixInto(mixed);
    std::uint32_t sum = 0;
    for (const std::uint32_t each : mixed) sum += each;
    RC_ASSERT(sum <= 65536u);
    RC_ASSERT(sum >= 65536u - 7u * (static_cast<unsigned>(order) + 2u));
  }
}

// Against a map, with room for all: the same counts. With less room: never another context's, never more than
// seen.
RC_GTEST_PROP(ContextTable, AgreesWithAMap, ()) {
  const bool roomy = *rc::gen::arbitrary<bool>();
  const unsigned set_bits = roomy ? 5 : *rc::gen::inRange(0u, 5u);
  const unsigned context_bits = roomy ? 6 : *rc::gen::inRange(6u, set_bits + 16u);
  ContextTable table(context_bits, set_bits);
  std::map<std::uint32_t, ContextCounts> all;
  Rng rng(*rc::gen::arbitrary<std::uint64_t>(), "type_counts_test");
  const std::uint32_t contexts = 1u << context_bits;
  for (int i = 0; i < 3000; ++i) {
    const std::uint32_t context = rng.Below(1 + rng.Below(contexts));
    const auto type = static_cast<PacketType>(rng.Below(kPacketTypes));
    ContextCounts* const counts = table.FindOrTake(context);
    if (counts != nullptr) counts->Add(type);
    if (roomy) RC_ASSERT(counts != nullptr);
    all[context].Add(type);
  }
  std::size_t found = 0;
  for (std::uint32_t context = 0; context < contexts; ++context) {
    const ContextCounts counts = table.CountsOf(context);
    if (counts.total == 0) continue;  // not there, or halved to nothing
    ++found;
    RC_ASSERT(all.count(context) == 1);
    RC_ASSERT(!roomy || counts.count == all[context].count);
    if (all[context].total < 200) {  // not halved: seen is what was counted
      for (std::size_t i = 0; i < kPacketTypes; ++i) RC_ASSERT(counts.count[i] <= all[context].count[i]);
    }
  }
  RC_ASSERT(found <= (std::size_t{2} << set_bits));
  if (roomy) RC_ASSERT(found == all.size());
}

TEST(ContextTable, AFrequentContextOutlivesAFloodAndAStaleOneDoesNot) {
  ContextTable table(15, 0);  // one set, two places
  for (int i = 0; i < 200; ++i) table.FindOrTake(1)->Add(PacketType::kBulk);
  for (int i = 0; i < 200; ++i) table.FindOrTake(2)->Add(PacketType::kBulk);
  for (std::uint32_t flood = 3; flood < 9; ++flood) EXPECT_EQ(table.FindOrTake(flood), nullptr);
  EXPECT_GT(table.CountsOf(1).total, 0);
  EXPECT_GT(table.CountsOf(2).total, 0);
  for (std::uint32_t flood = 9; flood < 100; ++flood) {
    ContextCounts* const counts = table.FindOrTake(flood);
    if (counts != nullptr) counts->Add(PacketType::kStream);
  }
  EXPECT_TRUE(table.CountsOf(1).total == 0 || table.CountsOf(2).total == 0);
}

}  // namespace
}  // namespace foreflow::predict
