// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/impair_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/dpdk/test_pair_link.h"
#include "models/base/refusal.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

using Raw = std::vector<std::uint8_t>;
constexpr std::size_t kHeaderBytes = 42;  // Ethernet, IPv4, UDP

Raw Frame(std::uint32_t number, std::size_t payload, std::uint8_t ecn = 1) {
  Raw text(payload);
  for (std::size_t i = 0; i < payload; ++i) text[i] = static_cast<std::uint8_t>(number >> (i % 4 * 8));
  return wire::PacketBuilder().Ethernet().Ipv4().Ecn(ecn).Udp(50'000, 6900).Payload(text).Build();
}

impair::ImpairmentConfig Bad() {
  impair::PathConfig path;
  path.loss = 0.1;
  path.bit_errors = 1e-5;
  path.delay = Micros(500);
  path.jitter = Micros(300);
  path.late = 0.05;
  path.late_least = Micros(200);
  path.late_most = Micros(900);
  path.duplicate = 0.1;
  path.duplicate_after = Micros(40);
  path.corrupt = 0.1;
  impair::ImpairmentConfig config;
  config.paths = {path};
  return config;
}

// Each frame leaves when, as often and as changed as the same impairment says of a datagram of its size.
TEST(ImpairStage, DoesWithFramesWhatTheImpairmentSaysOfDatagrams) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ImpairStageConfig config;
  config.from = {Bad(), Bad()};
  config.seed = seed;
  ImpairStage stage(config);
  TestPairLink link("impaired");
  std::vector<impair::Impairment> reference;
  for (std::uint32_t port = 0; port < kPairPorts; ++port) reference.emplace_back(Bad(), seed, port);

  std::array<std::multimap<std::tuple<std::int64_t, std::uint64_t>, Raw>, kPairPorts> expected;
  std::uint64_t order = 0;
  Nanos now;
  const auto step = [&] {
    stage.Advance(now, link.link());
    for (std::size_t port = 0; port < kPairPorts; ++port) {
      std::vector<Raw> due;
      auto& waiting = expected[port];
      while (!waiting.empty() && std::get<0>(waiting.begin()->first) <= now.count()) {
        due.push_back(waiting.begin()->second);
        waiting.erase(waiting.begin());
      }
      EXPECT_EQ(link.Sent(port), due);
    }
  };
  constexpr std::uint32_t kFrames = 3000;
  for (std::uint32_t number = 0; number < kFrames; ++number) {
    now += Micros(static_cast<std::int64_t>(random() % 40));
    step();
    const std::size_t port = random() % 2;
    const Raw frame = Frame(number, 1 + random() % 1400);
    link.Receive(stage, port, frame, now);
    const impair::Passage passage = reference[port].Pass(0, frame.size() - kHeaderBytes, now);
    for (std::size_t copy = 0; copy < passage.copies; ++copy) {
      Raw changed = frame;
      changed[kHeaderBytes + passage.copy[copy].place] ^= passage.copy[copy].flip;
      expected[1 - port].emplace(std::tuple(passage.copy[copy].at.count(), order++), changed);
    }
  }
  now += Millis(20);
  step();
  EXPECT_EQ(stage.held(), 0u);
  EXPECT_EQ(link.Out(), 0u);
  EXPECT_EQ(stage.Imbalance(), "");
  EXPECT_EQ(SumOf(stage, "from_port_0") + SumOf(stage, "from_port_1"), kFrames);
  for (const char* fate : {"passed", "random_loss"}) EXPECT_GT(RowOf(stage, "from_port_0", fate), 0u);
  for (const char* row : {"duplicated", "corrupted", "late"})
    EXPECT_GT(RowOf(stage, "on_the_way_back", row), 0u);
}

