// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "models/base/refusal.h"
#include "models/path/test_traffic.h"
#include "models/predict/types_model_test.h"

namespace foreflow::path {
namespace {

// Toeplitz hashing as NICs' documentation writes it down: for every set bit of the input, the 32 key bits
// from there on.
std::uint32_t ReferenceToeplitz(const std::vector<std::uint8_t>& input) {
  std::array<std::uint8_t, 40> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  std::uint32_t hash = 0;
  for (std::size_t bit = 0; bit < input.size() * 8; ++bit) {
    if ((input[bit / 8] >> (7 - bit % 8) & 1) == 0) continue;
    std::uint32_t window = 0;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::size_t at = bit + i;
      window = window << 1 | (key[at / 8] >> (7 - at % 8) & 1u);
    }
    hash ^= window;
  }
  return hash;
}

flow::FlowKey RandomKey(std::mt19937_64& random, wire::Layer3 l3) {
  flow::FlowKey key;
  key.l3 = static_cast<std::uint8_t>(l3);
  const std::size_t bytes = l3 == wire::Layer3::kIpv4 ? 4 : 16;
  for (std::size_t i = 0; i < bytes; ++i) {
    key.source_address[i] = static_cast<std::uint8_t>(random());
    key.destination_address[i] = static_cast<std::uint8_t>(random());
  }
  key.source_port = static_cast<std::uint16_t>(random());
  return key;
}

TEST(LaneOf, IsWhatReceiveSideScalingComputes) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const bool is_v4 = random() % 2 == 0;
    const flow::FlowKey key = RandomKey(random, is_v4 ? wire::Layer3::kIpv4 : wire::Layer3::kIpv6);
    const std::ptrdiff_t bytes = is_v4 ? 4 : 16;
    std::vector<std::uint8_t> input(key.source_address.begin(), key.source_address.begin() + bytes);
    input.insert(input.end(), key.destination_address.begin(), key.destination_address.begin() + bytes);
    const auto lanes = static_cast<std::uint16_t>(1u << random() % 8);
    EXPECT_EQ(LaneOf(key, lanes), ReferenceToeplitz(input) & (lanes - 1u));

    flow::FlowKey reverse = key;
    std::swap(reverse.source_address, reverse.destination_address);
    std::swap(reverse.source_port, reverse.destination_port);
    EXPECT_EQ(LaneOf(reverse, lanes), LaneOf(key, lanes));
  }
}

TEST(LaneOf, PutsWhatHasNoAddressesOnLaneZero) {
  std::mt19937_64 random(1);
  for (const wire::Layer3 l3 : {wire::Layer3::kNone, wire::Layer3::kArp}) {
    EXPECT_EQ(LaneOf(RandomKey(random, l3), 128), 0);
  }
  Parsed undecidable;
  undecidable.key = RandomKey(random, wire::Layer3::kIpv4);
  EXPECT_EQ(LaneOf(undecidable, 128), 0);
}

TEST(LaneShare, SumsUpToWhatWasConfigured) {
  PathConfig config;
  config.lanes = 8;
  config.flow_entries = 65;
  config.meters.push_back({BitsPerSecond(8'000'000), Bytes(1000), BitsPerSecond(16'000'000), Bytes(2000)});
  const PathConfig share = LaneShare(config);
  EXPECT_EQ(share.flow_entries, 9u);
  EXPECT_EQ(share.peers_per_vm, config.peers_per_vm / 8);
  EXPECT_EQ(share.installs_per_second, config.installs_per_second / 8);
  EXPECT_EQ(share.meters[0].committed_rate.count(), 1'000'000u);
  EXPECT_EQ(share.meters[0].committed_burst.count(), 1000u);
}

TEST(LaneShare, RefusesOtherThanPowersOfTwo) {
  PathConfig config;
  for (const unsigned lanes : {0u, 3u, 129u, 256u}) {
    config.lanes = static_cast<std::uint16_t>(lanes);
    EXPECT_THROW(LaneShare(config), Refusal) << lanes;
  }
}

struct LanesCase {
  Arm arm;
  bool has_models = false;
};

