// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>

#include "models/base/refusal.h"
#include "models/shard/feedback.h"
#include "models/shard/size_math.h"
#include "models/shard/test_link.h"

namespace foreflow::shard {
namespace {

std::vector<std::uint64_t> Asked(GapDetector& gaps, Nanos now) {
  std::vector<std::uint64_t> numbers;
  Work work;
  for (std::uint64_t number = 0; gaps.NextAsk(now, number, work);) numbers.push_back(number);
  return numbers;
}
void Arrive(GapDetector& gaps, std::uint64_t number, Nanos now) {
  Work work;
  gaps.OnNumber(number, now, work);
}
using Numbers = std::vector<std::uint64_t>;

// ---- gaps

// Each number is asked for once, when it has been missing for the time: a list of all that came says which.
TEST(GapDetector, AsksAsAListOfEverythingWould) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "gap_detector_test");
    GapDetectorConfig config;
    config.rule = GapRule::kFixed;
    config.wait = Micros(1 + rng.Below(200));
    config.tick = Nanos(1);
    config.asks = 1;
    GapDetector gaps(config);
    std::vector<std::pair<Nanos, std::uint64_t>> arrivals;
    for (std::uint64_t number = 0; number < 500; ++number)
      if (number == 0 || rng.Below(10) != 0)
        arrivals.emplace_back(Micros(static_cast<std::int64_t>(number) * 3) +
                                  Nanos(rng.Below(rng.Below(5) == 0 ? 400'000 : 5'000)),
                              number);
    std::sort(arrivals.begin(), arrivals.end());
    // Below the first to come nothing is asked for unless it is near the start; all are here.
    std::map<std::uint64_t, Nanos> found, came;
    std::set<std::uint64_t> expected, asked;
    std::uint64_t next = 0;
    for (const auto& [at, number] : arrivals) {
      came[number] = at;
      for (; next < number; ++next)
        if (came.count(next) == 0) found[next] = at;
      next = std::max(next, number + 1);
    }
    for (const auto& [number, at] : found)
      if (came.count(number) == 0 || came[number] >= at + config.wait) expected.insert(number);
    for (const auto& [at, number] : arrivals) {
      for (const std::uint64_t ask : Asked(gaps, at)) {
        ASSERT_TRUE(asked.insert(ask).second);
        ASSERT_GE(at, found[ask] + config.wait);
      }
      Arrive(gaps, number, at);
    }
    for (const std::uint64_t ask : Asked(gaps, Seconds(1))) asked.insert(ask);
    EXPECT_EQ(asked, expected);
    EXPECT_EQ(gaps.counts().missing, found.size());
    EXPECT_EQ(gaps.counts().asked, expected.size());
    std::uint64_t spurious = 0;
    for (const std::uint64_t number : expected) spurious += came.count(number);
    // What came after its gap was closed is not told any more.
    EXPECT_LE(gaps.counts().spurious, spurious);
    for (const auto& [number, at] : came)
      if (gaps.highest() - number < 64) {
        EXPECT_EQ(gaps.ReceivedWord(0) >> (gaps.highest() - number) & 1, 1u) << number;
      }
  }
}

// ---- gaps, by several paths

// What a sender says of its paths, from a list of all that it sent.
class Paths {
 public:
  wire::PathHeader Send(unsigned path) {
    wire::PathHeader header;
    header.path = static_cast<std::uint8_t>(path);
    for (std::size_t back = 1; back <= std::min<std::size_t>(28, sent_.size()); ++back)
      if (sent_[sent_.size() - back] == path) header.same |= std::uint32_t{1} << (28 - back);
    sent_.push_back(path);
    return header;
  }

 private:
  std::vector<unsigned> sent_;
};

TEST(Sharder, SaysWhatWentByThePathBefore) {
  Rng rng(8, "paths");
  Sharder sharder(1, false, true);
  sharder.keys().Install(0, kTestCipher, TestKey(0).data());
  Paths paths;
  Work work;
  Raw out(200);
  for (std::size_t i = 0; i < 5000; ++i) {
    const unsigned path = i < 2000 ? rng.Below(2) : rng.Below(16) * rng.Below(2);
    const std::size_t bytes =
        sharder.SealMessage(wire::ShardType::kProbe, View(Raw(4)), {out.data(), out.size()}, work, path);
    wire::ShardMessage message;
    ASSERT_EQ(wire::ReadShardMessage({out.data(), bytes}, message), wire::ShardFault::kNone);
    const wire::PathHeader wanted = paths.Send(path);
    ASSERT_EQ(message.path.path, wanted.path);
    ASSERT_EQ(message.path.same, wanted.same) << i;
  }
}

