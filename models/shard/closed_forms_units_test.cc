// SPDX-License-Identifier: BSD-3-Clause
// The closed forms again, of two whole units and a simulated network between them.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "models/base/rng.h"
#include "models/shard/size_math.h"
#include "models/shard/test_book_rows.h"
#include "models/shard/unit_pair.h"

namespace foreflow::shard {
namespace {

constexpr std::size_t kPacketBytes = 1400;

// Bytes on the wire of all fragments that the first unit sends.
class WireBytes final : public UnitPairTap {
 public:
  void OnDatagram(std::size_t from, const UnitDatagram& datagram, Nanos) override {
    if (from == 0 && datagram.type == wire::ShardType::kData)
      bytes += static_cast<double>(datagram.bytes.size + 66);
  }
  void OnFrame(std::size_t, BytesView, Nanos) override {}
  double bytes = 0;
};

// Packets in `total` fragments; nothing is asked for again.
UnitPairConfig Splitting(std::size_t total, const impair::PathConfig& path) {
  UnitPairConfig config;
  config.forth.paths = {path};
  config.back.paths = {impair::PathConfig()};
  config.back.paths[0].delay = config.forth.paths[0].delay = Millis(1);
  config.warm_up = Millis(1);
  UnitConfig& unit = config.unit;
  unit.preference = Preference::kRobustness;
  unit.robust_fragments = total;
  unit.repair = RepairRule::kNever;
  unit.size.least_bytes = 64;
  unit.mtu.base = unit.mtu.most;
  unit.monitor.is_probing = false;
  unit.gaps.rule = GapRule::kNone;
  unit.has_tail_probe = false;
  unit.retransmission.resends = 0;
  unit.held_packets = 64;
  unit.reassembler.held = 1024;
  return config;
}

// Sends packets, each long after the one before, and lets all come to rest.
void Exchange(UnitPair& pair, std::size_t packets) {
  const std::vector<std::uint8_t> packet(kPacketBytes, 0x5a);
  for (std::size_t i = 0; i < packets; ++i)
    pair.Input({packet.data(), packet.size()}, Millis(2) * static_cast<std::int64_t>(i));
  pair.Finish();
}

// The share of packets that came out: of independent runs where losses of one packet tell of the next one's.
Estimate WholeShare(UnitPairConfig config, bool is_bursty) {
  Estimate whole;
  const std::size_t runs = is_bursty ? 40 : 1, packets = is_bursty ? 120 : 4'000;
  for (std::size_t run = 0; run < runs; ++run) {
    config.seed = 100 + run;
    UnitPair pair(config);
    Exchange(pair, packets);
    double out = 0;
    for (const UnitPair::Frame& frame : pair.frames()) {
      EXPECT_NE(frame.fate, FrameFate::kRefused);
      const double is_out = frame.fate == FrameFate::kOut ? 1 : 0;
      out += is_out;
      if (!is_bursty) whole.Add(is_out);
    }
    if (is_bursty) whole.Add(out / static_cast<double>(packets));
  }
  return whole;
}

TEST(ClosedFormsOfUnits, EfficiencyUnderBitErrors) {
  BookRows rows("1, units");
  const double rate = 1e-5, hazard = -8 * std::log1p(-rate);
  for (const std::size_t total : {1u, 4u}) {
    impair::PathConfig path;
    path.bit_errors = rate;
    UnitPairConfig config = Splitting(total, path);
    config.unit.gaps.rule = GapRule::kRack;
    config.unit.gaps.asks = 15;
    config.unit.retransmission.resends = 15;
    config.unit.retransmission.resend_share = 65'536;
    Estimate wire;  // bytes a packet
    for (std::size_t run = 0; run < 40; ++run) {
      config.seed = 200 + run;
      WireBytes tap;
      UnitPair pair(config, &tap);
      Exchange(pair, 100);
      // The last packet has none after it that tells that it is missing.
      const auto& frames = pair.frames();
      for (std::size_t i = 0; i + 1 < frames.size(); ++i) EXPECT_EQ(frames[i].fate, FrameFate::kOut);
      wire.Add(tap.bytes / static_cast<double>(frames.size()));
    }
    const double text = static_cast<double>(kPacketBytes) / static_cast<double>(total);
    const double theory = WireEfficiency(text, kOverhead, hazard);
    EXPECT_WITHIN(wire, kPacketBytes / theory) << total;
    rows.Add(Text("efficiency, bit errors %.0e, %zu of 1400 B, h = %.0f", rate, total, kOverhead), "", theory,
             Text("%.4g .. %.4g", kPacketBytes / (wire.mean() + wire.half()),
                  kPacketBytes / (wire.mean() - wire.half())));
  }
}

TEST(ClosedFormsOfUnits, PacketsThatArriveWholeAtOnce) {
  BookRows rows("2, units");
  for (const std::size_t total : {1u, 4u, 8u}) {
    const double n = static_cast<double>(total);
    impair::PathConfig errors, drops;
    errors.bit_errors = 2e-5;
    drops.loss = 0.01;
    const Estimate of_errors = WholeShare(Splitting(total, errors), false);
    const Estimate of_drops = WholeShare(Splitting(total, drops), false);
    const double bits = std::pow(1 - 2e-5, 8 * (kPacketBytes + n * kOverhead));
    EXPECT_WITHIN(of_errors, bits) << total;
    EXPECT_WITHIN(of_drops, std::pow(0.99, n)) << total;
    rows.Add(Text("whole at once, bit errors 2e-05, %zu of 1400 B", total), "", bits, Interval(of_errors));
    rows.Add(Text("whole at once, drops of 1 %%, %zu", total),
             total == 1   ? "0.990"
             : total == 4 ? "0.961"
                          : "0.923",
             std::pow(0.99, n), Interval(of_drops));
  }
}

TEST(ClosedFormsOfUnits, BurstsAndRepairs) {
  BookRows rows("5, units");
  impair::PathConfig path;
  path.burst.to_bad = 0.01;
  path.burst.to_good = 0.3;
  const Estimate eight = WholeShare(Splitting(8, path), true);
  const double all = 0.3 / 0.31 * std::pow(0.99, 7);
  EXPECT_WITHIN(eight, all);
  rows.Add("all of 8 arrive, in bursts", "0.902", all, Interval(eight));
}

}  // namespace
}  // namespace foreflow::shard
