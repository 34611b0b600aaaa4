// SPDX-License-Identifier: BSD-3-Clause
// What theory says of splitting packets, against the cores run on random losses. Each estimate has an
// interval that holds the truth 999 times in 1000; the seeds are fixed, so a test passes always or never.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "models/base/rng.h"
#include "models/shard/loss_predictor.h"
#include "models/shard/reassembler.h"
#include "models/shard/sharder.h"
#include "models/shard/size_math.h"
#include "models/shard/test_book_rows.h"

namespace foreflow::shard {
namespace {

constexpr double kPublished = 104;  // that published figures are of, on the wire around a fragment

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

TEST(ClosedForms, AnIntervalThatWouldHoldAnythingIsNoProof) {
  const auto alternating = [](int count, double low, double high) {
    Estimate estimate;
    for (int i = 0; i < count; ++i) estimate.Add(i % 2 == 0 ? low : high);
    return estimate;
  };
  EXPECT_TRUE(IsWithin(alternating(10'000, 0, 1), 0.5));
  EXPECT_FALSE(IsWithin(alternating(10'000, 0, 1), 0.52)) << "not held";
  EXPECT_FALSE(IsWithin(alternating(100, 0, 1), 0.5)) << "held, by an interval of a third";
  EXPECT_FALSE(IsWithin(alternating(100, 0.5, 0.5), 0.5)) << "of one value, which is no estimate";
  // What is rare may be known less well, but not at will.
  EXPECT_TRUE(IsWithin(alternating(400, 0, 0.01), 0.005));
  EXPECT_FALSE(IsWithin(alternating(100, 0, 0.01), 0.005));
}

// 1. Bit errors, each fragment sent until it arrives: (f / (f + h)) (1 - p)^(8 (f + h)).
TEST(ClosedForms, EfficiencyUnderBitErrors) {
  struct Case {
    double rate;
    const char* published_whole;
    const char* published_four;
    double best;  // published
  };
  BookRows rows("1");
  Rng rng(1, "efficiency");
  Joiner joiner;
  for (const Case& one : {Case{1e-4, "0.279", "0.536", 312}, Case{1e-5, "0.825", "0.743", 1089},
                          Case{1e-6, "0.920", "0.768", 3554}}) {
    const double hazard = -8 * std::log1p(-one.rate);
    for (const double overhead : {kPublished, kOverhead}) {
      for (const std::size_t total : {1u, 4u, 7u}) {
        const double text = 1400.0 / static_cast<double>(total);
        const double alive = std::exp(-hazard * (text + overhead));
        Estimate wire;  // bytes on the wire a packet
        for (int packet = 0; packet < 3'000; ++packet) {
          joiner.Begin(1400, total);
          double bytes = 0;
          bool is_whole = false;
          for (std::size_t i = 0; i < total; ++i) {
            do {
              bytes += text + overhead;
            } while (rng.Real() >= alive);
            is_whole = joiner.Show(i);
          }
          ASSERT_TRUE(is_whole);
          wire.Add(bytes);
        }
        const double theory = WireEfficiency(text, overhead, hazard);
        EXPECT_WITHIN(wire, 1400 / theory) << one.rate << " " << total;
        if (total == 7) continue;
        const std::string published = total == 1 ? one.published_whole : one.published_four;
        if (overhead == kPublished) {
          EXPECT_NEAR(theory, std::stod(published), 0.0005001);
        }
        rows.Add(
            Text("efficiency, bit errors %.0e, %zu of 1400 B, h = %.0f", one.rate, total, overhead),
            overhead == kPublished ? published : "", theory,
            Text("%.4g .. %.4g", 1400 / (wire.mean() + wire.half()), 1400 / (wire.mean() - wire.half())));
      }
      // The best size, by trying all.
      double best = 1;
      for (double f = 1; f < 20'000; ++f)
        if (WireEfficiency(f, overhead, hazard) > WireEfficiency(best, overhead, hazard)) best = f;
      EXPECT_NEAR(BestTextBytes(overhead, hazard), best, 0.51) << one.rate;
      if (overhead != kPublished) continue;
      EXPECT_NEAR(BestTextBytes(overhead, hazard), one.best, 0.5);
      rows.Add(Text("best bytes, bit errors %.0e, h = %.0f", one.rate, overhead), Text("%.0f", one.best),
               BestTextBytes(overhead, hazard), Text("%.0f, of all tried", best));
    }
  }
}

// 2. Bit errors, nothing sent again: (1 - p)^(8 (L + n h)), which falls with every split. 3. Drops that know
// no size: (1 - q)^n.
TEST(ClosedForms, PacketsThatArriveWholeAtOnce) {
  BookRows rows("2");
  Rng rng(2, "whole");
  Joiner joiner;
  const double rate = 2e-5, drop = 0.01;
  double last = 2;
  const auto published = [](std::size_t total) {
    return total == 1 ? "0.990" : total == 4 ? "0.961" : total == 8 ? "0.923" : "";
  };
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
    rows.Add(Text("whole at once, bit errors %.0e, %zu of 1400 B", rate, total), "", bits, Interval(errors));
    rows.Add(Text("whole at once, drops of 1 %%, %zu", total), published(total), std::pow(1 - drop, n),
             Interval(drops));
  }
}

// 3. Rounds until the last fragment is there, each lost with q: sum over k of 1 - (1 - q^k)^n.
TEST(ClosedForms, RoundsUntilAPacketIsWhole) {
  Rng rng(3, "rounds");
  Joiner joiner;
  const double q = 0.05;
  const std::array<double, 3> published = {1.053, 1.196, 1.358};
  std::size_t which = 0;
  BookRows rows("3");
  for (const std::size_t total : {1u, 4u, 8u}) {
    double theory = 0;
    for (int k = 0; k < 60; ++k) theory += 1 - std::pow(1 - std::pow(q, k), static_cast<double>(total));
    EXPECT_NEAR(theory, published[which], 0.0006);
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
    rows.Add(Text("rounds, drops of 5 %%, %zu", total), Text("%.3f", published[which++]), theory,
             Interval(rounds));
  }
}

// 4. A queue of K: M/M/1/K, whose load a split lifts by (L + n h) / (L + h).
TEST(ClosedForms, ASplitLiftsTheQueuesLoad) {
  BookRows rows("4");
  const std::uint64_t kRoom = 64;
  const auto theory = [](double rho) {
    return (1 - rho) * std::pow(rho, static_cast<double>(kRoom)) /
           (1 - std::pow(rho, static_cast<double>(kRoom) + 1));
  };
  std::array<double, 2> lost{};
  for (const std::size_t total : {1u, 4u}) {
    const double rho = 0.95 * (1400 + static_cast<double>(total) * kPublished) / (1400 + kPublished);
    Estimate drops;                                    // of independent runs
    const std::uint32_t runs = total == 1 ? 240 : 60;  // more of what is rare
    for (std::uint32_t run = 0; run < runs; ++run) {
      Rng rng(4, "queue", run);
      std::uint64_t queue = 0, arrived = 0, dropped = 0;
      // The jump chain; the first part is not counted.
      for (int event = 0; event < 45'000; ++event) {
        if (rng.Real() < rho / (1 + rho)) {
          const bool is_full = queue == kRoom;
          if (event >= 5'000) {
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
    EXPECT_NEAR(theory(rho), total == 1 ? 0.0019 : 0.128, total == 1 ? 0.00005 : 0.0005) << "published";
    lost[total == 1 ? 0 : 1] = theory(rho);
    rows.Add(Text("dropped of 64 places, load %.3f, in %zu", rho, total), total == 1 ? "0.0019" : "0.128",
             theory(rho), Interval(drops));
  }
  const double packets = 1 - std::pow(1 - lost[1], 4);
  EXPECT_NEAR(packets, 0.42, 0.005) << "published";
  EXPECT_GT(packets, 5 * lost[0]);
  const double load = 0.95 * (1400 + 4 * kPublished) / (1400 + kPublished);
  EXPECT_NEAR(load, 1.147, 0.0005) << "published";
  rows.Add("load of 0.95 after a split in 4, h = 104", "1.147", load, "");
  rows.Add("packets that lose any of 4 by that", "0.42", packets, "");
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
  BookRows rows("5");
  Rng rng(5, "bursts");
  Channel channel{0.01, 0.3};
  const double bad = 0.01 / 0.31;
  EXPECT_NEAR(channel.LostOf(8)[0], 0.3 / 0.31 * std::pow(0.99, 7), 1e-12);
  EXPECT_NEAR(channel.LostOf(8)[0], 0.902, 0.0005) << "published";
  EXPECT_NEAR(std::pow(1 - bad, 8), 0.769, 0.0005) << "published";
  std::vector<Estimate> lost(9);
  Estimate independent;
  for (int packet = 0; packet < 120'000; ++packet) {
    channel.Settle(rng);
    std::size_t count = 0;
    for (std::size_t i = 0; i < 8; ++i, channel.Step(rng)) count += channel.is_bad ? 1 : 0;
    for (std::size_t m = 0; m < lost.size(); ++m) lost[m].Add(m == count ? 1 : 0);
    bool is_whole = true;
    for (std::size_t i = 0; i < 8; ++i) is_whole = rng.Real() >= bad && is_whole;
    independent.Add(is_whole ? 1 : 0);
  }
  for (std::size_t m = 0; m < lost.size(); ++m) EXPECT_WITHIN(lost[m], channel.LostOf(8)[m]) << m;
  EXPECT_WITHIN(independent, std::pow(1 - bad, 8));
  rows.Add("all of 8 arrive, in bursts", "0.902", channel.LostOf(8)[0], Interval(lost[0]));
  rows.Add("all of 8 arrive, losses one by one", "0.769", std::pow(1 - bad, 8), Interval(independent));
  for (const std::size_t m : {1u, 2u, 4u, 8u})
    rows.Add(Text("%zu of 8 lost, in bursts", m), "", channel.LostOf(8)[m], Interval(lost[m]));
  // In continuous time, at rates a and b: the chance of good after good.
  Estimate good;
  const double a = 0.2, b = 3, t = 0.4, pi_good = b / (a + b);
  for (int i = 0; i < 20'000; ++i) {
    bool is_good = true;
    for (double left = t - rng.Exponential(1 / a); left > 0; is_good = !is_good)
      left -= rng.Exponential(is_good ? 1 / b : 1 / a);
    good.Add(is_good ? 1 : 0);
  }
  const double after = pi_good + (1 - pi_good) * std::exp(-(a + b) * t);
  EXPECT_WITHIN(good, after);
  rows.Add("good 0.4 s after good, 0.2 and 3 changes a second", "", after, Interval(good));
}

// Four fragments and `repairs` more, of which as many may be lost: back to back, and each so late after the
// one before that it finds the channel anew. The protocol has one repair at most; of two, a packet is whole
// when four of six come.
TEST(ClosedForms, RepairsWantToBeSpaced) {
  struct Case {
    std::size_t repairs;
    const char* published;
    const char* published_spaced;
  };
  BookRows rows("6");
  Rng rng(6, "repairs");
  Channel channel{0.01, 0.3};
  const double bad = 0.01 / 0.31;
  Joiner joiner;
  for (const Case& one :
       {Case{0, "0.061", "0.123"}, Case{1, "0.043", "0.0098"}, Case{2, "0.030", "0.00062"}}) {
    const std::size_t sent = 4 + one.repairs;
    for (const bool is_spaced : {false, true}) {
      Estimate failed;
      const int packets = one.repairs == 2 ? 400'000 : 30'000;  // of what is rare
      for (int packet = 0; packet < packets; ++packet) {
        joiner.Begin(1400, 4);
        channel.Settle(rng);
        bool is_whole = false;
        std::size_t came = 0;
        for (std::size_t i = 0; i < sent; ++i) {
          if (!channel.is_bad) {
            ++came;
            if (i <= 4) is_whole = joiner.Show(i % 4, i == 4) || is_whole;
          }
          if (is_spaced) {
            channel.Settle(rng);
          } else {
            channel.Step(rng);
          }
        }
        failed.Add(came >= 4 ? 0 : 1);
        if (one.repairs < 2) {
          ASSERT_EQ(is_whole, came >= 4);
        }
      }
      double theory = 1;
      if (is_spaced) {
        double ways = 1;
        for (std::size_t m = 0; m <= one.repairs; ++m) {
          theory -=
              ways * std::pow(bad, static_cast<double>(m)) * std::pow(1 - bad, static_cast<double>(sent - m));
          ways *= static_cast<double>(sent - m) / static_cast<double>(m + 1);
        }
      } else {
        const auto lost = channel.LostOf(sent);
        for (std::size_t m = 0; m <= one.repairs; ++m) theory -= lost[m];
      }
      const std::string published = is_spaced ? one.published_spaced : one.published;
      const double shown = std::stod(published);
      EXPECT_NEAR(theory, shown, shown < 0.01 ? 0.00005 : 0.0005) << sent << is_spaced;
      EXPECT_WITHIN(failed, theory) << sent << is_spaced;
      rows.Add(Text("4 + %zu, %s: not whole", one.repairs, is_spaced ? "spaced" : "back to back"), published,
               theory, Interval(failed));
    }
  }
}

// 7. Links that forward whole fragments: (n + H - 1) (f + h) byte times, by an event for each fragment and
// link.
TEST(ClosedForms, PipeliningOverLinks) {
  BookRows rows("7");
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
    EXPECT_NEAR(best / PipelineTime(1400, 1, 104, hops), published[which], 0.0005);
    const double n = 1400 / PipelineTextBytes(1400, 104, hops);
    const double around =
        std::min(PipelineTime(1400, std::floor(n), 104, hops), PipelineTime(1400, std::ceil(n), 104, hops));
    EXPECT_NEAR(around, best, 1e-6);
    const double whole = PipelineTime(1400, 1, 104, hops);
    rows.Add(Text("time over %d links, to the unsplit", hops), Text("%.3f", published[which++]),
             around / whole, Text("%.4g, by events", best / whole));
  }
}

// 8. The posterior of loss after waiting, q / (q + (1 - q) S(t)), by counting; the time at which to ask is in
// recovery_test.cc.
TEST(ClosedForms, WhatIsStillMissingIsLost) {
  Rng rng(8, "posterior");
  BookRows rows("8");
  const double q = 0.02, mu = 1;
  const double ask = mu * Ln((1 - q) / q * 0.8 / 0.2);
  EXPECT_NEAR(ask, 5.3, 0.05) << "published";
  rows.Add("when to ask, in mean delays: q = 2 %, theta = 0.8", "5.3", ask, "");
  for (const double t : {0.0, 1.0, 3.0, 5.3}) {
    Estimate lost;
    for (int i = 0; i < 200'000; ++i) {
      const bool is_lost = rng.Real() < q;
      if (is_lost || rng.Exponential(mu) > t) lost.Add(is_lost ? 1 : 0);
    }
    const double theory = q / (q + (1 - q) * std::exp(-t / mu));
    EXPECT_WITHIN(lost, theory) << t;
    rows.Add(Text("lost, of what is missing after %.1f mean delays", t), "", theory, Interval(lost));
  }
}

// 9. How long numbers and keys last.
TEST(ClosedForms, NumbersAndKeysOutlastTheirLinks) {
  BookRows rows("9");
  const double blocks = std::pow(2, 35);  // RFC 9001, section B.1, about
  const double key_seconds = blocks * 16 * 8 / 100e9;
  EXPECT_NEAR(key_seconds, 44, 0.1);
  EXPECT_NEAR(key_seconds / 4, 11, 0.1);
  const double fragments_a_second = 100e9 / 8 / 350;
  EXPECT_NEAR(std::pow(2, 32) / fragments_a_second, 120, 1) << "32 bits would wrap";
  rows.Add("seconds of a key of 2^35 blocks at 100 Gbit/s", "44", key_seconds, "");
  rows.Add("seconds of a key of 2^35 blocks at 400 Gbit/s", "11", key_seconds / 4, "");
  rows.Add("seconds until 32 bits of 350 B wrap at 100 Gbit/s", "120", std::pow(2, 32) / fragments_a_second,
           "");
  EXPECT_GT(std::pow(2, 64) / fragments_a_second / 86'400 / 365, 10'000) << "years";
  // The distance from a fragment to its packet's base, 24 bits, is half a second at that rate.
  EXPECT_GT((wire::kMost24 + 1.0) / fragments_a_second, 0.4);
}

}  // namespace
}  // namespace foreflow::shard
