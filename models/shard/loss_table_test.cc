// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/loss_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/crypto/digest.h"
#include "models/shard/gap_detector.h"
#include "models/shard/loss_predictor.h"
#include "models/shard/unit_pair.h"

namespace foreflow::shard {
namespace {

using Raw = std::vector<std::uint8_t>;

LossTable SomeTable() {
  LossTable table;
  for (std::size_t i = 0; i < LossPredictor::kContexts; ++i)
    table.share.push_back(static_cast<std::uint16_t>(1 + i * 257 % 65'535));
  table.data_sha256.fill(7);
  table.seed = 0x0102030405060708;
  table.command = "./foreflow train fragment-loss --seed 1";
  return table;
}

std::string RefusalOf(const Raw& file) {
  try {
    ParseLossTable({file.data(), file.size()}, "a.table");
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
  return "";
}

// With its digest put right.
Raw Signed(Raw file) {
  crypto::Sha256 sha;
  sha.Update({file.data(), file.size() - 32});
  const auto digest = sha.Finish();
  std::copy(digest.begin(), digest.end(), file.end() - 32);
  return file;
}

TEST(LossTable, IsReadAsItWasWritten) {
  const Raw file = SerialiseLossTable(SomeTable());
  EXPECT_EQ(file.size(), 8u + 12 + 512 + 32 + 8 + 2 + 39 + 32);
  EXPECT_EQ(std::string(file.begin(), file.begin() + 7), "ffloss\n");
  const LossTable again = ParseLossTable({file.data(), file.size()}, "a.table");
  EXPECT_EQ(again.share, SomeTable().share);
  EXPECT_EQ(again.data_sha256, SomeTable().data_sha256);
  EXPECT_EQ(again.seed, SomeTable().seed);
  EXPECT_EQ(again.command, SomeTable().command);
  EXPECT_EQ(SerialiseLossTable(again), file);
}

TEST(LossTable, OtherVersionsAndChangedFilesAreRefusedInOneSentence) {
  const Raw good = SerialiseLossTable(SomeTable());
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(RefusalOf(Raw(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))), "") << size;
  for (std::size_t at = 0; at < good.size(); ++at) {
    Raw changed = good;
    changed[at] ^= 1;
    EXPECT_NE(RefusalOf(changed), "") << at;
  }
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Raw changed = good;
    changed[at] = value;
    return RefusalOf(Signed(changed));
  };
  EXPECT_EQ(RefusalOf(Signed(good)), "");
  EXPECT_THAT(with(8, 2), testing::HasSubstr("a.table: format version 2; this program reads version 1"));
  EXPECT_THAT(with(12, 9), testing::HasSubstr("version 9 of the signs; this program sees version 1"));
  EXPECT_THAT(with(17, 2), testing::HasSubstr("512 contexts; allowed is 256"));
  EXPECT_THAT(with(572, 99), testing::HasSubstr("command of 99 bytes, where there are 39"));
  Raw zero = good;
  zero[20] = zero[21] = 0;
  EXPECT_THAT(RefusalOf(Signed(zero)), testing::HasSubstr("share 0 = 0; allowed is 1 .. 65535"));
  LossTable short_table = SomeTable();
  short_table.share.pop_back();
  EXPECT_THROW(SerialiseLossTable(short_table), Refusal);
}

LossTable Committed() {
  const std::string path = FOREFLOW_SOURCE_DIR "/models/trained/fragment-loss.table";
  std::ifstream file(path, std::ios::binary);
  const Raw bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return ParseLossTable({bytes.data(), bytes.size()}, path);
}

// Where nothing is known of a network yet: after a gap not long ago, long runs are more often lost than
// single numbers, and what was lost lately is likelier to be lost again; and where many came in order, hardly
// anything overtakes, so that what is missing is lost.
TEST(LossTable, TheCommittedOneKnowsBursts) {
  LossPredictorConfig config;
  config.trained = Committed().share;
  LossPredictor predictor(config);
  EXPECT_GT(predictor.LossShare(predictor.ContextOf({8, 30})),
            2 * predictor.LossShare(predictor.ContextOf({1, 30})));
  EXPECT_GT(predictor.LossShare(predictor.ContextOf({1, 600})), 64'000u);
  const std::uint32_t before = predictor.LossShare(predictor.ContextOf({1, 30}));
  for (int i = 0; i < 32; ++i) predictor.OnLost(255, false);
  EXPECT_GT(predictor.LossShare(predictor.ContextOf({1, 30})), 2 * before);
}

// A table moves what is believed, and nothing else: requests in vain stay within the budget when it says that
// all is lost and nothing is; and what a network shows prevails.
TEST(LossTable, AuthorityStaysBoundedWhateverItSays) {
  for (const std::uint16_t share : {std::uint16_t{1}, std::uint16_t{65'535}}) {
    LossPredictorConfig config;
    config.trained.assign(LossPredictor::kContexts, share);
    LossPredictor predictor(config);
    Work work;
    std::size_t ahead = 0;
    for (int i = 0; i < 2'000; ++i) {
      bool took_token = false;
      const Nanos wait = predictor.Wait(100, Millis(1), took_token, work);
      ASSERT_LE(wait, Millis(1));
      ahead += took_token ? 1 : 0;
      predictor.OnLate(100, Millis(2), took_token, true);
    }
    EXPECT_EQ(predictor.in_vain(), ahead);
    EXPECT_LE(ahead, config.spurious_burst);
    EXPECT_EQ(ahead > 0, share > 1);
    EXPECT_LT(predictor.LossShare(100), 65'536u / 50);
  }
  GapDetectorConfig config;
  config.predictor.trained.assign(3, 1);
  EXPECT_THROW(GapDetector{config}, Refusal);
}

// Of a session's first losses, in bursts of eight with every tenth number late: with the table they are asked
// for sooner.
TEST(LossTable, ASessionThatBeginsAsksSooner) {
  const auto waited = [](std::vector<std::uint16_t> trained) {
    LossPredictorConfig config;
    config.trained = std::move(trained);
    LossPredictor predictor(config);
    Work work;
    Nanos sum;
    for (int burst = 0; burst < 6; ++burst) {
      std::vector<std::pair<std::uint8_t, bool>> asked;
      for (int i = 0; i < 8; ++i) {
        bool took_token = false;
        const std::uint8_t context = predictor.ContextOf({8, 600});
        sum = sum + predictor.Wait(context, Millis(1), took_token, work);
        asked.emplace_back(context, took_token);
      }
      for (const auto& [context, took_token] : asked) predictor.OnLost(context, took_token);
      predictor.OnLate(predictor.ContextOf({1, 60}), Micros(150), false, false);
    }
    return sum;
  };
  EXPECT_LT(waited(Committed().share), waited({}));
}

// What it is worth to whole units: times from packet in to packet out.
struct Times {
  double p99_ms = 0, mean_ms = 0;
  std::uint64_t early = 0, in_vain = 0;
};
Times Completion(const impair::PathConfig& path, GapRule rule, const std::vector<std::uint16_t>& trained) {
  constexpr int kSeeds = 4;
  Times times;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    UnitPairConfig config;
    config.forth.paths = {path};
    config.back.paths = {impair::PathConfig()};
    config.back.paths[0].delay = path.delay;
    config.seed = seed;
    config.warm_up = Millis(50);
    config.unit.preference = Preference::kRobustness;
    config.unit.repair = RepairRule::kNever;
    config.unit.mtu.base = config.unit.mtu.most;
    config.unit.gaps.rule = rule;
    config.unit.gaps.predictor.trained = trained;
    UnitPair pair(config);
    const Raw packet(1400, 0x5a);
    Rng rng(seed, "loss_table_test");
    Nanos now;
    for (int i = 0; i < 1'500; ++i) {
      now = now + Micros(1 + static_cast<std::int64_t>(rng.Exponential(500)));
      pair.Input({packet.data(), packet.size()}, now);
    }
    pair.Finish();
    std::vector<double> out;
    for (const UnitPair::Frame& frame : pair.frames())
      if (frame.fate == FrameFate::kOut)
        out.push_back(static_cast<double>((frame.out - frame.in).count()) / 1e6);
    EXPECT_GT(out.size(), 1'490u);
    std::sort(out.begin(), out.end());
    times.p99_ms += out[out.size() * 99 / 100] / kSeeds;
    times.mean_ms += std::accumulate(out.begin(), out.end(), 0.0) / static_cast<double>(out.size()) / kSeeds;
    times.early += pair.unit(1).gaps(0).predictor().early();
    times.in_vain += pair.unit(1).gaps(0).predictor().in_vain();
  }
  std::printf("rule %d, %s: p99 %.3f ms, mean %.4f ms, %llu asked for ahead, %llu of them in vain\n",
              static_cast<int>(rule), trained.empty() ? "untrained" : "trained", times.p99_ms, times.mean_ms,
              static_cast<unsigned long long>(times.early), static_cast<unsigned long long>(times.in_vain));
  return times;
}

TEST(LossTable, OnABurstyPathPacketsAreWholeSooner) {
  impair::PathConfig path;
  path.delay = Millis(1);
  path.late = 0.02;
  path.late_least = Micros(300);
  path.late_most = Millis(1);
  impair::PathConfig bursty = path;
  bursty.burst.to_bad = 0.03 / 0.97 / 5;
  bursty.burst.to_good = 0.2;
  const Times rack = Completion(bursty, GapRule::kRack, {});
  const Times learned = Completion(bursty, GapRule::kLearned, {});
  const Times trained = Completion(bursty, GapRule::kLearned, Committed().share);
  EXPECT_LT(trained.p99_ms, 0.95 * rack.p99_ms);
  EXPECT_LT(trained.mean_ms, learned.mean_ms);
  EXPECT_LE(trained.in_vain * 50, trained.early);
  // The control: losses one by one.
  path.loss = 0.03;
  const Times rack_alone = Completion(path, GapRule::kRack, {});
  const Times trained_alone = Completion(path, GapRule::kLearned, Committed().share);
  EXPECT_NEAR(trained_alone.mean_ms, rack_alone.mean_ms, 0.01 * rack_alone.mean_ms);
  EXPECT_NEAR(trained_alone.p99_ms, rack_alone.p99_ms, 0.01 * rack_alone.p99_ms);
}

}  // namespace
}  // namespace foreflow::shard