// Where only one path is used, however it is said, numbers are asked for at the same times.
TEST(GapDetector, OfOnePathOfSeveralKnowsWhatItKnowsOfTheOnly) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    for (const GapRule rule :
         {GapRule::kFixed, GapRule::kThree, GapRule::kRack, GapRule::kLearned, GapRule::kEwma}) {
      SCOPED_TRACE(seed);
      Rng rng(seed, "one of several");
      GapDetectorConfig config;
      config.rule = rule;
      GapDetector only(config);
      config.paths = 3;
      GapDetector several(config);
      only.SetRoundTrip(Micros(400), Micros(500));
      several.SetRoundTrip(Micros(400), Micros(500), 1);
      Paths paths;
      std::multimap<Nanos, std::pair<std::uint64_t, wire::PathHeader>> wire;
      for (std::uint64_t number = 0; number < 600; ++number) {
        const wire::PathHeader header = paths.Send(1);
        if (number > 0 && rng.Below(8) == 0) continue;
        const Nanos late = Nanos(rng.Below(rng.Below(10) == 0 ? 300'000 : 1'000));
        wire.emplace(Micros(10) * static_cast<std::int64_t>(number) + late, std::pair(number, header));
      }
      Work work;
      for (const auto& [now, each] : wire) {
        ASSERT_EQ(Asked(only, now), Asked(several, now)) << now.count();
        only.OnNumber(each.first, now, work);
        several.OnNumber(each.first, now, work, {false, each.second});
      }
      ASSERT_EQ(Asked(only, Seconds(1)), Asked(several, Seconds(1)));
      EXPECT_EQ(only.counts().missing, several.counts().missing);
      EXPECT_EQ(only.counts().late, several.counts().late);
      EXPECT_EQ(only.counts().spurious, several.counts().spurious);
    }
  }
}

// Paths of unequal delays, which keep their own order and lose in bursts: whichever path numbers go by,
// nothing is asked for in vain, and all that was lost is asked for; where its path says so, when that path is
// a window past it.
TEST(GapDetector, UnequalDelaysAreNoLoss) {
  std::uint64_t lost_in_all = 0, told_in_all = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "unequal delays");
    GapDetectorConfig config;
    config.tick = Nanos(1);
    config.asks = 1;
    config.paths = 2 + rng.Below(3);
    GapDetector gaps(config);
    std::vector<Nanos> delay;
    for (std::size_t path = 0; path < config.paths; ++path) {
      delay.push_back(Micros(500 + rng.Below(3000)));
      gaps.SetRoundTrip(delay[path] * 2, delay[path] * 2, path);
    }
    const unsigned rule = rng.Below(3);
    const std::size_t burst = 1 + rng.Below(4);
    Paths paths;
    struct Sent {
      unsigned path;
      Nanos arrives;
      wire::PathHeader header;
    };
    std::vector<Sent> sent;
    std::vector<std::size_t> losing(config.paths);
    std::set<std::uint64_t> lost;
    std::multimap<Nanos, std::uint64_t> wire;
    unsigned path = 0;
    for (std::uint64_t number = 0; number < 2000; ++number) {
      // In turn, at random, or some by one and then some by another.
      path = rule == 0           ? static_cast<unsigned>(number % config.paths)
             : rule == 1         ? rng.Below(static_cast<std::uint32_t>(config.paths))
             : rng.Below(4) == 0 ? rng.Below(static_cast<std::uint32_t>(config.paths))
                                 : path;
      const Nanos now = Micros(20) * static_cast<std::int64_t>(number);
      sent.push_back({path, now + delay[path], paths.Send(path)});
      if (losing[path] == 0 && number > 100 && number < 1900 && rng.Below(50) == 0) losing[path] = burst;
      if (losing[path] > 0) {
        --losing[path];
        lost.insert(number);
      } else {
        wire.emplace(now + delay[path], number);
      }
    }
    // When the first number after it came by its own path, and whether that speaks of it.
    std::map<std::uint64_t, Nanos> told;
    for (const std::uint64_t number : lost) {
      std::uint64_t next = number + 1;
      while (next < sent.size() && (lost.count(next) != 0 || sent[next].path != sent[number].path)) ++next;
      if (next < sent.size() && next - number <= 28) told[number] = sent[next].arrives;
    }
    std::map<std::uint64_t, Nanos> asked;
    Work work;
    const auto ask = [&](Nanos now) {
      for (std::uint64_t number = 0; gaps.NextAsk(now, number, work);) {
        ASSERT_TRUE(lost.count(number) != 0) << number << " was not lost";
        ASSERT_TRUE(asked.emplace(number, now).second);
      }
    };
    std::map<std::uint64_t, Nanos> due;
    for (const auto& [now, number] : wire) {
      ask(now);
      gaps.OnNumber(number, now, work, {false, sent[number].header});
      for (const auto& [gone, at] : told)
        if (at == now && sent[gone].path == sent[number].path)
          due.emplace(gone, at + gaps.window(sent[gone].path));
    }
    for (Nanos now = Millis(40); now < Millis(60); now += Micros(20)) ask(now);
    EXPECT_EQ(asked.size(), lost.size());
    EXPECT_EQ(gaps.counts().spurious, 0u);
    for (const auto& [number, at] : asked) {
      const auto it = due.find(number);
      if (it == due.end()) continue;
      // It is asked for at the first arrival that is not before: one each 20 us or so.
      EXPECT_LT(at, it->second + Millis(1)) << number;
    }
    lost_in_all += lost.size();
    told_in_all += told.size();
  }
  EXPECT_GT(lost_in_all, 3000u);
  EXPECT_GT(told_in_all, lost_in_all * 9 / 10);
}

