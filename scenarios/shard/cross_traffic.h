// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_CROSS_TRAFFIC_H_
#define FOREFLOW_SCENARIOS_SHARD_CROSS_TRAFFIC_H_

#include <algorithm>
#include <cstdint>

#include "models/base/rng.h"
#include "models/impair/impairment.h"
#include "ns3/simulator.h"
#include "scenarios/shard/shard_config.h"

namespace foreflow::scenarios {

// Others' datagrams through the first path's queue of one direction: bursts at twice the link's rate, of
// exponential length, with exponential silences between them.
class CrossTraffic {
 public:
  CrossTraffic(const ShardConfig& config, std::size_t framing_bytes, impair::Impairment& way,
               std::uint32_t index)
      : way_(way),
        rng_(config.run.seed, "cross_traffic", index),
        busy_(static_cast<double>(config.network.cross_burst.count())),
        idle_(busy_ * (2 / std::max(config.network.cross_load, 1e-9) - 1)),
        gap_(static_cast<std::int64_t>(static_cast<double>((kBytes + framing_bytes) * 8) * 1e9 /
                                       (2 * static_cast<double>(config.run.link.rate.count())))) {
    if (config.network.cross_load > 0) Schedule(Nanos(static_cast<std::int64_t>(rng_.Exponential(idle_))));
  }

 private:
  static constexpr std::size_t kBytes = 1400;

  void Schedule(Nanos after) {
    ns3::Simulator::Schedule(ns3::NanoSeconds(static_cast<std::uint64_t>(after.count())), &CrossTraffic::Step,
                             this);
  }
  void Step() {
    const Nanos now(ns3::Simulator::Now().GetNanoSeconds());
    if (left_ <= Nanos()) left_ = Nanos(static_cast<std::int64_t>(rng_.Exponential(busy_))) + Nanos(1);
    way_.Pass(0, kBytes, now);
    left_ -= gap_;
    Schedule(left_ > Nanos() ? gap_ : gap_ + Nanos(static_cast<std::int64_t>(rng_.Exponential(idle_))));
  }

  impair::Impairment& way_;
  Rng rng_;
  double busy_, idle_;  // ns, mean
  Nanos gap_;
  Nanos left_;  // of this burst
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_CROSS_TRAFFIC_H_
