// SPDX-License-Identifier: BSD-3-Clause
// What theory says of splitting packets, against the cores run on random losses. Each estimate has an
// interval that holds the truth 999 times in 1000; the seeds are fixed, so a test passes always or never.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <vector>

#include "models/base/rng.h"
#include "models/shard/loss_predictor.h"
#include "models/shard/reassembler.h"
#include "models/shard/sharder.h"
#include "models/shard/size_math.h"

namespace foreflow::shard {
namespace {

constexpr double kOverhead = 106;  // a fragment's, on the wire
constexpr double kZ = 3.2905;      // of 99.9 %

// A mean and half of its interval, from independent values.
struct Estimate {
  void Add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  double mean() const { return sum / count; }
  double half() const {
    return kZ * std::sqrt(std::max(0.0, squares / count - mean() * mean()) / (count - 1));
  }
  double sum = 0, squares = 0, count = 0;
};
#define EXPECT_WITHIN(estimate, theory) EXPECT_NEAR((estimate).mean(), theory, (estimate).half())

class NoSink final : public FragmentSink {
 public:
  void OnDropped(FragmentHandle, FragmentFate) override {}
};

// A reassembler that is shown fragments of one packet after the other.
class Joiner {
 public:
  Joiner() : reassembler_(Config()) {}
  void Begin(std::size_t length, std::size_t total) {
    base_ += 128;
    header_.length = static_cast<std::uint16_t>(length);
    header_.total = static_cast<std::uint8_t>(total);
  }
  // Whether the packet is whole now.
  bool Show(std::size_t index, bool is_repair = false) {
    ArrivedFragment fragment;
    fragment.base = base_;
    fragment.header = header_;
    fragment.header.index = static_cast<std::uint8_t>(index);
    fragment.is_repair = is_repair;
    WholePacket whole;
    return reassembler_.Input(fragment, Nanos(), whole, sink_, work_) == FragmentFate::kDelivered;
  }