// A path that has died tells of nothing: what it lost is asked for once it would have come.
TEST(GapDetector, WhatADeadPathLostIsAskedForInTime) {
  GapDetectorConfig config;
  config.paths = 2;
  GapDetector gaps(config);
  gaps.SetRoundTrip(Millis(4), Millis(4), 0);
  gaps.SetRoundTrip(Millis(6), Micros(6500), 1);
  Paths paths;
  Work work;
  std::uint64_t number = 0;
  for (; number < 100; ++number)
    gaps.OnNumber(number, Micros(100) * static_cast<std::int64_t>(number), work,
                  {false, paths.Send(number % 2)});
  // The second path is silent from now on.
  std::map<std::uint64_t, Nanos> asked;
  for (; number < 400; ++number) {
    const Nanos now = Micros(100) * static_cast<std::int64_t>(number);
    const wire::PathHeader header = paths.Send(number % 2);
    if (number % 2 == 0) gaps.OnNumber(number, now, work, {false, header});
    for (const std::uint64_t each : Asked(gaps, now)) asked.emplace(each, now);
  }
  ASSERT_GT(asked.size(), 100u);
  for (const auto& [each, at] : asked) {
    EXPECT_EQ(each % 2, 1u);
    // 2.5 ms that the second path takes longer, and its window of 1.5 ms, from the first later number on.
    const Nanos found = Micros(100) * static_cast<std::int64_t>(each + 1);
    EXPECT_GE(at, found + Millis(4));
    if (asked.begin()->first + 20 > each) {
      EXPECT_LE(at, found + Millis(4) + Micros(100));
    }
  }
}

TEST(GapDetector, ThreeLaterNumbersAskWhateverTheTime) {
  GapDetectorConfig config;
  config.rule = GapRule::kThree;
  GapDetector gaps(config);
  Arrive(gaps, 0, Nanos());
  Arrive(gaps, 2, Micros(10));
  Arrive(gaps, 3, Micros(20));
  EXPECT_EQ(Asked(gaps, Seconds(1)), Numbers());
  Arrive(gaps, 4, Seconds(1));
  EXPECT_EQ(Asked(gaps, Seconds(1) + Micros(2)), Numbers{1});
}

TEST(GapDetector, RackWaitsForAQuarterOfTheRoundTripAndLearnsToWaitLonger) {
  GapDetector gaps(GapDetectorConfig{});
  gaps.SetRoundTrip(Millis(8), Millis(10));
  EXPECT_EQ(gaps.window(), Millis(2));
  Arrive(gaps, 0, Millis(1));
  Arrive(gaps, 2, Millis(1));
  EXPECT_EQ(Asked(gaps, Millis(3) - Micros(1)), Numbers());
  EXPECT_EQ(Asked(gaps, Millis(3)), Numbers{1});
  Arrive(gaps, 1, Millis(4));
  EXPECT_EQ(gaps.counts().spurious, 1u);
  EXPECT_EQ(gaps.window(), Millis(4));
  for (std::uint64_t number = 4; number < 40; number += 2) {
    const Nanos now = Millis(20 * static_cast<std::int64_t>(number));
    Arrive(gaps, number, now);
    Asked(gaps, now + Millis(11));
    Arrive(gaps, number - 1, now + Millis(11));
  }
  EXPECT_EQ(gaps.window(), Millis(10)) << "a smoothed round trip at most";
  Arrive(gaps, 41, Seconds(10));
  EXPECT_EQ(gaps.window(), Millis(2)) << "16 round trips without: as at first";
}

TEST(GapDetector, AsksAgainAndThenNoMore) {
  GapDetectorConfig config;
  config.asks = 3;
  GapDetector gaps(config);
  gaps.SetRoundTrip(Millis(4), Millis(4));
  Arrive(gaps, 0, Nanos());
  Arrive(gaps, 2, Nanos());
  std::vector<std::int64_t> at;
  for (std::int64_t ms = 0; ms < 200; ++ms)
    for (std::size_t i = Asked(gaps, Millis(ms)).size(); i > 0; --i) at.push_back(ms);
  EXPECT_EQ(at, (std::vector<std::int64_t>{1, 6, 16}));
  Arrive(gaps, 4, Millis(300));
  Asked(gaps, Millis(301));
  gaps.OnSentAgain(3, Millis(302));
  EXPECT_EQ(Asked(gaps, Millis(900)), Numbers()) << "it came under another number";
}