class LanesOnTraffic : public testing::TestWithParam<LanesCase> {
 protected:
  // UDP over IPv4 between a few hosts, back and forth, with garbage in between.
  void SetUp() override {
    std::mt19937_64 random(kSeed);
    Nanos now;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      auto& frame = frames_[i];
      frame = {};
      frame[12] = 0x08;
      frame[14] = random() % 50 == 0 ? 0 : 0x45;
      frame[17] = 46;
      frame[22] = 64;
      frame[23] = 17;
      frame[26] = frame[30] = 10;
      frame[29] = static_cast<std::uint8_t>(random() % 6);
      frame[33] = static_cast<std::uint8_t>(random() % 9);
      frame[35] = static_cast<std::uint8_t>(random() % 4);
      frame[37] = static_cast<std::uint8_t>(random() % 4);
      frame[39] = 26;
      now += Nanos(static_cast<std::int64_t>(random() % 100'000));
      arrivals_[i].captured = {frame.data(), frame.size()};
      arrivals_[i].wire_bytes = 60;
      arrivals_[i].vm = static_cast<flow::VmId>(frame[29]);
      arrivals_[i].time = arrivals_[i].sent = now;
    }
    future_ = std::make_unique<Future>(arrivals_, config_.label_horizon);
    config_.arm = GetParam().arm;
    if (GetParam().has_models) {
      config_.table = predict::TypesModel(predict::ModelKind::kAutomaton, {50}, 0, 1);
      config_.network = predict::TypesModel(predict::ModelKind::kGru, {16}, predict::kSequenceInputs, 2);
      config_.conversations = 40;
    }
    config_.lanes = 4;
    config_.flow_entries = 24;
    rules::Rule permit;
    permit.id = 1;
    permit.action.verb = rules::Verb::kForward;
    config_.rules.push_back(permit);
  }

  std::vector<Verdict> All(Lanes& lanes, std::size_t burst) {
    std::vector<Verdict> verdicts(arrivals_.size());
    std::vector<StageWork> work(arrivals_.size());
    for (std::size_t at = 0; at < arrivals_.size(); at += burst) {
      lanes.Process(&arrivals_[at], std::min(burst, arrivals_.size() - at), &verdicts[at], &work[at]);
    }
    return verdicts;
  }

  static constexpr std::uint64_t kSeed = 3;
  std::vector<std::array<std::uint8_t, 60>> frames_{8000};
  std::vector<Arrival> arrivals_{8000};
  std::unique_ptr<Future> future_;
  PathConfig config_;
};

TEST_P(LanesOnTraffic, WorkersThatOwnLanesDecideAsOneCoreDoes) {
  SCOPED_TRACE(kSeed);
  Lanes one(config_, future_.get());
  const std::vector<Verdict> expected = All(one, kBurst);
  EXPECT_GT(one.counters().punts, 0u);
  EXPECT_EQ(one.counters().packets, arrivals_.size());

  for (const std::size_t workers : {1u, 2u, 3u, 4u}) {
    Lanes lanes(config_, future_.get());
    std::vector<Verdict> verdicts(arrivals_.size());
    StageWork work;
    // One worker after the other: how they interleave in time cannot matter.
    for (std::size_t worker = workers; worker-- > 0;) {
      for (std::size_t i = 0; i < arrivals_.size(); ++i) {
        const std::uint16_t lane = LaneOf(Parse(arrivals_[i]), config_.lanes);
        if (lane % workers == worker) lanes.lane(lane).Process(&arrivals_[i], 1, &verdicts[i], &work);
      }
    }
    for (std::size_t i = 0; i < arrivals_.size(); ++i) {
      ASSERT_EQ(Encode(verdicts[i]), Encode(expected[i])) << "packet " << i << ", " << workers << " workers";
    }
  }
}

TEST_P(LanesOnTraffic, BurstsOfOneDecideTheSame) {
  SCOPED_TRACE(kSeed);
  Lanes a(config_, future_.get()), b(config_, future_.get());
  const std::vector<Verdict> in_bursts = All(a, kBurst), one_by_one = All(b, 1);
  for (std::size_t i = 0; i < arrivals_.size(); ++i) ASSERT_EQ(Encode(in_bursts[i]), Encode(one_by_one[i]));
}

INSTANTIATE_TEST_SUITE_P(Arms, LanesOnTraffic,
                         testing::Values(LanesCase{Arm::kOff}, LanesCase{Arm::kReactive},
                                         LanesCase{Arm::kPredictive}, LanesCase{Arm::kPredictive, true},
                                         LanesCase{Arm::kOracle}, LanesCase{Arm::kAntiOracle}));

TEST(Lanes, TheReadmesExample) {
  PathConfig config;
  config.arm = Arm::kReactive;
  config.vms = 1;
  config.flow_entries = 4;
  rules::Rule permit;
  permit.id = 1;
  permit.action.verb = rules::Verb::kForward;
  config.rules = {permit};
  Traffic traffic;
  traffic.Udp(1, 2, 1000, 2000, Nanos(0));
  const Arrival* arrivals = traffic.arrivals().data();
  const std::size_t count = 1;
  Verdict verdicts[1];
  StageWork work[1];
  foreflow::path::Lanes path(config, /*future=*/nullptr);
  path.Process(arrivals, count, verdicts, work);
  EXPECT_EQ(verdicts[0].rule, 1u);
}

}  // namespace
}  // namespace foreflow::path