 private:
  static ReassemblerConfig Config() {
    ReassemblerConfig config;
    config.slots = 128;  // the next packet takes the same place
    config.most_fragments = 64;
    config.least_fragment_bytes = 1;
    return config;
  }
  Reassembler reassembler_;
  NoSink sink_;
  Work work_;
  std::uint64_t base_ = 0;
  wire::FragmentHeader header_;
};

// 1. Bit errors, each fragment sent until it arrives: (f / (f + h)) (1 - p)^(8 (f + h)).
TEST(ClosedForms, EfficiencyUnderBitErrors) {
  Rng rng(1, "efficiency");
  Joiner joiner;
  for (const double rate : {1e-4, 1e-5, 1e-6}) {
    const double hazard = -8 * std::log1p(-rate);
    for (const std::size_t total : {1u, 4u, 7u}) {
      Estimate wire;  // bytes on the wire a packet
      const double alive = std::exp(-hazard * (1400.0 / static_cast<double>(total) + kOverhead));
      for (int packet = 0; packet < 3'000; ++packet) {
        joiner.Begin(1400, total);
        double bytes = 0;
        bool is_whole = false;
        for (std::size_t i = 0; i < total; ++i) {
          do {
            bytes += 1400.0 / static_cast<double>(total) + kOverhead;
          } while (rng.Real() >= alive);
          is_whole = joiner.Show(i);
        }
        ASSERT_TRUE(is_whole);
        wire.Add(bytes);
      }
      const double theory = 1400 / WireEfficiency(1400.0 / static_cast<double>(total), kOverhead, hazard);
      EXPECT_NEAR(wire.mean(), theory, std::max(wire.half(), 1e-9)) << rate << " " << total;
    }
    // The best size, by trying all.
    double best = 1;
    for (double f = 1; f < 20'000; ++f)
      if (WireEfficiency(f, kOverhead, hazard) > WireEfficiency(best, kOverhead, hazard)) best = f;
    EXPECT_NEAR(BestTextBytes(kOverhead, hazard), best, 0.51) << rate;
  }
  // Published: h = 104 B.
  EXPECT_NEAR(BestTextBytes(104, -8 * std::log1p(-1e-4)), 312, 0.5);
  EXPECT_NEAR(BestTextBytes(104, -8 * std::log1p(-1e-5)), 1089, 0.5);
  EXPECT_NEAR(BestTextBytes(104, -8 * std::log1p(-1e-6)), 3554, 0.5);
}

// 2. Bit errors, nothing sent again: (1 - p)^(8 (L + n h)), which falls with every split. 3. Drops that know
// no size: (1 - q)^n.
TEST(ClosedForms, PacketsThatArriveWholeAtOnce) {
  Rng rng(2, "whole");
  Joiner joiner;
  const double rate = 2e-5, drop = 0.01;
  double last = 2;
  for (const std::size_t total : {1u, 2u, 4u, 8u}) {
    const double n = static_cast<double>(total);
    const double bits = std::pow(1 - rate, 8 * (1400 + n * kOverhead));
    EXPECT_LT(bits, last);
    last = bits;
    Estimate errors, drops;
    const double alive = std::pow(1 - rate, 8 * (1400 / n + kOverhead));
    for (int packet = 0; packet < 20'000; ++packet) {
      for (const double q : {1 - alive, drop}) {
        joiner.Begin(1400, total);
        bool is_whole = false;
        for (std::size_t i = 0; i < total; ++i)
          if (rng.Real() >= q) is_whole = joiner.Show(i);
        (q == drop ? drops : errors).Add(is_whole ? 1 : 0);
      }
    }
    EXPECT_WITHIN(errors, bits) << total;
    EXPECT_WITHIN(drops, std::pow(1 - drop, n)) << total;
  }
}

// 3. Rounds until the last fragment is there, each lost with q: sum over k of 1 - (1 - q^k)^n.
TEST(ClosedForms, RoundsUntilAPacketIsWhole) {
  Rng rng(3, "rounds");
  Joiner joiner;
  const double q = 0.05;
  const std::array<double, 3> published = {1.053, 1.196, 1.358};
  std::size_t which = 0;
  for (const std::size_t total : {1u, 4u, 8u}) {
    double theory = 0;
    for (int k = 0; k < 60; ++k) theory += 1 - std::pow(1 - std::pow(q, k), static_cast<double>(total));
    EXPECT_NEAR(theory, published[which++], 0.0006);
    Estimate rounds;
    for (int packet = 0; packet < 20'000; ++packet) {
      joiner.Begin(1400, total);
      std::vector<std::size_t> missing(total);
      std::iota(missing.begin(), missing.end(), std::size_t{0});
      int round = 0;
      for (bool is_whole = false; !is_whole; ++round) {
        std::vector<std::size_t> still;
        for (const std::size_t index : missing) {
          if (rng.Real() < q) {
            still.push_back(index);
          } else {
            is_whole = joiner.Show(index);
          }
        }
        missing = still;
      }
      rounds.Add(round);
    }
    EXPECT_WITHIN(rounds, theory) << total;
  }
}

// 4. A queue of K: M/M/1/K, whose load a split lifts by (L + n h) / (L + h).
TEST(ClosedForms, ASplitLiftsTheQueuesLoad) {
  const std::uint64_t kRoom = 16;
  const auto theory = [](double rho) {
    return (1 - rho) * std::pow(rho, static_cast<double>(kRoom)) /
           (1 - std::pow(rho, static_cast<double>(kRoom) + 1));
  };
  std::array<double, 2> lost{};
  for (const std::size_t total : {1u, 4u}) {
    const double rho = 0.95 * (1400 + static_cast<double>(total) * kOverhead) / (1400 + kOverhead);
    Estimate drops;  // of independent runs
    for (std::uint32_t run = 0; run < 60; ++run) {
      Rng rng(4, "queue", run);
      std::uint64_t queue = 0, arrived = 0, dropped = 0;
      // The jump chain; the first part is not counted.
      for (int event = 0; event < 12'000; ++event) {
        if (rng.Real() < rho / (1 + rho)) {
          const bool is_full = queue == kRoom;
          if (event >= 2'000) {
            ++arrived;
            dropped += is_full ? 1 : 0;
          }
          queue += is_full ? 0 : 1;
        } else if (queue > 0) {
          --queue;
        }
      }
      drops.Add(static_cast<double>(dropped) / static_cast<double>(arrived));
    }
    EXPECT_WITHIN(drops, theory(rho)) << total;
    EXPECT_GE(drops.mean() + drops.half(), 1 - 1 / rho);
    lost[total == 1 ? 0 : 1] = drops.mean();
  }
  EXPECT_GT(1 - std::pow(1 - lost[1], 4), 5 * lost[0])
      << "packets, of which any fragment may be the lost one";
  EXPECT_NEAR(0.95 * (1400 + 4 * 104.0) / (1400 + 104), 1.147, 0.0005) << "published, h = 104";
}

// A Gilbert channel: what is sent in the bad state is lost. Steps are those of fragments sent back to back.
struct Channel {
  double to_bad, to_good;
  bool is_bad = false;

  void Settle(Rng& rng) { is_bad = rng.Real() < to_bad / (to_bad + to_good); }
  void Step(Rng& rng) { is_bad = rng.Real() < (is_bad ? 1 - to_good : to_bad); }
  // Probabilities of m of n lost, back to back.
  std::vector<double> LostOf(std::size_t n) const {
    std::vector<std::array<double, 2>> at(n + 2);  // by losses so far: good, bad
    const double bad = to_bad / (to_bad + to_good);
    at[0][0] = 1 - bad;
    at[1][1] = bad;
    for (std::size_t i = 1; i < n; ++i) {
      std::vector<std::array<double, 2>> next(n + 2);
      for (std::size_t m = 0; m <= i; ++m) {
        next[m][0] += at[m][0] * (1 - to_bad) + at[m][1] * to_good;
        next[m + 1][1] += at[m][0] * to_bad + at[m][1] * (1 - to_good);
      }
      at = next;
    }
    std::vector<double> lost(n + 1);
    for (std::size_t m = 0; m <= n; ++m) lost[m] = at[m][0] + at[m][1];
    return lost;
  }
};

// 5. Bursts: all of n arrive with pi_G (1 - p_gb)^(n - 1), more often than by independent losses of the same
// mean; time between forgets the state by e^-(a + b) t. 6. With a repair, spacing is worth a great deal.
TEST(ClosedForms, BurstsAndRepairs) {
  Rng rng(5, "bursts");
  Channel channel{0.01, 0.3};
  EXPECT_NEAR(channel.LostOf(8)[0], 0.3 / 0.31 * std::pow(0.99, 7), 1e-12);
  EXPECT_NEAR(channel.LostOf(8)[0], 0.902, 0.0005);
  EXPECT_NEAR(std::pow(1 - 0.01 / 0.31, 8), 0.769, 0.0005);
  Joiner joiner;
  std::vector<Estimate> lost(9);
  Estimate repaired, spaced;
  const double bad = 0.01 / 0.31;
  for (int packet = 0; packet < 30'000; ++packet) {
    channel.Settle(rng);
    std::size_t count = 0;
    for (std::size_t i = 0; i < 8; ++i, channel.Step(rng)) count += channel.is_bad ? 1 : 0;
    for (std::size_t m = 0; m < lost.size(); ++m) lost[m].Add(m == count ? 1 : 0);
    for (const bool is_spaced : {false, true}) {
      // 4 + 1; spaced: every fragment finds the channel anew.
      joiner.Begin(1400, 4);
      channel.Settle(rng);
      bool is_whole = false;
      for (std::size_t i = 0; i < 5; ++i) {
        if (!channel.is_bad) is_whole = joiner.Show(i % 4, i == 4) || is_whole;
        if (is_spaced) {
          channel.Settle(rng);
        } else {
          channel.Step(rng);
        }
      }
      (is_spaced ? spaced : repaired).Add(is_whole ? 0 : 1);
    }
  }
  for (std::size_t m = 0; m < lost.size(); ++m)
    EXPECT_NEAR(lost[m].mean(), channel.LostOf(8)[m], std::max(lost[m].half(), kZ * kZ / 30'000)) << m;
  const auto four_and_one = channel.LostOf(5);
  EXPECT_WITHIN(repaired, 1 - four_and_one[0] - four_and_one[1]);
  EXPECT_NEAR(repaired.mean(), 0.043, 0.005) << "published";
  const double independent = 1 - std::pow(1 - bad, 5) - 5 * bad * std::pow(1 - bad, 4);
  EXPECT_WITHIN(spaced, independent);
  EXPECT_NEAR(independent, 0.0098, 0.0005) << "published";
  // In continuous time, at rates a and b: the chance of good after good.
  Estimate good;
  const double a = 0.2, b = 3, t = 0.4, pi_good = b / (a + b);
  for (int i = 0; i < 20'000; ++i) {
    bool is_good = true;
    for (double left = t - rng.Exponential(1 / a); left > 0; is_good = !is_good)
      left -= rng.Exponential(is_good ? 1 / b : 1 / a);
    good.Add(is_good ? 1 : 0);
  }
  EXPECT_WITHIN(good, pi_good + (1 - pi_good) * std::exp(-(a + b) * t));
}

// 7. Links that forward whole fragments: (n + H - 1) (f + h) byte times, by an event for each fragment and
// link.
TEST(ClosedForms, PipeliningOverLinks) {
  const std::array<double, 3> published = {0.755, 0.596, 0.445};  // to the unsplit, H = 2, 3, 5, at h = 104
  std::size_t which = 0;
  for (const int hops : {2, 3, 5}) {
    double best = 1e9;
    for (int n = 1; n <= 64; ++n) {
      const double wire = 1400.0 / n + 104;
      std::vector<double> free(static_cast<std::size_t>(hops), 0.0);  // when each link is
      double done = 0;
      for (int i = 0; i < n; ++i) {
        double at = 0;
        for (double& link : free) at = link = std::max(at, link) + wire;
        done = at;
      }
      EXPECT_NEAR(done, PipelineTime(1400, n, 104, hops), 1e-6);
      best = std::min(best, done);
    }
    EXPECT_NEAR(best / PipelineTime(1400, 1, 104, hops), published[which++], 0.02);
    const double n = 1400 / PipelineTextBytes(1400, 104, hops);
    const double around =
        std::min(PipelineTime(1400, std::floor(n), 104, hops), PipelineTime(1400, std::ceil(n), 104, hops));
    EXPECT_NEAR(around, best, 1e-6);
  }
}

// 8. The posterior of loss after waiting, q / (q + (1 - q) S(t)), by counting; the time at which to ask is in
// recovery_test.cc.
TEST(ClosedForms, WhatIsStillMissingIsLost) {
  Rng rng(8, "posterior");
  const double q = 0.02, mu = 1;
  EXPECT_NEAR(mu * Ln((1 - q) / q * 0.8 / 0.2), 5.3, 0.05);
  for (const double t : {0.0, 1.0, 3.0, 5.3}) {
    Estimate lost;
    for (int i = 0; i < 200'000; ++i) {
      const bool is_lost = rng.Real() < q;
      if (is_lost || rng.Exponential(mu) > t) lost.Add(is_lost ? 1 : 0);
    }
    EXPECT_WITHIN(lost, q / (q + (1 - q) * std::exp(-t / mu))) << t;
  }
}

// 9. How long numbers and keys last.
TEST(ClosedForms, NumbersAndKeysOutlastTheirLinks) {
  const double blocks = std::pow(2, 35);  // RFC 9001, section B.1, about
  EXPECT_NEAR(blocks * 16 * 8 / 100e9, 44, 0.1);
  const double fragments_a_second = 100e9 / 8 / 350;
  EXPECT_NEAR(std::pow(2, 32) / fragments_a_second, 120, 1) << "32 bits would wrap";
  EXPECT_GT(std::pow(2, 64) / fragments_a_second / 86'400 / 365, 10'000) << "years";
  // The distance from a fragment to its packet's base, 24 bits, is half a second at that rate.
  EXPECT_GT((wire::kMost24 + 1.0) / fragments_a_second, 0.4);
}

}  // namespace
}  // namespace foreflow::shard