TEST(GapDetector, FindsWhatIsMissingAtTheEnd) {
  GapDetector gaps(GapDetectorConfig{});
  gaps.SetRoundTrip(Millis(4), Millis(4));
  Arrive(gaps, 0, Nanos());
  gaps.Expect(3, Nanos());
  EXPECT_EQ(Asked(gaps, Millis(2)), Numbers());
  EXPECT_EQ(Asked(gaps, Millis(4)), (Numbers{1, 2, 3}));
  EXPECT_EQ(Asked(gaps, Millis(5)), Numbers());
}

TEST(GapDetector, AJumpCostsNoMoreThanItsMemory) {
  GapDetectorConfig config;
  config.gaps = 16;
  GapDetector gaps(config);
  Arrive(gaps, 0, Nanos());
  Work work;
  gaps.OnNumber(~std::uint64_t{0} - 1, Nanos(), work);
  EXPECT_EQ(work[WorkItem::kUpdate], 16u);
  EXPECT_EQ(Asked(gaps, Seconds(1)).size(), 16u);
  EXPECT_EQ(gaps.counts().unwatched, ~std::uint64_t{0} - 2 - 16);
}

// ---- the predictor

// Lateness is exponential with mean mu, a share q of what is missing is lost: the best time to ask is
// mu ln((1 - q) / q * theta / (1 - theta)).
TEST(LossPredictor, AsksWhenBayesWould) {
  for (const double q : {0.1, 0.3, 0.6}) {
    const std::uint64_t seed = 3;
    SCOPED_TRACE(q);
    Rng rng(seed, "loss_predictor_test");
    LossPredictorConfig config;
    config.certainty = 52'429;  // 0.8
    LossPredictor predictor(config);
    const std::uint8_t context = predictor.ContextOf({1, 100});
    const double mu = 200'000;  // ns
    for (int i = 0; i < 30'000; ++i) {
      if (rng.Real() < q) {
        predictor.OnLost(context, false);
      } else {
        predictor.OnLate(context, Nanos(static_cast<std::int64_t>(rng.Exponential(mu))), false, false);
      }
    }
    EXPECT_NEAR(predictor.LossShare(context) / 65'536.0, q, 0.04);
    bool took_token = false;
    Work work;
    const double wait = static_cast<double>(predictor.Wait(context, Seconds(1), took_token, work).count());
    const double theta = config.certainty / 65'536.0;
    const double best = mu * Ln((1 - q) / q * theta / (1 - theta));
    EXPECT_TRUE(took_token);
    // The bins are a quarter of an octave wide, and the shares are counted.
    EXPECT_GT(wait, best * 0.9);
    EXPECT_LT(wait, best * 1.25 * 1.1);
    EXPECT_LE(work[WorkItem::kTableStep], LossPredictor::kBins);
    EXPECT_EQ(predictor.Wait(context, Micros(1), took_token, work), Micros(1)) << "never later than asked";
    EXPECT_FALSE(took_token);
  }
}

TEST(LossPredictor, NothingKnownIsNoReasonToAsk) {
  LossPredictor predictor(LossPredictorConfig{});
  bool took_token = true;
  Work work;
  EXPECT_EQ(predictor.Wait(0, Millis(3), took_token, work), Millis(3));
  EXPECT_FALSE(took_token);
}

// An adversary teaches it that everything is lost, and then delivers all of it late.
TEST(LossPredictor, RequestsInVainStayWithinTheBudgetWhateverItIsTaught) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "poison");
    LossPredictorConfig config;
    config.spurious_burst = 1 + rng.Below(20);
    LossPredictor predictor(config);
    std::uint64_t right = 0;
    std::vector<std::uint8_t> under_way;
    Work work;
    for (int step = 0; step < 5000; ++step) {
      const auto context = static_cast<std::uint8_t>(rng.Below(LossPredictor::kContexts));
      bool took_token = false;
      if (rng.Below(3) != 0) {
        const Nanos wait = predictor.Wait(context, Millis(50), took_token, work);
        ASSERT_LE(wait, Millis(50));
        ASSERT_EQ(took_token, wait < Millis(50));
        if (took_token) under_way.push_back(context);
      } else {
        predictor.OnLost(context, false);
      }
      if (!under_way.empty() && rng.Below(2) == 0) {
        const std::uint8_t one = under_way.back();
        under_way.pop_back();
        const bool is_lost = rng.Below(100) < (step % 1000 < 500 ? 95u : 0u);
        if (is_lost) {
          predictor.OnLost(one, true);
          ++right;
        } else {
          predictor.OnLate(one, Millis(100), true, true);
        }
      }
      ASSERT_LE(static_cast<double>(predictor.in_vain()),
                config.spurious_burst + 0.0201 * static_cast<double>(right));
    }
    EXPECT_GE(predictor.in_vain(), config.spurious_burst);
  }
}

// ---- what was sent

