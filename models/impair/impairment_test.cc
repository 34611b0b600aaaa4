// SPDX-License-Identifier: BSD-3-Clause
// Each estimate has an interval that holds the truth 999 times in 1000; the seeds are fixed, so a test passes
// always or never.
#include "models/impair/impairment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/test_estimate.h"

namespace foreflow::impair {
namespace {

ImpairmentConfig Of(const PathConfig& path, std::size_t framing = 66) {
  ImpairmentConfig config;
  config.paths = {path};
  config.framing_bytes = framing;
  return config;
}

TEST(Impairment, ByDefaultPassesEverythingAtOnce) {
  Impairment impairment(ImpairmentConfig{}, 1);
  for (int i = 0; i < 1000; ++i) {
    const Passage passage = impairment.Pass(static_cast<std::size_t>(i), 1400, Micros(i));
    ASSERT_EQ(passage.fate, Fate::kPassed);
    ASSERT_EQ(passage.copies, 1u);
    ASSERT_EQ(passage.copy[0].at, Micros(i));
    ASSERT_EQ(passage.copy[0].flip, 0);
    ASSERT_FALSE(passage.is_marked);
  }
  EXPECT_EQ(impairment.counts().out, 1000u);
}

TEST(Impairment, LosesTheShareThatItIsToldAndOneByOne) {
  PathConfig path;
  path.loss = 0.02;
  Impairment impairment(Of(path), 11);
  Estimate lost, lost_after_lost;
  bool was_lost = false;
  for (int i = 0; i < 400'000; ++i) {
    const bool is_lost = impairment.Pass(0, 1000, Nanos(i)).fate == Fate::kRandomLoss;
    lost.Add(is_lost);
    if (was_lost) lost_after_lost.Add(is_lost);
    was_lost = is_lost;
  }
  EXPECT_WITHIN(lost, 0.02);
  EXPECT_NEAR(lost_after_lost.mean(), 0.02, lost_after_lost.half());
}

// Gilbert and Elliott: the stationary share, the mean length of bursts, and how many of n that follow each
// other are lost, by the transfer matrix.
TEST(Impairment, BurstsOfDatagramsAreThoseOfTheMarkovChain) {
  PathConfig path;
  path.burst = {0.01, 0.3, Nanos(), Nanos(), 0.001, 0.9};
  const double bad = path.burst.to_bad / (path.burst.to_bad + path.burst.to_good);
  const double share[2] = {path.burst.loss_good, path.burst.loss_bad};
  constexpr int kLength = 8;
  double theory[kLength + 1] = {};
  {
    // mass[state][lost so far], before the state's own datagram is drawn.
    double mass[2][kLength + 2] = {{1 - bad}, {bad}};
    const double step[2][2] = {{1 - path.burst.to_bad, path.burst.to_bad},
                               {path.burst.to_good, 1 - path.burst.to_good}};
    for (int i = 0; i < kLength; ++i) {
      double drawn[2][kLength + 2] = {}, next[2][kLength + 2] = {};
      for (int state = 0; state < 2; ++state)
        for (int lost = 0; lost <= i; ++lost) {
          drawn[state][lost] += mass[state][lost] * (1 - share[state]);
          drawn[state][lost + 1] += mass[state][lost] * share[state];
        }
      for (int state = 0; state < 2; ++state)
        for (int lost = 0; lost <= i + 1; ++lost) {
          if (i + 1 == kLength) theory[lost] += drawn[state][lost];
          for (int to = 0; to < 2; ++to) next[to][lost] += drawn[state][lost] * step[state][to];
        }
      std::copy(&next[0][0], &next[0][0] + 2 * (kLength + 2), &mass[0][0]);
    }
  }
  Estimate lost, of_eight[kLength + 1];
  for (std::uint32_t run = 0; run < 60'000; ++run) {
    Impairment impairment(Of(path), 12, run);
    int count = 0;
    for (int i = 0; i < kLength; ++i)
      count += impairment.Pass(0, 1000, Nanos(i)).fate == Fate::kBurstLoss ? 1 : 0;
    lost.Add(count * 1.0 / kLength);
    for (int i = 0; i <= kLength; ++i) of_eight[i].Add(i == count);
  }
  EXPECT_WITHIN(lost, bad * share[1] + (1 - bad) * share[0]);
  for (int i = 0; i <= kLength; ++i) {
    SCOPED_TRACE(i);
    EXPECT_NEAR(of_eight[i].mean(), theory[i], of_eight[i].half());
  }
}

TEST(Impairment, BurstsHaveGeometricLengths) {
  PathConfig path;
  path.burst.to_bad = 0.02;
  path.burst.to_good = 0.25;
  Impairment impairment(Of(path), 13);
  Estimate bursts, gaps, longer_than_eight;
  int run = 0;
  bool was_lost = false;
  for (int i = 0; i < 1'000'000; ++i) {
    const bool is_lost = impairment.Pass(0, 1000, Nanos(i)).fate == Fate::kBurstLoss;
    if (is_lost != was_lost && i > 0) {
      (was_lost ? bursts : gaps).Add(run);
      if (was_lost) longer_than_eight.Add(run > 8);
      run = 0;
    }
    ++run;
    was_lost = is_lost;
  }
  EXPECT_WITHIN(bursts, 4.0);
  EXPECT_WITHIN(gaps, 50.0);
  EXPECT_WITHIN(longer_than_eight, std::pow(0.75, 8));
}

// P(good and, t later, good) = g (g + b exp(-(1 / good + 1 / bad) t)), whatever is sent in between.
TEST(Impairment, BurstsOfTimeForgetExponentially) {
  PathConfig path;
  path.burst.good = Millis(9);
  path.burst.bad = Millis(1);
  for (const Nanos later : {Micros(100), Millis(1), Millis(4), Millis(700), Seconds(100)}) {
    SCOPED_TRACE(later.count());
    Estimate first, both;
    for (std::uint32_t run = 0; run < 20'000; ++run) {
      Impairment impairment(Of(path), 14, run);
      const bool is_good = impairment.Pass(0, 100, Seconds(1)).fate == Fate::kPassed;
      first.Add(is_good);
      if (run % 2 == 0) impairment.Pass(0, 100, Seconds(1) + later / 2);
      both.Add(is_good && impairment.Pass(0, 100, Seconds(1) + later).fate == Fate::kPassed);
    }
    EXPECT_WITHIN(first, 0.9);
    EXPECT_WITHIN(both, 0.9 * (0.9 + 0.1 * std::exp(-(1 / 9e-3 + 1 / 1e-3) * ToSeconds(later))));
  }
}

TEST(Impairment, BitErrorsLoseLongDatagramsMore) {
  PathConfig path;
  path.bit_errors = 1e-5;
  Impairment impairment(Of(path, 100), 15);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{350}, std::size_t{1400}, std::size_t{60'000}}) {
    SCOPED_TRACE(bytes);
    Estimate passed;
    for (int i = 0; i < 200'000; ++i)
      passed.Add(impairment.Pass(0, bytes, Nanos(i)).fate != Fate::kBitErrors);
    EXPECT_WITHIN(passed, std::pow(1 - 1e-5, 8.0 * static_cast<double>(bytes + 100)));
  }
}

// Poisson arrivals, one size: M/D/1/K. The loss by the chain embedded at departures: pi of K states, and
// 1 - 1 / (pi_0 + rho).
double LossOfMD1K(double rho, std::size_t places) {
  std::vector<double> arrivals, pi{1};
  double term = std::exp(-rho);
  for (std::size_t k = 0; k <= places; ++k) {
    arrivals.push_back(term);
    term *= rho / static_cast<double>(k + 1);
  }
  double sum = 1;
  while (pi.size() < places) {
    const std::size_t j = pi.size() - 1;
    double next = pi[j] - pi[0] * arrivals[j];
    for (std::size_t i = 1; i <= j; ++i) next -= pi[i] * arrivals[j - i + 1];
    pi.push_back(next / arrivals[0]);
    sum += pi.back();
  }
  return 1 - 1 / (pi[0] / sum + rho);
}

struct Queued {
  Estimate loss, wait;  // of datagrams, in services
};
Queued RunQueue(double rho, std::size_t places, std::uint64_t seed) {
  PathConfig path;
  path.rate = BitsPerSecond(1'000'000);
  path.queue_bytes = places * 1000;
  const double service = 8e6;  // ns of 1000 B
  Queued result;
  for (std::uint32_t run = 0; run < 60; ++run) {
    Impairment impairment(Of(path, 66), seed, run);
    Rng arrivals(seed, "impairment_test.arrivals", run);
    Nanos now;
    Estimate loss, wait;
    for (int i = 0; i < 12'000; ++i) {
      now += Nanos(static_cast<std::int64_t>(arrivals.Exponential(service / rho)));
      const Passage passage = impairment.Pass(0, 934, now);
      if (i < 2000) continue;
      loss.Add(passage.fate == Fate::kQueueFull);
      if (passage.copies > 0) wait.Add(static_cast<double>((passage.copy[0].at - now).count()) / service - 1);
    }
    result.loss.Add(loss.mean());
    result.wait.Add(wait.mean());
  }
  return result;
}

TEST(Impairment, AFullQueueLosesAsMD1KDoes) {
  EXPECT_NEAR(LossOfMD1K(0.7, 1), 0.7 / 1.7, 1e-12);  // Erlang's
  const Queued busy = RunQueue(0.9, 6, 16);
  EXPECT_WITHIN(busy.loss, LossOfMD1K(0.9, 6));
  const Queued over = RunQueue(1.3, 10, 17);
  EXPECT_WITHIN(over.loss, LossOfMD1K(1.3, 10));
}

TEST(Impairment, ALongQueueWaitsAsPollaczekAndKhinchineSay) {
  const Queued queued = RunQueue(0.7, 100'000, 18);
  EXPECT_EQ(queued.loss.sum, 0);
  EXPECT_WITHIN(queued.wait, 0.7 / (2 * (1 - 0.7)));
}

TEST(Impairment, TheQueueLosesNoFractionOfTime) {
  PathConfig path;
  path.rate = BitsPerSecond(100'000'000'000);  // 106 B: 8.48 ns
  path.queue_bytes = 1 << 20;
  Impairment impairment(Of(path, 6), 19);
  Passage passage;
  for (int i = 0; i < 5000; ++i) passage = impairment.Pass(0, 100, Seconds(1'700'000'000));
  EXPECT_EQ((passage.copy[0].at - Seconds(1'700'000'000)).count(), 42'400);
}

TEST(Impairment, MarksWhatFindsALongQueue) {
  PathConfig path;
  path.rate = BitsPerSecond(8'000'000);  // 1 B a microsecond
  path.queue_bytes = 10'000;
  path.mark_bytes = 5000;
  Impairment impairment(Of(path, 0), 20);
  std::vector<bool> marks;
  for (int i = 0; i < 10; ++i) marks.push_back(impairment.Pass(0, 1000, Nanos()).is_marked);
  EXPECT_EQ(marks, (std::vector<bool>{false, false, false, false, false, true, true, true, true, true}));
  EXPECT_EQ(impairment.Pass(0, 1000, Nanos()).fate, Fate::kQueueFull);
  EXPECT_FALSE(impairment.Pass(0, 1000, Micros(5001)).is_marked);
  EXPECT_EQ(impairment.counts().marked, 5u);
}

TEST(Impairment, LetsNothingPassThatIsTooLarge) {
  PathConfig path;
  path.largest_bytes = 1200;
  Impairment impairment(Of(path), 21);
  EXPECT_EQ(impairment.Pass(0, 1200, Nanos()).fate, Fate::kPassed);
  EXPECT_EQ(impairment.Pass(0, 1201, Nanos()).fate, Fate::kTooLarge);
}

// Of two that leave `apart` after each other, the first comes last with probability exp(-apart / mean) / 2.
TEST(Impairment, ExponentialJitterDelaysAndReordersAsItShould) {
  PathConfig path;
  path.delay = Millis(3);
  path.jitter = Micros(200);
  path.shape = JitterShape::kExponential;
  Impairment impairment(Of(path), 22);
  Estimate jitter, long_jitter, overtaken;
  Nanos before;
  for (int i = 0; i < 200'000; ++i) {
    const Nanos now = Micros(150) * i;
    const Nanos at = impairment.Pass(0, 1000, now).copy[0].at;
    ASSERT_GE(at, now + Millis(3));
    jitter.Add(static_cast<double>((at - now - Millis(3)).count()) / 1000);
    long_jitter.Add(at - now - Millis(3) > Micros(500));
    if (i % 2 == 1) overtaken.Add(at < before);
    before = at;
  }
  EXPECT_WITHIN(jitter, 200.0);
  EXPECT_WITHIN(long_jitter, std::exp(-2.5));
  EXPECT_WITHIN(overtaken, std::exp(-0.75) / 2);
}

TEST(Impairment, UniformJitterFillsItsRangeAndMayKeepOrder) {
  PathConfig path;
  path.jitter = Micros(200);
  for (const bool keeps_order : {false, true}) {
    path.keeps_order = keeps_order;
    Impairment impairment(Of(path), 23);
    Estimate jitter, low_quarter;
    Nanos before;
    int overtaken = 0;
    for (int i = 0; i < 100'000; ++i) {
      const Nanos now = Micros(100) * i;
      const Nanos at = impairment.Pass(0, 1000, now).copy[0].at;
      ASSERT_LT(at - now, Micros(400));
      jitter.Add(static_cast<double>((at - now).count()) / 1000);
      low_quarter.Add(at - now < Micros(100));
      overtaken += at < before ? 1 : 0;
      before = at;
    }
    EXPECT_EQ(overtaken > 0, !keeps_order);
    if (keeps_order) continue;
    EXPECT_WITHIN(jitter, 200.0);
    EXPECT_WITHIN(low_quarter, 0.25);
  }
}

TEST(Impairment, SomeAreLate) {
  PathConfig path;
  path.delay = Millis(1);
  path.keeps_order = true;
  path.late = 0.05;
  path.late_least = Micros(300);
  path.late_most = Micros(900);
  Impairment impairment(Of(path), 24);
  Estimate late, lateness;
  for (int i = 0; i < 200'000; ++i) {
    const Nanos by = impairment.Pass(0, 1000, Micros(i)).copy[0].at - Micros(i) - Millis(1);
    late.Add(by > Nanos());
    if (by == Nanos()) continue;
    ASSERT_GE(by, Micros(300));
    ASSERT_LE(by, Micros(900));
    lateness.Add(static_cast<double>(by.count()) / 1000);
  }
  EXPECT_WITHIN(late, 0.05);
  EXPECT_WITHIN(lateness, 600.0);
  EXPECT_EQ(impairment.counts().late, static_cast<std::uint64_t>(late.sum));
}

TEST(Impairment, RepeatsAndChangesTheSharesThatItIsTold) {
  PathConfig path;
  path.duplicate = 0.1;
  path.duplicate_after = Micros(40);
  path.corrupt = 0.03;
  Impairment impairment(Of(path), 25);
  Estimate repeated, corrupted, place, flip;
  for (int i = 0; i < 200'000; ++i) {
    const Passage passage = impairment.Pass(0, 101, Micros(i));
    repeated.Add(passage.copies == 2);
    ASSERT_TRUE(passage.copies == 1 || passage.copy[1].at == Micros(i + 40));
    for (std::size_t copy = 0; copy < passage.copies; ++copy) {
      corrupted.Add(passage.copy[copy].flip != 0);
      if (passage.copy[copy].flip == 0) continue;
      ASSERT_LT(passage.copy[copy].place, 101u);
      place.Add(static_cast<double>(passage.copy[copy].place));
      flip.Add(passage.copy[copy].flip);
    }
  }
  EXPECT_WITHIN(repeated, 0.1);
  EXPECT_WITHIN(corrupted, 0.03);
  EXPECT_WITHIN(place, 50.0);
  EXPECT_WITHIN(flip, 128.0);
  EXPECT_EQ(impairment.counts().duplicated, static_cast<std::uint64_t>(repeated.sum));
  EXPECT_EQ(impairment.counts().corrupted, static_cast<std::uint64_t>(corrupted.sum));
}

PathConfig Everything() {
  PathConfig path;
  path.rate = BitsPerSecond(100'000'000);
  path.queue_bytes = 9000;
  path.mark_bytes = 4000;
  path.largest_bytes = 1450;
  path.loss = 0.02;
  path.burst = {0.01, 0.2, Nanos(), Nanos(), 0, 0.8};
  path.bit_errors = 1e-6;
  path.delay = Millis(1);
  path.jitter = Micros(100);
  path.late = 0.02;
  path.late_least = Micros(200);
  path.late_most = Millis(2);
  path.duplicate = 0.05;
  path.duplicate_after = Micros(7);
  path.corrupt = 0.05;
  return path;
}

struct Told {
  std::vector<Passage> passages;
  Impairment::Counts counts;
};
Told Tell(const ImpairmentConfig& config, std::uint64_t seed, std::uint32_t index = 0) {
  Impairment impairment(config, seed, index);
  Rng traffic(5, "impairment_test.traffic");
  Told told;
  Nanos now;
  for (std::size_t i = 0; i < 20'000; ++i) {
    now += Nanos(traffic.Below(150'000));
    told.passages.push_back(impairment.Pass(i, 100 + traffic.Below(1400), now));
  }
  told.counts = impairment.counts();
  return told;
}
bool AreEqual(const Passage& a, const Passage& b) {
  if (a.fate != b.fate || a.copies != b.copies || a.is_marked != b.is_marked) return false;
  for (std::size_t i = 0; i < a.copies; ++i)
    if (a.copy[i].at != b.copy[i].at || a.copy[i].place != b.copy[i].place ||
        a.copy[i].flip != b.copy[i].flip)
      return false;
  return true;
}
std::size_t Differences(const Told& a, const Told& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.passages.size(); ++i) count += AreEqual(a.passages[i], b.passages[i]) ? 0 : 1;
  return count;
}

TEST(Impairment, IsAFunctionOfSeedAndIndex) {
  ImpairmentConfig config;
  config.paths.assign(3, Everything());
  const Told told = Tell(config, 26);
  EXPECT_EQ(Differences(told, Tell(config, 26)), 0u);
  EXPECT_GT(Differences(told, Tell(config, 27)), 10'000u);
  EXPECT_GT(Differences(told, Tell(config, 26, 1)), 10'000u);
}

TEST(Impairment, CountsEverythingOnce) {
  const Told told = Tell(Of(Everything()), 28);
  std::array<std::uint64_t, kFates> fates{};
  std::uint64_t out = 0, corrupted = 0;
  for (const Passage& passage : told.passages) {
    ++fates[static_cast<std::size_t>(passage.fate)];
    out += passage.copies;
    ASSERT_EQ(passage.copies > 0, passage.fate == Fate::kPassed);
    for (std::size_t i = 0; i < passage.copies; ++i) corrupted += passage.copy[i].flip != 0 ? 1 : 0;
  }
  EXPECT_EQ(told.counts.in, told.passages.size());
  EXPECT_EQ(told.counts.fates, fates);
  EXPECT_EQ(told.counts.out, out);
  EXPECT_EQ(told.counts.out, fates[0] + told.counts.duplicated);
  EXPECT_EQ(told.counts.corrupted, corrupted);
  for (const std::uint64_t count : fates) EXPECT_GT(count, 0u);
  EXPECT_GT(told.counts.marked, 0u);
}

// Common random numbers: to change a model leaves the others' draws as they were.
TEST(Impairment, ModelsDrawFromStreamsOfTheirOwn) {
  const Told told = Tell(Of(Everything()), 29);
  PathConfig path = Everything();
  path.loss = 0;
  path.duplicate = 0;
  const Told less = Tell(Of(path), 29);
  std::size_t compared = 0, lost_before = 0;
  for (std::size_t i = 0; i < told.passages.size(); ++i) {
    const Passage& a = told.passages[i];
    const Passage& b = less.passages[i];
    if (a.fate == Fate::kRandomLoss) {
      ++lost_before;
      continue;
    }
    ASSERT_EQ(a.fate, b.fate) << i;
    if (a.copies == 0) continue;
    ASSERT_EQ(a.copy[0].at, b.copy[0].at) << i;
    ASSERT_EQ(a.copy[0].flip, b.copy[0].flip) << i;
    ++compared;
  }
  EXPECT_GT(compared, 10'000u);
  EXPECT_GT(lost_before, 200u);
}

TEST(Impairment, PathsDifferAndCountModuloTheirNumber) {
  ImpairmentConfig config;
  config.paths.resize(2);
  config.paths[1].delay = Millis(5);
  Impairment impairment(config, 30);
  EXPECT_EQ(impairment.Pass(0, 100, Nanos()).copy[0].at, Nanos());
  EXPECT_EQ(impairment.Pass(1, 100, Nanos()).copy[0].at, Millis(5));
  EXPECT_EQ(impairment.Pass(2, 100, Nanos()).copy[0].at, Nanos());
}

TEST(Impairment, RefusesWhatIsOutOfRange) {
  const auto refuses = [](const char* key, void (*change)(ImpairmentConfig&)) {
    ImpairmentConfig config;
    change(config);
    try {
      Impairment impairment(config, 1);
      ADD_FAILURE() << key << " was taken";
    } catch (const Refusal& refusal) {
      EXPECT_NE(std::string(refusal.what()).find(key), std::string::npos) << refusal.what();
      EXPECT_NE(std::string(refusal.what()).find("allowed"), std::string::npos) << refusal.what();
    }
  };
  using Config = ImpairmentConfig;
  refuses("paths", [](Config& config) { config.paths.clear(); });
  refuses("paths", [](Config& config) { config.paths.resize(17); });
  refuses("framing_bytes", [](Config& config) { config.framing_bytes = 1025; });
  refuses("rate", [](Config& config) { config.paths[0].rate = BitsPerSecond(999); });
  refuses("rate", [](Config& config) { config.paths[0].rate = BitsPerSecond(1'000'000'000'001); });
  refuses("queue_bytes", [](Config& config) { config.paths[0].queue_bytes = 0; });
  refuses("mark_bytes", [](Config& config) { config.paths[0].mark_bytes = (std::size_t{1} << 30) + 1; });
  refuses("largest_bytes", [](Config& config) { config.paths[0].largest_bytes = 65'536; });
  refuses("loss", [](Config& config) { config.paths[0].loss = 1.01; });
  refuses("loss", [](Config& config) { config.paths[0].loss = std::nan(""); });
  refuses("burst.to_bad", [](Config& config) { config.paths[0].burst.to_bad = -0.1; });
  refuses("burst.to_good", [](Config& config) { config.paths[0].burst.to_good = 2; });
  refuses("both 0", [](Config& config) { config.paths[0].burst.to_good = 0; });
  refuses("burst.good", [](Config& config) { config.paths[0].burst.good = Millis(1); });
  refuses("burst.bad", [](Config& config) {
    config.paths[0].burst.good = Millis(1);
    config.paths[0].burst.bad = Nanos(999);
  });
  refuses("burst.loss_good", [](Config& config) { config.paths[0].burst.loss_good = 2; });
  refuses("burst.loss_bad", [](Config& config) { config.paths[0].burst.loss_bad = -1; });
  refuses("bit_errors", [](Config& config) { config.paths[0].bit_errors = 1.5; });
  refuses("delay", [](Config& config) { config.paths[0].delay = Nanos(-1); });
  refuses("jitter", [](Config& config) { config.paths[0].jitter = Seconds(3601); });
  refuses("late", [](Config& config) { config.paths[0].late = 1.1; });
  refuses("late_least", [](Config& config) { config.paths[0].late_least = Nanos(1); });
  refuses("late_most", [](Config& config) { config.paths[0].late_most = Seconds(3601); });
  refuses("duplicate", [](Config& config) { config.paths[0].duplicate = 1.1; });
  refuses("duplicate_after", [](Config& config) { config.paths[0].duplicate_after = Nanos(-1); });
  refuses("corrupt", [](Config& config) { config.paths[0].corrupt = 1.1; });
}

TEST(Impairment, FatesHaveNames) {
  for (std::size_t i = 0; i < kFates; ++i) EXPECT_NE(Name(static_cast<Fate>(i)), nullptr);
  EXPECT_EQ(Name(static_cast<Fate>(kFates)), nullptr);
}

}  // namespace
}  // namespace foreflow::impair
