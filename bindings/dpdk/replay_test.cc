// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/replay.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bindings/dpdk/shard_carrier.h"
#include "bindings/dpdk/test_eal.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/shard_replay.h"
#include "bindings/pcap/test_bytes.h"
#include "models/base/refusal.h"
#include "models/wire/packet_builder.h"

namespace foreflow::dpdk {
namespace {

// Nanosecond pcapng with what captures have in them: several link types, cut, empty, garbled and very long
// records, times that stand still and run backwards.
pcap::Capture RandomCapture(std::uint64_t seed, std::size_t packets) {
  std::mt19937_64 random(seed);
  pcap::FileBytes file(false);
  // Nanosecond resolution: option if_tsresol (9), 1 byte, 10^-9.
  const std::vector<std::uint8_t> nanoseconds = {9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0};
  file.Section().Interface(1, 0, nanoseconds).Interface(101, 0, nanoseconds).Interface(147, 0, nanoseconds);
  std::uint64_t time = 1'700'000'000'000'000'000;
  for (std::size_t i = 0; i < packets; ++i) {
    time += random() % 4 == 0 ? 0 : random() % 3'000'000;
    const auto host = [&] {
      return "10.0." + std::to_string(random() % 3) + "." + std::to_string(1 + random() % 9);
    };
    const auto mac = [&] { return "02:00:00:00:00:0" + std::to_string(random() % 7); };
    wire::PacketBuilder packet;
    const std::uint32_t interface = random() % 8 == 0 ? static_cast<std::uint32_t>(random() % 3) : 0;
    if (interface == 0) packet.Ethernet(mac(), mac());
    packet.Ipv4(host(), host());
    const auto port = [&] {
      static constexpr std::uint16_t kPorts[] = {53, 80, 443, 5001, 40'000, 40'001};
      return kPorts[random() % 6];
    };
    if (random() % 2 == 0) {
      packet.Udp(port(), port());
    } else {
      packet.Tcp(port(), port()).Flags(static_cast<std::uint8_t>(random()));
    }
    packet.Payload(random() % 200 == 0 ? 20'000 : random() % 600);
    std::vector<std::uint8_t> bytes = packet.Build();
    auto wire_bytes = static_cast<std::uint32_t>(bytes.size());
    switch (random() % 16) {
      case 0:
        bytes.resize(random() % bytes.size());
        break;
      case 1:
        bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1 << random() % 8);
        break;
      default:
        break;
    }
    if (i % 1000 == 999) {
      bytes.assign(pcap::kMaxCapturedBytes - i % 7, static_cast<std::uint8_t>(i));
      wire_bytes = static_cast<std::uint32_t>(bytes.size());
    }
    file.Enhanced(interface, i % 97 == 0 ? time - 5'000'000 : time, bytes, wire_bytes);
  }
  return pcap::ReadCapture("random capture, seed " + std::to_string(seed), file.bytes());
}

config::RunConfig Config(path::Arm arm, std::uint16_t lanes) {
  config::RunConfig config = pcap::DefaultReplayConfig();
  config.path.arm = arm;
  config.path.vms = 5;
  config.path.lanes = lanes;
  config.flow_entries.count = 24;
  rules::Rule deny;
  deny.id = 2;
  deny.priority = 1;
  deny.destination_port = {443, 443};
  config.path.rules.push_back(deny);
  tag::TagRule first;
  first.id = 3;
  first.types = 0x7f;
  first.action.verb = rules::Verb::kForward;
  first.action.queue = 0;
  config.path.tag_rules.push_back(first);
  return config;
}

struct Seen {
  std::uint64_t number;
  std::array<std::uint8_t, path::kVerdictBytes> verdict;
  path::StageWork work;
};

bool operator==(const Seen& a, const Seen& b) {
  return a.number == b.number && a.verdict == b.verdict && a.work.stage == b.work.stage;
}

TEST(Replay, DecidesAsThePcapDoorForAnyNumberOfWorkers) {
  for (const std::uint64_t seed : {1u, 2u}) {
    const pcap::Capture capture = RandomCapture(seed, 6000);
    for (const path::Arm arm : {path::Arm::kReactive, path::Arm::kPredictive, path::Arm::kOracle}) {
      for (const std::uint16_t lanes : {std::uint16_t{1}, std::uint16_t{8}}) {
        const config::RunConfig config = Config(arm, lanes);
        std::vector<Seen> expected;
        const auto collect = [](std::vector<Seen>& into) {
          return [&into](std::uint64_t number, const path::Arrival&, const path::Verdict& verdict,
                         const path::StageWork& work) {
            into.push_back({number, Encode(verdict), work});
          };
        };
        const pcap::ReplayResult reference = pcap::Replay(capture, config, {}, collect(expected));
        ASSERT_GT(reference.packets.out, 1000u);
        const std::vector<Seen> all = expected;
        std::vector<Seen> seen;
        const pcap::ReplayResult traced = Replay(TestEal(), capture, config, {}, collect(seen), 1);
        EXPECT_EQ(traced.fingerprint, reference.fingerprint) << capture.name << ", lanes " << lanes;
        EXPECT_TRUE(seen == all) << "also number by number, and in the work counted";
        EXPECT_EQ(traced.packets.in, reference.packets.in);
        EXPECT_EQ(traced.packets.out, reference.packets.out);
        EXPECT_EQ(traced.packets.dropped, reference.packets.dropped);
        EXPECT_EQ(traced.counters.punts, reference.counters.punts);
        EXPECT_EQ(Replay(TestEal(), capture, config, {}, {}, 1).fingerprint, reference.fingerprint);
      }
    }
  }
}

TEST(Replay, LoopsAsThePcapDoor) {
  const pcap::Capture capture = RandomCapture(7, 500);
  const config::RunConfig config = Config(path::Arm::kPredictive, 4);
  const pcap::ReplayResult once = Replay(TestEal(), capture, config, {}, {}, 1);
  const pcap::ReplayResult often = Replay(TestEal(), capture, config, {}, {}, 20);
  EXPECT_EQ(often.packets.in, 20 * once.packets.in);
  EXPECT_EQ(often.fingerprint, pcap::Replay(capture, config, {}, {}, 20).fingerprint);
  EXPECT_NE(often.fingerprint, once.fingerprint);
}

// Two units and a bad network: the same verdicts and bytes whatever carried the frames to the first one.
TEST(Replay, UnitsGetTheFramesThatThePcapDoorGivesThem) {
  const pcap::Capture capture = RandomCapture(10, 2500);
  config::RunConfig config = Config(path::Arm::kReactive, 1);
  shard::UnitPairConfig units;
  impair::PathConfig& path = units.forth.paths[0];
  path.delay = Micros(300);
  path.loss = 0.02;
  path.duplicate = 0.01;
  path.corrupt = 0.01;
  config.shard = std::make_shared<const shard::UnitPairConfig>(units);
  config.shard_text = "{}";
  pcap::ShardReplay direct(capture, config);
  pcap::CarryFrames(direct);
  const pcap::ReplayResult reference = direct.Finish("");
  EXPECT_GT(reference.packets.out, 1000u);
  EXPECT_GT(reference.packets.in - reference.packets.out, 100u) << "frames of all sorts";
  for (unsigned again = 0; again < 2; ++again) {
    pcap::ShardReplay carried(capture, config);
    CarryFrames(TestEal(), carried);
    const pcap::ReplayResult result = carried.Finish("");
    EXPECT_EQ(result.fingerprint, reference.fingerprint);
    EXPECT_EQ(result.packets.out, reference.packets.out);
    EXPECT_EQ(result.packets.dropped, reference.packets.dropped);
  }
}

TEST(Replay, AnotherRuleIsAnotherFingerprint) {
  const pcap::Capture capture = RandomCapture(8, 500);
  config::RunConfig config = Config(path::Arm::kReactive, 1);
  const std::string before = Replay(TestEal(), capture, config, {}, {}, 1).fingerprint;
  config.path.rules.back().destination_port = {80, 80};
  EXPECT_NE(Replay(TestEal(), capture, config, {}, {}, 1).fingerprint, before);
}

TEST(Replay, AnEmptyCaptureHasAFingerprintToo) {
  pcap::FileBytes file(false);
  file.Section().Interface(1);
  const pcap::Capture capture = pcap::ReadCapture("empty", file.bytes());
  const config::RunConfig config = Config(path::Arm::kReactive, 2);
  const pcap::ReplayResult result = Replay(TestEal(), capture, config, {}, {}, 1);
  EXPECT_EQ(result.packets.in, 0u);
  EXPECT_EQ(result.fingerprint, pcap::Replay(capture, config, {}, {}).fingerprint);
}

TEST(Replay, AnObserverThatFailsLeavesTheNextReplayWhole) {
  const pcap::Capture capture = RandomCapture(9, 3000);
  const config::RunConfig config = Config(path::Arm::kReactive, 4);
  const auto fail = [](std::uint64_t number, const path::Arrival&, const path::Verdict&,
                       const path::StageWork&) {
    if (number == 1234) throw std::runtime_error("the disk is full");
  };
  EXPECT_THROW(Replay(TestEal(), capture, config, {}, fail, 1), std::runtime_error);
  EXPECT_EQ(Replay(TestEal(), capture, config, {}, {}, 1).fingerprint,
            pcap::Replay(capture, config, {}, {}).fingerprint);
}

}  // namespace
}  // namespace foreflow::dpdk