class Released final : public PacketSink {
 public:
  void OnReleased(FragmentHandle packet) override { packets.push_back(packet); }
  std::vector<FragmentHandle> packets;
};

PacketCut CutOf(std::uint64_t base, std::uint8_t total) {
  PacketCut cut;
  cut.base = base;
  cut.length = static_cast<std::uint16_t>(100 * total);
  cut.total = total;
  return cut;
}

// Random sendings, acknowledgements and requests, against maps.
TEST(RetransmissionBuffer, AgreesWithMaps) {
  std::array<std::uint64_t, kAskVerdicts> verdicts{};
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, "retransmission_test");
    RetransmissionConfig config;
    config.numbers = 256;
    config.packets = 32;
    config.keep = Millis(40);
    config.resend_burst = 500 + rng.Below(3) * 1000;
    config.resend_share = rng.Below(2) * 16'384;
    config.resends = 1 + rng.Below(2);
    RetransmissionBuffer buffer(config);
    struct Known {
      std::uint64_t packet;
      std::size_t index;
      Nanos at;
      bool again = false, received = false;
    };
    struct Packet {
      PacketCut cut;
      Nanos since;
      unsigned resends = 0;
      std::set<std::size_t> received;
      bool is_held = true;
    };
    std::map<std::uint64_t, Known> numbers;
    std::map<std::uint64_t, Packet> packets;
    Released released;
    Work work;
    std::uint64_t next = 0, first_bytes = 0, again_bytes = 0;
    Nanos now;
    const auto take_released = [&] {
      for (const FragmentHandle handle : released.packets) {
        ASSERT_TRUE(packets.at(handle).is_held);
        packets.at(handle).is_held = false;
      }
      released.packets.clear();
    };
    for (int step = 0; step < 2500; ++step) {
      now += Micros(rng.Below(1000));
      if (rng.Below(8) == 0) {
        buffer.Expire(now, released);
        take_released();
        for (const auto& [packet, known] : packets)
          ASSERT_FALSE(known.is_held && now - known.since >= config.keep) << packet;
      }
      const std::uint32_t what = rng.Below(4);
      if (what == 0) {
        const auto total = static_cast<std::uint8_t>(1 + rng.Below(4));
        const PacketCut cut = CutOf(next, total);
        const std::uint64_t packet =
            buffer.Hold(cut, static_cast<FragmentHandle>(packets.size()), now, released, work);
        ASSERT_EQ(packet, packets.size());
        packets[packet] = {cut, now, 0, {}, true};
        for (std::size_t i = 0; i < total; ++i) {
          buffer.OnSent(next, SentKind::kFragment, packet, i, 100, now, work);
          numbers[next++] = {packet, i, now};
          first_bytes += 100;
        }
        take_released();
        continue;
      }
      if (next == 0) continue;
      const std::uint64_t number = next - 1 - std::min<std::uint64_t>(next - 1, rng.Below(300));
      Known& known = numbers[number];
      Packet& packet = packets[known.packet];
      const bool is_remembered = next - number <= config.numbers;
      if (what == 1) {
        ASSERT_EQ(buffer.OnReceived(number, released, work), is_remembered && !known.received);
        if (is_remembered) {
          known.received = true;
          if (packet.is_held) packet.received.insert(known.index);
          if (packet.received.size() == packet.cut.total) {
            ASSERT_TRUE(!packet.is_held || released.packets.size() == 1);
          }
        }
        take_released();
        continue;
      }
      RetransmissionBuffer::Resend resend;
      const AskVerdict verdict = buffer.Ask(number, Millis(2), now, resend, work);
      ++verdicts[static_cast<std::size_t>(verdict)];
      AskVerdict expected = AskVerdict::kResend;
      if (!is_remembered) {
        expected = AskVerdict::kUnknown;
      } else if (known.received) {
        expected = AskVerdict::kReceived;
      } else if (!packet.is_held) {
        expected = AskVerdict::kReleased;
      } else if (packet.received.count(known.index) != 0) {
        expected = AskVerdict::kReceived;
      } else if (known.again && now - known.at < Millis(2)) {
        expected = AskVerdict::kRepeated;
      } else if (packet.resends >= config.resends * packet.cut.total) {
        expected = AskVerdict::kTooOften;
      }
      if (verdict == AskVerdict::kOverBudget) {
        ASSERT_EQ(Name(expected), Name(AskVerdict::kResend));
        continue;
      }
      ASSERT_EQ(Name(verdict), Name(expected));
      if (verdict != AskVerdict::kResend) continue;
      ASSERT_EQ(resend.handle, known.packet);
      ASSERT_EQ(resend.index, known.index);
      known.again = true;
      known.at = now;
      ++packet.resends;
      buffer.OnSent(next, SentKind::kFragment, resend.packet, resend.index, 100, now, work);
      numbers[next++] = {known.packet, known.index, now};
      again_bytes += 100;
      ASSERT_LE(again_bytes, config.resend_burst + first_bytes * config.resend_share / 65'536);
    }
    EXPECT_EQ(buffer.resent_bytes(), again_bytes);
    EXPECT_EQ(buffer.sent_bytes(), first_bytes);
    std::size_t held = 0;
    for (const auto& [packet, known] : packets) held += known.is_held ? 1 : 0;
    EXPECT_EQ(buffer.held(), held);
    buffer.Clear(released);
    EXPECT_EQ(buffer.held(), 0u);
  }
  for (std::size_t i = 0; i < kAskVerdicts; ++i)
    EXPECT_GT(verdicts[i], 20u) << Name(static_cast<AskVerdict>(i));
}

