// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/shard/congestion_monitor.h"
#include "models/shard/path_mtu.h"
#include "models/shard/sharder.h"
#include "models/shard/size_controller.h"
#include "models/shard/size_math.h"

namespace foreflow::shard {
namespace {

TEST(SizeMath, AgreesWithTheMathematicalLibrary) {
  for (double x = 1e-12; x < 1e12; x *= 1.37)
    EXPECT_NEAR(Ln(x), std::log(x), 1e-13 * (1 + std::abs(std::log(x))));
  for (double x = -40; x < 40; x += 0.173) EXPECT_NEAR(Exp(x) / std::exp(x), 1, 1e-13) << x;
}

// ---- losses taken apart

TEST(LossParts, TellsBitErrorsFromDrops) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  Rng rng(seed, "loss_parts_test");
  struct Case {
    double hazard, drop;
  };
  for (const Case truth : {Case{0, 0.05}, Case{8e-5, 0}, Case{8e-5, 0.05}, Case{4e-4, 0.02}}) {
    LossPartsEstimator estimator;
    for (int i = 0; i < 30'000; ++i) {
      const std::size_t bytes = i % 2 == 0 ? 306 : 1506;
      const double alive = (1 - truth.drop) * std::exp(-truth.hazard * static_cast<double>(bytes));
      estimator.OnFate(bytes, rng.Real() >= alive);
    }
    const LossParts parts = estimator.Estimate();
    EXPECT_TRUE(parts.has_both);
    // 15 000 of each, of which the last half counts: 3.29 standard errors of a survival's logarithm.
    const double q = 1 - (1 - truth.drop) * std::exp(-truth.hazard * 1506);
    const double error = 3.29 * std::sqrt(2 * q / (1 - q) / 8'000);
    EXPECT_NEAR(parts.hazard, truth.hazard, error / 1200) << truth.hazard;
    EXPECT_NEAR(parts.drop, truth.drop, error * 1.3) << truth.drop;
  }
}

// Losses that are no bit errors are taken for some once in two thousand times at most.
TEST(LossParts, ChanceIsNotTakenForBitErrors) {
  std::size_t wrong = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Rng rng(seed, "no_bit_errors");
    LossPartsEstimator estimator;
    for (int i = 0; i < 1'000; ++i) estimator.OnFate(i % 2 == 0 ? 306 : 1506, rng.Below(10) == 0);
    wrong += estimator.Estimate().hazard > 0 ? 1 : 0;
  }
  EXPECT_LE(wrong, 3u);  // 0.2 are expected: more than 3 has a chance of 6e-5
}

// ---- the monitor

TEST(CongestionMonitor, ReportsWhatThePathDid) {
  CongestionMonitor monitor(CongestionMonitorConfig{});
  EXPECT_EQ(monitor.Report(Nanos()).severity, 0);
  for (int i = 0; i < 100; ++i) monitor.OnRoundTrip(Millis(10), Millis(i));
  EXPECT_EQ(monitor.smoothed(), Millis(10));
  EXPECT_EQ(monitor.least(), Millis(10));
  // 1000 messages of 1000 B in 100 ms, and 66 B below each: 85.28 Mb/s.
  for (int i = 0; i <= 10; ++i)
    monitor.OnDelivered(static_cast<std::uint64_t>(100 * i), static_cast<std::uint64_t>(100'000 * i), 0,
                        Millis(100 + 10 * i));
  EXPECT_EQ(monitor.Report(Millis(200)).bandwidth.count(), 85'280'000u);
  EXPECT_EQ(monitor.Report(Millis(200)).severity, 0);
  for (int i = 0; i < 2000; ++i) monitor.OnFate(1000, i % 40 == 0, Millis(200));
  EXPECT_NEAR(monitor.Report(Millis(200)).loss, 0.025, 0.01);
  EXPECT_NEAR(monitor.Report(Millis(200)).severity / 65'535.0, 0.5, 0.2);
  // A queue of 20 ms.
  for (int i = 0; i < 200; ++i) monitor.OnRoundTrip(Millis(30), Millis(300 + i));
  EXPECT_EQ(monitor.least(), Millis(10));
  EXPECT_GT(monitor.Report(Millis(500)).severity, 65'000);
  // Long after, only the new is remembered.
  for (int i = 0; i < 30; ++i) monitor.OnRoundTrip(Millis(30), Seconds(20 + i));
  EXPECT_EQ(monitor.least(), Millis(30));
  // Marks.
  CongestionMonitor marked(CongestionMonitorConfig{});
  for (std::uint64_t i = 1; i < 50; ++i)
    marked.OnDelivered(64 * i, 64'000 * i, static_cast<std::uint32_t>(16 * i),
                       Millis(static_cast<std::int64_t>(i)));
  EXPECT_NEAR(marked.Report(Millis(50)).marks, 0.25, 0.01);
}

TEST(CongestionMonitor, ProbesTheSizeThatTrafficLacks) {
  CongestionMonitorConfig config;
  config.probe_every = Millis(10);
  CongestionMonitor monitor(config);
  std::size_t small = 0, large = 0;
  for (int ms = 0; ms < 3000; ++ms) {
    monitor.OnFate(1400, false, Millis(ms));  // traffic of large messages
    const std::size_t probe = monitor.NextProbe(1400, Millis(ms));
    (probe == 0 ? large : probe == 200 ? small : large) += probe == 0 ? 0 : 1;
    if (probe != 0) monitor.OnFate(probe, false, Millis(ms));
  }
  EXPECT_EQ(small, 64u) << "until enough is known";
  EXPECT_EQ(large, 0u);
  EXPECT_TRUE(monitor.loss_parts().has_both);
  std::size_t idle = 0;
  for (int ms = 10'000; ms < 11'000; ++ms) idle += monitor.NextProbe(1400, Millis(ms)) != 0 ? 1 : 0;
  EXPECT_EQ(idle, 100u) << "one each probe_every where nothing else tells";
}

// ---- the path's MTU

// A path that carries up to `mtu`, and loses one message in `one_in` besides.
struct Path {
  Path(const PathMtuConfig& config, std::size_t up_to, std::uint32_t lost_one_in = 0, std::uint64_t seed = 1)
      : mtu(config), carries(up_to), one_in(lost_one_in), rng(seed, "path") {}

  PathMtu mtu;
  std::size_t carries;
  std::uint32_t one_in;
  Rng rng;
  Nanos now;
  std::size_t probes = 0;

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      now += Millis(10);
      if (const std::size_t size = mtu.NextProbe(now); size != 0) {
        ++probes;
        mtu.OnProbe(IsLost(size), now);
      }
      mtu.OnFate(mtu.current(), IsLost(mtu.current()));
    }
  }
  bool IsLost(std::size_t size) { return size > carries || (one_in != 0 && rng.Below(one_in) == 0); }
};

TEST(PathMtu, FindsEverySizeWithinItsGrain) {
  for (std::size_t carries = 1200; carries <= 9000; carries += 137) {
    PathMtuConfig config;
    config.most = 9000;
    Path path(config, carries);
    path.Run(200);
    EXPECT_LE(path.mtu.current(), carries);
    EXPECT_GE(path.mtu.current() + config.grain, carries);
    EXPECT_FALSE(path.mtu.IsSearching());
    EXPECT_LE(path.probes, 40u);
    EXPECT_EQ(path.mtu.black_holes(), 0u);
  }
}

TEST(PathMtu, ANarrowerPathIsNoticedAndAWiderOneTriedAgain) {
  Path path(PathMtuConfig{}, 1472);
  path.Run(50);
  EXPECT_EQ(path.mtu.current(), 1472u);
  path.carries = 1300;
  path.Run(100);
  EXPECT_EQ(path.mtu.black_holes(), 1u);
  EXPECT_LE(path.mtu.current(), 1300u);
  EXPECT_GE(path.mtu.current(), 1284u);
  path.carries = 1472;
  path.Run(60'010);  // ten minutes
  EXPECT_EQ(path.mtu.current(), 1472u);
}

// One message in ten is lost, whatever its size: no black hole, and the size stays.
TEST(PathMtu, LossIsNoBlackHole) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Path path(PathMtuConfig{}, 1472, 10, seed);
    path.Run(20'000);
    EXPECT_EQ(path.mtu.current(), 1472u);
  }
}

// ---- the size of fragments

SizeInputs Inputs() {
  SizeInputs inputs;
  inputs.most_text = 1432;
  inputs.packet = 1400;
  inputs.demand = 1e6;
  inputs.delivered = 2e6;
  return inputs;
}

TEST(SizeController, SplitsNothingWithoutAReason) {
  SizeController controller{SizeControllerConfig{}};
  SizeInputs inputs = Inputs();
  inputs.severity = 65'535;
  inputs.loss.drop = 0.4;
  const SizeChoice& choice = controller.Choose(inputs, Nanos());
  EXPECT_EQ(choice.fragments, 1u);
  EXPECT_EQ(choice.text, 1400u);
  EXPECT_EQ(choice.reason, SizeReason::kWhole);
  inputs.most_text = 1000;
  EXPECT_EQ(controller.Choose(inputs, Nanos()).fragments, 2u) << "the path's MTU does not wait";
  EXPECT_EQ(controller.Choose(inputs, Nanos()).reason, SizeReason::kPathMtu);
}

// Over bit error rates, the choice is the best of all whole numbers of fragments, by trying them.
TEST(SizeController, BitErrorsAreAnsweredByTheBestNumberOfFragments) {
  SizeControllerConfig config;
  config.least_bytes = 64;
  config.gain = 0;
  std::size_t split = 0;
  for (double rate = 1e-7; rate < 3e-4; rate *= 1.15) {
    SizeController controller(config);
    SizeInputs inputs = Inputs();
    inputs.loss.hazard = -8 * std::log1p(-rate);
    const std::size_t chosen = controller.Choose(inputs, Nanos()).fragments;
    std::size_t best = 1;
    for (std::size_t n = 2; n <= config.most_fragments; ++n) {
      if (SizeController::Offered(inputs, n, 106) < SizeController::Offered(inputs, best, 106)) best = n;
    }
    EXPECT_EQ(chosen, best) << rate;
    split += chosen > 1 ? 1 : 0;
  }
  EXPECT_GT(split, 20u);
}

// Splitting never offers more than whole packets would, or than the path delivers: random inputs, all rules
// but the naive one.
TEST(SizeController, NeverOffersMoreThanIsDelivered) {
  const std::uint64_t seed = 2;
  SCOPED_TRACE(seed);
  Rng rng(seed, "size_controller_test");
  std::size_t split = 0, held_back = 0;
  for (int round = 0; round < 2'000; ++round) {
    SizeControllerConfig config;
    config.least_bytes = 32 + rng.Below(500);
    config.hops = 1 + rng.Below(6);
    config.paths = 1 + rng.Below(4);
    config.most_fragments = 1 + rng.Below(64);
    config.dwell = Millis(rng.Below(3));
    SizeController controller(config);
    Nanos now;
    for (int step = 0; step < 10; ++step) {
      now += Millis(rng.Below(4));
      SizeInputs inputs;
      inputs.packet = 1 + rng.Below(9000);
      inputs.most_text = 300 + rng.Below(1200);
      inputs.demand = 1e6 * rng.Real();
      inputs.delivered = 2e6 * rng.Real();
      inputs.loss.hazard = rng.Below(2) == 0 ? 0 : 2e-3 * rng.Real() * rng.Real();
      inputs.loss.drop = rng.Below(2) == 0 ? 0 : rng.Real();
      inputs.severity = static_cast<std::uint16_t>(rng.Below(65'536));
      const SizeChoice choice = controller.Choose(inputs, now);
      const std::size_t fewest = (inputs.packet + inputs.most_text - 1) / inputs.most_text;
      ASSERT_GE(choice.fragments, std::min<std::size_t>(fewest, 64));
      ASSERT_LE(choice.fragments, 64u);
      ASSERT_EQ(choice.text, wire::FragmentUnit(inputs.packet, choice.fragments));
      if (fewest <= 64) {
        ASSERT_LE(choice.text, inputs.most_text);
      }
      const double offered = SizeController::Offered(inputs, choice.fragments, 106);
      const double whole =
          SizeController::Offered(inputs, FragmentsFor(inputs.packet, inputs.most_text), 106);
      ASSERT_LE(offered, std::max(whole, inputs.delivered) * (1 + 1e-12));
      split += choice.fragments > fewest ? 1 : 0;
      held_back += offered > whole ? 0 : 1;
    }
  }
  EXPECT_GT(split, 1'000u);
  EXPECT_GT(held_back, 1'000u);
}

TEST(SizeController, StaysWhereAChangeGainsLittle) {
  SizeControllerConfig config;
  SizeController controller(config);
  SizeInputs inputs = Inputs();
  inputs.loss.hazard = 8e-4;
  const std::size_t at_first = controller.Choose(inputs, Nanos()).fragments;
  EXPECT_GT(at_first, 2u);
  std::size_t changes = 0;
  Rng rng(1, "hysteresis");
  for (int i = 1; i < 1000; ++i) {
    inputs.loss.hazard = 8e-4 * (0.8 + 0.4 * rng.Real());
    changes += controller.Choose(inputs, Millis(10 * i)).fragments != at_first ? 1 : 0;
  }
  EXPECT_EQ(changes, 0u);
  inputs.loss.hazard = 0;
  EXPECT_EQ(controller.Choose(inputs, Seconds(20)).fragments, 1u);
  inputs.loss.hazard = 8e-4;
  EXPECT_EQ(controller.Choose(inputs, Seconds(20) + Millis(1)).fragments, 1u) << "not twice within the dwell";
}

// A bottleneck that is 95 % loaded by whole packets, with a queue that drops. The rules see the loss and
// choose; what is offered follows. The naive rule answers congestion by more bytes; ours leaves it as it is.
struct Outcome {
  double offered = 0;    // of the bottleneck's rate
  double delivered = 0;  // packets that arrive at the first attempt, of those sent
};
Outcome Settle(SizeRule rule) {
  SizeControllerConfig config;
  config.rule = rule;
  config.least_bytes = 128;
  config.dwell = Nanos();
  SizeController controller(config);
  const double rate = 1e8 / 8, demand = 0.95 * rate * 1400 / 1506;
  SizeInputs inputs = Inputs();
  inputs.demand = demand;
  Outcome outcome;
  double queue_loss = 0.0019;  // M/M/1/64 at 95 %
  for (int step = 0; step < 100; ++step) {
    inputs.severity = static_cast<std::uint16_t>(std::min(1.0, 0.11 + queue_loss / 0.05) * 65'535);
    inputs.loss.drop = queue_loss;
    inputs.delivered = std::min(rate, inputs.demand * 1506 / 1400);
    const auto n = static_cast<double>(controller.Choose(inputs, Seconds(step)).fragments);
    outcome.offered = demand * (1400 + n * 106) / 1400 / rate;
    const double rho = outcome.offered;
    // M/M/1/K: the share that finds the queue full.
    queue_loss = std::pow(rho, 64) * (1 - rho) / (1 - std::pow(rho, 65));
    outcome.delivered = std::pow(1 - queue_loss, n);
  }
  return outcome;
}

TEST(SizeController, TheNaiveRuleCollapsesAndOursDoesNot) {
  const Outcome ours = Settle(SizeRule::kClosedForm), naive = Settle(SizeRule::kNaive);
  EXPECT_NEAR(ours.offered, 0.95, 1e-9);
  EXPECT_GT(ours.delivered, 0.998);
  EXPECT_GT(naive.offered, 1.5);
  EXPECT_LT(naive.delivered, 0.1);
}

TEST(SizeController, ConfigurationsOutOfRangeAreRefused) {
  SizeControllerConfig size;
  size.hops = 0;
  EXPECT_THROW(SizeController{size}, Refusal);
  size = {};
  size.gain = 2;
  EXPECT_THROW(SizeController{size}, Refusal);
  PathMtuConfig mtu;
  mtu.base = 2000;
  EXPECT_THROW(PathMtu{mtu}, Refusal);
  CongestionMonitorConfig monitor;
  monitor.loss_reference = 0;
  EXPECT_THROW(CongestionMonitor{monitor}, Refusal);
  for (std::size_t i = 0; i < kSizeReasons; ++i) EXPECT_NE(Name(static_cast<SizeReason>(i)), nullptr);
}

}  // namespace
}  // namespace foreflow::shard