TEST(ImpairStage, MarksOnlyWhatHeedsMarks) {
  ImpairStageConfig config;
  config.from[0].paths[0].rate = BitsPerSecond(1'000'000);
  config.from[0].paths[0].mark_bytes = 1;
  ImpairStage stage(config);
  TestPairLink link("marking");
  for (const std::uint8_t ecn : std::array<std::uint8_t, 4>{1, 0, 1, 2})
    link.Receive(stage, 0, Frame(ecn, 500, ecn), Nanos());
  stage.Advance(Seconds(1), link.link());
  const std::vector<Raw> sent = link.Sent(1);
  ASSERT_EQ(sent.size(), 4u);
  // The first finds the queue empty; the second does not speak ECN.
  EXPECT_EQ(sent[0], Frame(1, 500, 1));
  EXPECT_EQ(sent[1], Frame(0, 500, 0));
  EXPECT_EQ(sent[2], Frame(1, 500, 3));
  EXPECT_EQ(sent[3], Frame(2, 500, 3));
}

TEST(ImpairStage, WhatFindsNoRoomIsCountedAndFreed) {
  ImpairStageConfig config;
  config.from[1].paths[0].delay = Millis(1);
  config.frames = 10;
  TestPairLink link("no_room");
  {
    ImpairStage stage(config);
    for (std::uint32_t number = 0; number < 25; ++number) link.Receive(stage, 1, Frame(number, 100), Nanos());
    EXPECT_EQ(stage.held(), 10u);
    EXPECT_EQ(RowOf(stage, "on_the_way_back", "no_room"), 15u);
    EXPECT_EQ(stage.Imbalance(), "");
    stage.Advance(Micros(999), link.link());
    EXPECT_TRUE(link.Sent(0).empty());
    stage.Clear();
    EXPECT_EQ(stage.held(), 0u);
  }
  EXPECT_EQ(link.Out(), 0u);
}

TEST(ImpairStage, ReadsItsConfiguration) {
  const ImpairStageConfig config = ParseImpairStage(
      "file",
      R"({"seed": 7, "frames": 99, "there": {"framing_bytes": 24, "paths": [{"loss": 0.25, "delay_us": 1.5,
          "burst": {"good_ms": 2, "bad_ms": 0.5, "loss_bad": 0.9}, "jitter_shape": "exponential",
          "rate_mbps": 2.5, "queue_kb": 1.5, "keeps_order": true}, {}]}})");
  EXPECT_EQ(config.seed, 7u);
  EXPECT_EQ(config.frames, 99u);
  EXPECT_EQ(config.from[0].framing_bytes, 24u);
  ASSERT_EQ(config.from[0].paths.size(), 2u);
  const impair::PathConfig& path = config.from[0].paths[0];
  EXPECT_EQ(path.loss, 0.25);
  EXPECT_EQ(path.delay, Nanos(1500));
  EXPECT_EQ(path.burst.good, Millis(2));
  EXPECT_EQ(path.burst.bad, Micros(500));
  EXPECT_EQ(path.burst.loss_bad, 0.9);
  EXPECT_EQ(path.shape, impair::JitterShape::kExponential);
  EXPECT_EQ(path.rate, BitsPerSecond(2'500'000));
  EXPECT_EQ(path.queue_bytes, 1500u);
  EXPECT_TRUE(path.keeps_order);
  EXPECT_EQ(config.from[1].paths.size(), 1u);
  EXPECT_EQ(config.from[1].paths[0].loss, 0);
}

TEST(ImpairStage, RefusesWhatCannotBe) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"seeds": 1})", "unknown key \"seeds\""},
      {R"({"there": {"paths": []}})", "there.paths is a list of 0, allowed: a list of one or more paths"},
      {R"({"there": {"paths": [{"loss": 1.5}]}})", "there.paths[0].loss is 1.5, allowed: numbers 0 .. 1"},
      {R"({"back": {"paths": [{"burst": {"good_ms": 1}}]}})", "good_ms and bad_ms both above 0, or neither"},
      {R"({"back": {"paths": [{"jitter_shape": "round"}]}})", "allowed: uniform, exponential"},
      {R"({"frames": 0})", "frames is 0, allowed: integers 1 .. 1048576"},
      {"[]", "allowed: an object"},
  };
  for (const auto& [text, says] : cases) {
    try {
      ParseImpairStage("file", text);
      ADD_FAILURE() << text << " was taken";
    } catch (const Refusal& refusal) {
      EXPECT_NE(std::string(refusal.what()).find(says), std::string::npos) << refusal.what();
    }
  }
}

}  // namespace
}  // namespace foreflow::dpdk