TEST(RetransmissionBuffer, ProbesTheTailOnce) {
  RetransmissionBuffer buffer(RetransmissionConfig{});
  Released released;
  Work work;
  const auto packet = buffer.Hold(CutOf(0, 3), 7, Nanos(), released, work);
  for (std::size_t i = 0; i < 3; ++i) buffer.OnSent(i, SentKind::kFragment, packet, i, 100, Nanos(), work);
  RetransmissionBuffer::Resend resend;
  EXPECT_FALSE(buffer.TailProbe(Millis(2), Micros(1999), resend, work));
  ASSERT_TRUE(buffer.TailProbe(Millis(2), Millis(2), resend, work));
  EXPECT_EQ(resend.index, 2u);
  buffer.OnSent(3, SentKind::kFragment, packet, 2, 100, Millis(2), work);
  EXPECT_FALSE(buffer.TailProbe(Millis(2), Millis(3), resend, work)) << "the probe was sent just now";
  ASSERT_TRUE(buffer.TailProbe(Millis(2), Millis(4), resend, work)) << "and may be lost too";
  EXPECT_FALSE(buffer.TailProbe(Millis(2), Millis(9), resend, work)) << "for each number once";
  EXPECT_EQ(buffer.resent_bytes(), 100u);
}

// ---- both ends over a link

LinkResult Over(GapRule rule, double loss, std::uint64_t seed, bool has_repair = false) {
  LinkConfig config;
  config.rule = rule;
  config.loss = loss;
  config.has_repair = has_repair;
  config.seed = seed;
  return RunLink(config);
}

TEST(Recovery, AsksForWhatIsLostAndDeliversIt) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(seed);
  const LinkResult none = Over(GapRule::kNone, 0.05, seed);
  const LinkResult rack = Over(GapRule::kRack, 0.05, seed);
  ASSERT_EQ(none.packets, rack.packets);
  EXPECT_EQ(rack.wrong, 0u);
  EXPECT_LT(static_cast<double>(none.delivered), 0.9 * static_cast<double>(none.packets));
  EXPECT_GT(static_cast<double>(rack.delivered), 0.998 * static_cast<double>(rack.packets));
  EXPECT_LT(static_cast<double>(rack.resent_bytes), 0.10 * static_cast<double>(rack.sent_bytes));
  EXPECT_GE(rack.smoothed, Millis(2));
  EXPECT_LT(rack.smoothed, Millis(4));
}

TEST(Recovery, ACleanPathIsAskedForNothing) {
  for (const GapRule rule : {GapRule::kFixed, GapRule::kThree, GapRule::kRack, GapRule::kLearned}) {
    const LinkResult clean = Over(rule, 0, 5);
    EXPECT_EQ(clean.delivered, clean.packets);
    EXPECT_EQ(clean.requests, 0u);
    EXPECT_EQ(clean.resent_bytes, 0u);
  }
}

TEST(Recovery, ARepairSavesTheRoundTripOfOneLoss) {
  const std::uint64_t seed = 12;
  SCOPED_TRACE(seed);
  const LinkResult without = Over(GapRule::kNone, 0.05, seed);
  const LinkResult with = Over(GapRule::kNone, 0.05, seed, true);
  const auto lost = [](const LinkResult& result) {
    return static_cast<double>(result.packets - result.delivered) / static_cast<double>(result.packets);
  };
  // Of 4 and of 4 + 1: 1 - 0.95^4, and more than one of 5 or ... lost.
  EXPECT_NEAR(lost(without), 0.1855, 0.03);
  EXPECT_NEAR(lost(with), 0.0226, 0.012);
}

