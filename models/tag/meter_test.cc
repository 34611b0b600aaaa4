// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/meter.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>

#include "models/base/refusal.h"
#include "models/rules/test_uniform.h"

namespace foreflow::tag {
namespace {

__extension__ using Wide = __int128;

MeterConfig Config(std::uint64_t cir, std::uint64_t cbs, std::uint64_t pir, std::uint64_t pbs) {
  return {BitsPerSecond(cir), Bytes(cbs), BitsPerSecond(pir), Bytes(pbs)};
}

// RFC 2698 section 3, word by word, in exact fractions of a byte: numerators over 8e9 (bits, and nanoseconds
// a second), wide enough that nothing needs care.
class ExactMeter {
 public:
  explicit ExactMeter(const MeterConfig& c)
      : config_(c), committed_(Of(c.committed_burst.count())), peak_(Of(c.peak_burst.count())) {}

  Colour Mark(std::int64_t now, std::uint32_t bytes) {
    if (started_) {
      const Wide nanos = Wide{now} - last_;
      committed_ =
          std::min(Of(config_.committed_burst.count()), committed_ + nanos * config_.committed_rate.count());
      peak_ = std::min(Of(config_.peak_burst.count()), peak_ + nanos * config_.peak_rate.count());
    }
    started_ = true;
    last_ = now;
    if (peak_ - Of(bytes) < 0) return Colour::kRed;
    peak_ -= Of(bytes);
    if (committed_ - Of(bytes) < 0) return Colour::kYellow;
    committed_ -= Of(bytes);
    return Colour::kGreen;
  }

  static Wide Of(std::uint64_t bytes) { return Wide{bytes} * 8'000'000'000; }

 private:
  MeterConfig config_;
  Wide committed_;
  Wide peak_;
  bool started_ = false;
  std::int64_t last_ = 0;
};

RC_GTEST_PROP(Meter, AgreesWithExactFractions, ()) {
  const auto pir = rules::Uniform<std::uint64_t>(1, 20'000'000'000u);
  const auto cir = rules::Uniform<std::uint64_t>(0, pir + 1);
  const auto cbs = rules::Uniform<std::uint64_t>(1, 9000);
  const auto pbs = rules::Uniform<std::uint64_t>(1, 9000);
  const MeterConfig config = Config(cir, cbs, pir, pbs);
  Meter meter(config);
  ExactMeter reference(config);
  // Gaps around the time in which the peak rate earns one packet, so that all colours appear.
  const std::uint64_t packet_nanos = 1500 * 8 * std::uint64_t{1'000'000'000} / pir + 2;
  std::int64_t now = rules::Uniform<std::int64_t>(-1'000'000, 1'000'000);
  for (int i = 0; i < 100; ++i) {
    now += static_cast<std::int64_t>(rules::Uniform<std::uint64_t>(0, 2 * packet_nanos));
    const auto bytes = rules::Uniform<std::uint32_t>(0, 1600);
    RC_ASSERT(meter.Mark(Nanos(now), bytes) == reference.Mark(now, bytes));
  }
}

TEST(Meter, DoesNotDriftOverMillionsOfOddGaps) {
  // Rates that are no multiple of 8e9 / n: remainders matter in every step.
  const MeterConfig config = Config(1'000'000'007, 3000, 3'000'000'019, 4500);
  Meter meter(config);
  std::int64_t now = 0;
  std::uint64_t green = 0;
  std::uint64_t passed = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    now += 97 + i % 7;
    const Colour colour = meter.Mark(Nanos(now), 101);  // about 8 Gbit/s offered
    if (colour == Colour::kGreen) green += 101;
    if (colour != Colour::kRed) passed += 101;
  }
  // A token bucket passes at most burst + rate * time. Overloaded all the time it keeps less than three
  // packets.
  const auto expect_close = [&](std::uint64_t bytes, std::uint64_t rate, std::uint64_t burst) {
    const Wide most = Wide{rate} * (now - 97) + ExactMeter::Of(burst);
    EXPECT_TRUE(ExactMeter::Of(bytes) <= most);
    EXPECT_TRUE(ExactMeter::Of(bytes) >= most - ExactMeter::Of(3 * 101));
  };
  expect_close(green, 1'000'000'007, 3000);
  expect_close(passed, 3'000'000'019, 4500);
}

TEST(Meter, ColoursByHand) {
  // 8 Mbit/s is 1 B a microsecond, 16 Mbit/s is 2.
  Meter meter(Config(8'000'000, 1000, 16'000'000, 2000));
  EXPECT_EQ(meter.Mark(Micros(0), 1000), Colour::kGreen);   // committed 0, peak 1000
  EXPECT_EQ(meter.Mark(Micros(0), 1000), Colour::kYellow);  // peak 0
  EXPECT_EQ(meter.Mark(Micros(0), 1), Colour::kRed);
  EXPECT_EQ(meter.Mark(Micros(100), 200), Colour::kYellow);  // peak had 200, committed 100
  EXPECT_EQ(meter.Mark(Micros(150), 100), Colour::kGreen);   // peak had 100, committed 150
  EXPECT_EQ(meter.Mark(Micros(150), 1), Colour::kRed);
  EXPECT_EQ(meter.Mark(Seconds(10), 1000), Colour::kGreen);  // full again, not fuller
  EXPECT_EQ(meter.Mark(Seconds(10), 1001), Colour::kRed);
}

TEST(Meter, TokensArriveAtTheExactNanosecond) {
  // 3 bit/s: one byte takes 8/3 s = 2.666666666... s.
  Meter meter(Config(3, 1, 3, 1));
  EXPECT_EQ(meter.Mark(Nanos(0), 1), Colour::kGreen);
  EXPECT_EQ(meter.Mark(Nanos(2'666'666'666), 1), Colour::kRed);
  EXPECT_EQ(meter.Mark(Nanos(2'666'666'667), 1), Colour::kGreen);
}

TEST(Meter, ExtremesDoNotOverflow) {
  constexpr auto kFar = std::numeric_limits<std::int64_t>::max();
  Meter meter(Config(UINT64_MAX, 1u << 30, UINT64_MAX, 1u << 30));
  EXPECT_EQ(meter.Mark(Nanos(std::numeric_limits<std::int64_t>::min()), 1u << 30), Colour::kGreen);
  EXPECT_EQ(meter.Mark(Nanos(kFar), 1u << 30), Colour::kGreen);
  EXPECT_EQ(meter.Mark(Nanos(kFar), 1), Colour::kRed);
  EXPECT_EQ(meter.Mark(Nanos(kFar), UINT32_MAX), Colour::kRed);
  EXPECT_EQ(meter.Mark(Nanos(0), 1), Colour::kRed);  // backwards earns nothing
}

TEST(Meter, RefusesImpossibleConfigurations) {
  EXPECT_THROW(Meter(Config(2, 1, 1, 1)), Refusal);
  EXPECT_THROW(Meter(Config(1, 0, 1, 1)), Refusal);
  EXPECT_THROW(Meter(Config(1, 1, 1, 0)), Refusal);
  EXPECT_THROW(Meter(Config(0, 1, 0, 1)), Refusal);
  EXPECT_THROW(Meter(Config(1, (1u << 30) + 1, 1, 1)), Refusal);
  EXPECT_NO_THROW(Meter(Config(0, 1, 1, 1)));
}

}  // namespace
}  // namespace foreflow::tag
