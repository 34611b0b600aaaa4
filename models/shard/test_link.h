// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_TEST_LINK_H_
#define FOREFLOW_MODELS_SHARD_TEST_LINK_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/shard/test_units.h"

namespace foreflow::shard {

struct LinkConfig {
  GapRule rule = GapRule::kRack;
  double loss = 0;   // of fragments
  double burst = 1;  // mean of fragments lost side by side
  double late = 0;   // of fragments: 0.3 to 1 ms more
  Nanos one_way = Millis(1);
  std::size_t packets = 2000;  // of 1400 B in four fragments, one each 200 us
  bool has_repair = false;     // 300 us after the others
  std::uint64_t seed = 1;
};

struct LinkResult {
  std::uint64_t packets = 0, delivered = 0, wrong = 0;
  std::uint64_t requests = 0, spurious = 0, early = 0, in_vain = 0;
  std::uint64_t sent_bytes = 0, resent_bytes = 0;
  Nanos smoothed;
  Nanos p99;            // from sending to being whole, of what was delivered
  Nanos mean_repaired;  // of those packets some of which was lost
};

// Two units over a link: packets one way, feedback the other.
inline LinkResult RunLink(const LinkConfig& config) {
  UnitConfig unit;
  unit.most_packet_bytes = 1400;
  unit.gaps.rule = config.rule;
  unit.has_tail_probe = config.rule != GapRule::kNone;
  unit.preference = Preference::kRobustness;
  unit.repair = config.has_repair ? RepairRule::kPreferred : RepairRule::kNever;
  unit.reassembler.longest = unit.reassembler.shortest = Millis(50);
  unit.tick = Micros(10);
  Rng rng(config.seed, "test_link");
  bool is_bad = false;
  std::set<std::uint64_t> lossy;  // packets, by their bases, some of which was lost
  const auto network = [&](const TestUnits::Datagram& datagram, TestUnits::Arrivals& arrivals) {
    if (datagram.from == 1) {
      if (rng.Real() >= config.loss) arrivals.emplace_back(datagram.sent + config.one_way, datagram);
      return;
    }
    // Gilbert: from bad to good by 1 / burst, the share of bad is `loss`.
    const double to_good = 1 / config.burst;
    const double to_bad = config.loss / (1 - config.loss) * to_good;
    is_bad = config.burst > 1 ? rng.Real() < (is_bad ? 1 - to_good : to_bad) : rng.Real() < config.loss;
    const bool is_late = rng.Real() < config.late;
    const Nanos more = Micros(300 + rng.Below(700));
    if (!is_bad) {
      arrivals.emplace_back(datagram.sent + config.one_way + (is_late ? more : Nanos()), datagram);
      return;
    }
    wire::ShardMessage message;
    EXPECT_EQ(wire::ReadShardMessage(View(datagram.bytes), message), wire::ShardFault::kNone);
    if (datagram.type == wire::ShardType::kData) lossy.insert(message.base());
  };
  TestUnits pair(unit, network);
  pair.Begin();
  // Long enough for a round trip to be known.
  pair.RunUntil(Millis(100));
  std::map<Raw, Nanos> sent;
  std::vector<Nanos> times, repaired;
  LinkResult result;
  for (; result.packets < config.packets; ++result.packets) {
    const Raw packet = RandomPacket(rng, 1400);
    sent.emplace(packet, pair.now);
    EXPECT_EQ(pair.Send(0, packet), UnitVerdict::kSent);
    pair.RunUntil(pair.now + Micros(200));
  }
  pair.RunUntil(pair.now + Millis(400));
  for (const TestUnits::Packet& packet : pair.delivered[1]) {
    const auto it = sent.find(packet.bytes);
    if (it == sent.end()) {
      ++result.wrong;
      continue;
    }
    times.push_back(packet.at - it->second);
    if (lossy.count(packet.base) != 0) repaired.push_back(packet.at - it->second);
    sent.erase(it);
  }
  const GapDetector& gaps = pair.units[1].gaps(0);
  result.delivered = times.size();
  result.requests = gaps.counts().requests;
  result.spurious = gaps.counts().spurious;
  result.early = gaps.predictor().early();
  result.in_vain = gaps.predictor().in_vain();
  result.sent_bytes = pair.units[0].retransmission(0).sent_bytes();
  result.resent_bytes = pair.units[0].retransmission(0).resent_bytes();
  result.smoothed = pair.units[0].Report(0, pair.now).latency;
  std::sort(times.begin(), times.end());
  if (!times.empty()) result.p99 = times[times.size() * 99 / 100];
  Nanos sum;
  for (const Nanos time : repaired) sum += time;
  if (!repaired.empty()) result.mean_repaired = sum / static_cast<std::int64_t>(repaired.size());
  return result;
}

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_TEST_LINK_H_