// Losses come in bursts, delays of 0.3 to 1 ms one by one: a run of missing numbers tells which it is. Where
// losses come one by one too, nothing tells, and nothing may be gained.
TEST(Recovery, LearnedAsksEarlierWhereThereIsSomethingToLearn) {
  for (const double burst : {5.0, 1.0}) {
    SCOPED_TRACE(burst);
    LinkConfig config;
    config.loss = 0.03;
    config.burst = burst;
    config.late = 0.02;
    config.packets = 6000;
    config.seed = 13;
    config.rule = GapRule::kRack;
    const LinkResult rack = RunLink(config);
    config.rule = GapRule::kLearned;
    const LinkResult learned = RunLink(config);
    std::printf(
        "learned, bursts of %.0f: %.1f %% sooner whole than by RACK; %llu of %llu early requests in vain\n",
        burst,
        100 - 100 * static_cast<double>(learned.mean_repaired.count()) /
                  static_cast<double>(rack.mean_repaired.count()),
        static_cast<unsigned long long>(learned.in_vain), static_cast<unsigned long long>(learned.early));
    EXPECT_EQ(learned.wrong, 0u);
    EXPECT_LE(static_cast<double>(learned.in_vain), 16 + 0.02 * static_cast<double>(learned.early));
    EXPECT_GE(learned.delivered + learned.packets / 100, rack.delivered);
    if (burst > 1) {
      EXPECT_GT(learned.early, 150u);
      EXPECT_LT(learned.mean_repaired.count(), rack.mean_repaired.count() * 97 / 100);
    } else {
      EXPECT_NEAR(static_cast<double>(learned.mean_repaired.count()),
                  static_cast<double>(rack.mean_repaired.count()),
                  0.05 * static_cast<double>(rack.mean_repaired.count()));
    }
  }
}

TEST(Feedback, IsNotBelievedWhereItCannotBeTrue) {
  RetransmissionBuffer buffer(RetransmissionConfig{});
  std::vector<KnownPath> paths(1, KnownPath(CongestionMonitorConfig{}, PathMtuConfig{}));
  Released released;
  Work work;
  struct Resends final : ResendSink {
    void OnResend(const RetransmissionBuffer::Resend&) override { ++count; }
    std::size_t count = 0;
  } resends;
  const auto packet = buffer.Hold(CutOf(0, 4), 7, Nanos(), released, work);
  for (std::size_t i = 0; i < 4; ++i) buffer.OnSent(i, SentKind::kFragment, packet, i, 100, Nanos(), work);
  Raw text(200);
  const auto write = [&](std::uint64_t highest, std::uint64_t word, wire::FragmentGap gap) {
    wire::ShardFeedback feedback;
    feedback.highest = highest;
    feedback.words = feedback.gaps = 1;
    std::uint8_t* at = wire::Encode(text.data(), text.data() + text.size(), feedback);
    at = wire::Encode(at, text.data() + text.size(), wire::ReceivedWord{word});
    at = wire::Encode(at, text.data() + text.size(), gap);
    return BytesView{text.data(), static_cast<std::size_t>(at - text.data())};
  };
  FeedbackReader reader;
  const auto read = [&](std::uint64_t number, BytesView bytes) {
    return reader.Read(number, bytes, 4, Millis(3), buffer, paths, released, resends, work);
  };
  EXPECT_FALSE(read(1, write(4, ~std::uint64_t{0}, {0, 1}))) << "4 was never sent";
  EXPECT_FALSE(read(1, {text.data(), 10}));
  EXPECT_TRUE(read(5, write(3, 1, {0, 60})));
  EXPECT_EQ(resends.count, 3u) << "what is there to be sent again, and once";
  EXPECT_EQ(paths[0].monitor.smoothed(), Millis(3));
  EXPECT_TRUE(read(6, write(3, 15, {0, 1})));
  EXPECT_EQ(released.packets.size(), 1u);
}

