// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/burst_tags.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace foreflow::tag {
namespace {

flow::FlowKey Flow(flow::VmId vm, std::uint16_t port) {
  flow::FlowKey key;
  key.source_address = {10, 0, 0, 1};
  key.destination_address = {10, 0, 0, static_cast<std::uint8_t>(port % 3)};
  key.source_port = 40000;
  key.destination_port = port;
  key.vm = vm;
  key.ip_protocol = 6;
  key.l3 = 2;
  return key;
}

PredictionTag Tag(std::uint8_t covers, predict::PacketType type = predict::PacketType::kBulk) {
  PredictionTag tag;
  tag.type = type;
  tag.confidence = 777;
  tag.covers = covers;
  return tag;
}

TEST(BurstTags, SpeaksForSoManyPacketsOfItsFlowAndForSoLong) {
  BurstTags bursts(2, Micros(10));
  Work work;
  EXPECT_EQ(bursts.Find(Flow(1, 80), Nanos(0), work), nullptr);
  bursts.Open(Flow(1, 80), Tag(2), 3, Nanos(0), work);
  EXPECT_EQ(bursts.Find(Flow(1, 81), Nanos(1), work), nullptr);
  EXPECT_EQ(bursts.Find(Flow(2, 80), Nanos(1), work), nullptr);
  for (int i = 0; i < 2; ++i) {
    const BurstTags::Burst* burst = bursts.Find(Flow(1, 80), Nanos(1), work);
    ASSERT_NE(burst, nullptr);
    EXPECT_EQ(burst->confidence, 777);
    EXPECT_EQ(burst->queue, 3);
    bursts.Take(Flow(1, 80));
  }
  EXPECT_EQ(bursts.Find(Flow(1, 80), Nanos(1), work), nullptr);
  bursts.Open(Flow(1, 80), Tag(255), 0, Nanos(5), work);
  EXPECT_NE(bursts.Find(Flow(1, 80), Micros(10) + Nanos(4), work), nullptr);
  EXPECT_EQ(bursts.Find(Flow(1, 80), Micros(10) + Nanos(5), work), nullptr);
  bursts.Open(Flow(3, 80), Tag(9), 0, Nanos(5), work);  // no such VM
  EXPECT_EQ(bursts.Find(Flow(3, 80), Nanos(5), work), nullptr);
}

// Against a map that forgets nothing: what a table says is covered was covered, and a table of the same
// history says the same.
TEST(BurstTags, NeverSpeaksForMoreThanWasSaid) {
  constexpr std::uint64_t kSeed = 20;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  struct Open {
    int left = 0;
    Nanos until;
    predict::PacketType type = predict::PacketType::kControl;
  };
  std::mt19937_64 random(kSeed);
  BurstTags one(3, Micros(20));
  BurstTags other(3, Micros(20));
  std::map<std::pair<int, int>, Open> said;
  Work work;
  Nanos now;
  int covered = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += Nanos(static_cast<std::int64_t>(random() % 2000));
    const int vm = static_cast<int>(random() % 4);
    const int port = static_cast<int>(random() % 6);
    const flow::FlowKey flow = Flow(static_cast<flow::VmId>(vm), static_cast<std::uint16_t>(port));
    if (random() % 4 == 0) {
      const auto covers = static_cast<std::uint8_t>(random() % 8);
      const auto type = static_cast<predict::PacketType>(random() % predict::kPacketTypes);
      one.Open(flow, Tag(covers, type), 0, now, work);
      other.Open(flow, Tag(covers, type), 0, now, work);
      said[{vm, port}] = {covers, now + Micros(20), type};
    } else {
      const BurstTags::Burst* burst = one.Find(flow, now, work);
      ASSERT_EQ(burst != nullptr, other.Find(flow, now, work) != nullptr);
      if (burst == nullptr) continue;
      Open& open = said[{vm, port}];
      ASSERT_GT(open.left--, 0) << i;
      ASSERT_LT(now, open.until) << i;
      ASSERT_EQ(burst->type, open.type) << i;
      one.Take(flow);
      other.Take(flow);
      ++covered;
    }
  }
  EXPECT_GT(covered, 10'000);
}

}  // namespace
}  // namespace foreflow::tag
