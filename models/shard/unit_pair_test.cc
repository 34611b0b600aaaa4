// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/unit_pair.h"

#include <gtest/gtest.h>

#include <string>

#include "models/base/refusal.h"
#include "models/shard/test_pair.h"

namespace foreflow::shard {
namespace {

UnitPairConfig Bad() {
  UnitPairConfig config;
  config.unit.gaps.rule = GapRule::kLearned;
  config.unit.repair = RepairRule::kSplit;
  config.unit.preference = Preference::kRobustness;
  impair::PathConfig& path = config.forth.paths[0];
  path.delay = Millis(2);
  path.jitter = Micros(100);
  path.loss = 0.02;
  path.burst = {0.01, 0.3, Nanos(), Nanos(), 0, 1};
  path.late = 0.02;
  path.late_least = Micros(300);
  path.late_most = Millis(1);
  path.duplicate = 0.01;
  path.corrupt = 0.01;
  config.back = config.forth;
  return config;
}

struct Result {
  std::string fingerprint;
  std::array<std::uint64_t, kFrameFates> fates{};
};

Result RunPair(const UnitPairConfig& config, std::size_t frames = 1000) {
  UnitPair pair(config);
  Rng rng(3, "unit_pair_test");
  Nanos now;
  for (std::size_t i = 0; i < frames; ++i) {
    pair.Input(View(RandomPacket(rng, 60 + rng.Below(1455))), now);
    now += Micros(rng.Below(400));
  }
  pair.Finish();
  Result result;
  for (const UnitPair::Frame& frame : pair.frames()) {
    ++result.fates[static_cast<std::size_t>(frame.fate)];
    if (frame.fate == FrameFate::kOut) {
      EXPECT_GE(frame.out - frame.in, config.forth.paths[0].delay);
    }
  }
  EXPECT_EQ(pair.frames().size(), frames);
  EXPECT_EQ(result.fates[static_cast<std::size_t>(FrameFate::kUnderWay)], 0u);
  EXPECT_EQ(pair.unit(1).Statistics(0).delivered,
            result.fates[static_cast<std::size_t>(FrameFate::kOut)] +
                result.fates[static_cast<std::size_t>(FrameFate::kMarked)]);
  EXPECT_EQ(pair.unit(1).packets_under_way(), 0u);
  EXPECT_EQ(pair.unit(0).held_packets(), 0u);
  const auto digest = pair.Fingerprint();
  result.fingerprint = crypto::Hex({digest.data(), digest.size()});
  return result;
}

TEST(UnitPair, OverNothingBadEveryFrameComesOut) {
  const Result result = RunPair(UnitPairConfig());
  EXPECT_EQ(result.fates[static_cast<std::size_t>(FrameFate::kOut)], 1000u);
}

TEST(UnitPair, IsAFunctionOfFramesTimesAndSeed) {
  const Result first = RunPair(Bad());
  EXPECT_EQ(RunPair(Bad()).fingerprint, first.fingerprint);
  // All but some are saved.
  EXPECT_GT(first.fates[static_cast<std::size_t>(FrameFate::kOut)], 975u);
  UnitPairConfig other = Bad();
  other.seed = 2;
  EXPECT_NE(RunPair(other).fingerprint, first.fingerprint);
  other = Bad();
  other.key[0] = 1;
  EXPECT_NE(RunPair(other).fingerprint, first.fingerprint);
  other = Bad();
  other.unit.repair = RepairRule::kNever;
  EXPECT_NE(RunPair(other).fingerprint, first.fingerprint);
}

TEST(UnitPair, WithoutRecoveryFramesAreLostAsTheirFragmentsAre) {
  UnitPairConfig config;
  config.unit.gaps.rule = GapRule::kNone;
  config.unit.has_tail_probe = false;
  config.unit.repair = RepairRule::kNever;
  config.forth.paths[0].loss = 0.1;
  config.unit.most_packet_bytes = 1514;
  const Result result = RunPair(config, 4000);
  // A frame of up to 1514 B is one fragment, or two where it does not fit the path: at most two of ten lost.
  const double lost = static_cast<double>(result.fates[static_cast<std::size_t>(FrameFate::kLost)]) / 4000;
  EXPECT_GT(lost, 0.08);
  EXPECT_LT(lost, 0.15);
}

TEST(UnitPair, RefusesWhatItsPartsDo) {
  UnitPairConfig config;
  config.warm_up = Nanos(-1);
  EXPECT_THROW(UnitPair pair(config), Refusal);
  config = {};
  config.unit.tick = Nanos();
  EXPECT_THROW(UnitPair pair(config), Refusal);
  config = {};
  config.forth.paths.clear();
  EXPECT_THROW(UnitPair pair(config), Refusal);
}

}  // namespace
}  // namespace foreflow::shard