// Two paths, one 3 ms longer than the other, which loses each fourth number: what each end knows of either.
TEST(Feedback, TellsEachPathOfItself) {
  Sharder sharder(1, false, true);
  sharder.keys().Install(0, kTestCipher, TestKey(0).data());
  GapDetectorConfig config;
  config.paths = 2;
  GapDetector gaps(config);
  FeedbackWriter writer(FeedbackConfig{});
  RetransmissionBuffer buffer(RetransmissionConfig{});
  std::vector<KnownPath> paths(2, KnownPath(CongestionMonitorConfig{}, PathMtuConfig{}));
  FeedbackReader reader;
  Released released;
  Work work;
  struct Nothing final : ResendSink {
    void OnResend(const RetransmissionBuffer::Resend&) override {}
  } resends;
  struct Arriving {
    std::uint64_t number;
    SentBy by;
  };
  std::multimap<Nanos, Arriving> wire;
  std::uint64_t feedback_number = 0;
  Raw out(2000), text(1000);
  const auto run_until = [&](Nanos until) {
    for (; !wire.empty() && wire.begin()->first <= until; wire.erase(wire.begin())) {
      const auto& [now, arriving] = *wire.begin();
      gaps.OnNumber(arriving.number, now, work, arriving.by);
      writer.OnMessage(arriving.number, 118, 0, arriving.by.path.path == 1, false, now, arriving.by);
      const std::size_t bytes = writer.Write(gaps, now, {text.data(), text.size()}, work);
      // It comes back at once.
      if (bytes != 0) {
        ASSERT_TRUE(reader.Read(++feedback_number, {text.data(), bytes}, sharder.next_number(), now, buffer,
                                paths, released, resends, work));
      }
    }
  };
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const Nanos now = Micros(100) * static_cast<std::int64_t>(i);
    run_until(now);
    const unsigned path = i % 2 == 0 ? 0 : 1;
    const std::uint64_t number = sharder.next_number();
    const std::size_t bytes =
        sharder.SealMessage(wire::ShardType::kProbe, View(Raw(84)), {out.data(), out.size()}, work, path);
    ASSERT_EQ(bytes, 118u);
    buffer.OnSent(number, SentKind::kProbe, 0, 0, bytes, now, work, path);
    wire::ShardMessage message;
    ASSERT_EQ(wire::ReadShardMessage({out.data(), bytes}, message), wire::ShardFault::kNone);
    if (path == 1 && i % 8 == 1) continue;
    wire.emplace(now + (path == 0 ? Millis(2) : Millis(5)), Arriving{number, {false, message.path}});
  }
  run_until(Seconds(1));
  const CongestionReport first = paths[0].monitor.Report(Seconds(1)),
                         second = paths[1].monitor.Report(Seconds(1));
  EXPECT_NEAR(static_cast<double>(first.latency.count()), 2e6, 2e3);
  EXPECT_NEAR(static_cast<double>(second.latency.count()), 5e6, 2e3);
  EXPECT_EQ(first.loss, 0);
  EXPECT_NEAR(second.loss, 0.25, 0.05);
  EXPECT_EQ(first.marks, 0);
  EXPECT_GT(second.marks, 0.99);
  // 184 B on the wire each 200 us, of the second three in four.
  EXPECT_NEAR(static_cast<double>(first.bandwidth.count()), 7.36e6, 0.3e6);
  EXPECT_NEAR(static_cast<double>(second.bandwidth.count()), 5.52e6, 0.3e6);
  EXPECT_EQ(paths[0].lost, 0u);
  EXPECT_NEAR(static_cast<double>(paths[1].lost), 500, 40);
  // A row of a path that the sender does not have.
  paths.pop_back();
  wire::ShardFeedback feedback;
  feedback.paths = 1;
  std::uint8_t* at = wire::Encode(text.data(), text.data() + text.size(), feedback);
  at = wire::Encode(at, text.data() + text.size(), wire::PathCounts{1, 0, 0, 0, 0, 0});
  EXPECT_FALSE(reader.Read(1'000'000, {text.data(), static_cast<std::size_t>(at - text.data())}, 5000,
                           Seconds(1), buffer, paths, released, resends, work));
}

TEST(Feedback, SaysWhatCameAndWhatIsAskedFor) {
  FeedbackWriter writer(FeedbackConfig{});
  GapDetector gaps(GapDetectorConfig{});
  Work work;
  Raw out(1000);
  const MutableBytes room{out.data(), out.size()};
  EXPECT_EQ(writer.Write(gaps, Nanos(), room, work), 0u);
  for (const std::uint64_t number : {0u, 1u, 2u, 6u, 7u, 9u}) {
    gaps.OnNumber(number, Micros(10), work);
    writer.OnMessage(number, 100, 77, number == 7, false, Micros(10));
  }
  EXPECT_EQ(writer.Write(gaps, Micros(20), room, work), 0u);
  const std::size_t bytes = writer.Write(gaps, Millis(1), room, work);
  wire::FeedbackRows rows;
  ASSERT_TRUE(wire::ReadFeedback({out.data(), bytes}, rows));
  EXPECT_EQ(rows.feedback.highest, 9u);
  EXPECT_EQ(rows.feedback.received, 6u);
  EXPECT_EQ(rows.feedback.received_bytes, 600u);
  EXPECT_EQ(rows.feedback.marked, 1u);
  EXPECT_EQ(rows.feedback.held_us, 990u);
  EXPECT_EQ(rows.Word(0), 0b1110001101u);
  ASSERT_EQ(rows.feedback.gaps, 2);
  EXPECT_EQ(rows.Gap(0).first, 3u);
  EXPECT_EQ(rows.Gap(0).count, 3u);
  EXPECT_EQ(rows.Gap(1).first, 8u);
  EXPECT_EQ(writer.Write(gaps, Millis(1), room, work), 0u);
}

TEST(Recovery, ConfigurationsOutOfRangeAreRefused) {
  GapDetectorConfig gaps;
  gaps.numbers = 100;
  EXPECT_THROW(GapDetector{gaps}, Refusal);
  gaps = {};
  gaps.asks = 0;
  EXPECT_THROW(GapDetector{gaps}, Refusal);
  RetransmissionConfig buffer;
  buffer.packets = 3;
  EXPECT_THROW(RetransmissionBuffer{buffer}, Refusal);
  FeedbackConfig feedback;
  feedback.words = 17;
  EXPECT_THROW(FeedbackWriter{feedback}, Refusal);
}

}  // namespace
}  // namespace foreflow::shard
