// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_CROSS_TRAFFIC_H_
#define FOREFLOW_SCENARIOS_SHARD_CROSS_TRAFFIC_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "models/base/rng.h"
#include "ns3/foreflow-ethernet-device.h"
#include "ns3/foreflow-impaired-channel.h"
#include "ns3/simulator.h"
#include "scenarios/shard/shard_config.h"

namespace foreflow::scenarios {

// Others' frames on a cable, in the direction of one of its ends: bursts at twice the network's rate, of
// exponential length, with exponential silences between them.
class CrossTraffic {
 public:
  static constexpr std::array<std::uint8_t, 6> kOthers = {2, 0, 0,
                                                          0, 0, 0xff};  // who sends and receives them

  // `index` tells several apart.
  CrossTraffic(const ShardConfig& config, ns3::Ptr<ns3::foreflow::ImpairedChannel> cable,
               ns3::Ptr<ns3::foreflow::EthernetDevice> from, std::uint32_t index)
      : cable_(cable),
        from_(from),
        rng_(config.run.seed, "cross_traffic", index),
        busy_(static_cast<double>(config.network.cross_burst.count())),
        idle_(busy_ * (2 / std::max(config.network.cross_load, 1e-9) - 1)),
        gap_(static_cast<std::int64_t>(static_cast<double>((kFrameBytes + kFrameFraming) * 8) * 1e9 /
                                       (2 * static_cast<double>(config.run.link.rate.count())))) {
    if (config.network.cross_load == 0) return;
    std::array<std::uint8_t, kFrameBytes> frame{};
    std::copy(kOthers.begin(), kOthers.end(), frame.begin());
    std::copy(kOthers.begin(), kOthers.end(), frame.begin() + kOthers.size());
    frame[12] = 0x88, frame[13] = 0xb5;  // for experiments (IEEE 802)
    frame_ = ns3::Create<ns3::Packet>(frame.data(), kFrameBytes);
    Schedule(Nanos(static_cast<std::int64_t>(rng_.Exponential(idle_))));
  }

  // Whether a frame is one of these.
  static bool IsOf(const ns3::Packet& frame) {
    std::array<std::uint8_t, 2 * kOthers.size()> addresses;
    return frame.CopyData(addresses.data(), addresses.size()) == addresses.size() &&
           std::equal(kOthers.begin(), kOthers.end(), addresses.begin() + kOthers.size());
  }

 private:
  static constexpr std::uint32_t kFrameBytes = 1442;

  void Schedule(Nanos after) {
    ns3::Simulator::Schedule(ns3::NanoSeconds(static_cast<std::uint64_t>(after.count())), &CrossTraffic::Step,
                             this);
  }
  void Step() {
    if (left_ <= Nanos()) left_ = Nanos(static_cast<std::int64_t>(rng_.Exponential(busy_))) + Nanos(1);
    cable_->Transmit(frame_, ns3::PeekPointer(from_), ns3::Time(0));
    left_ -= gap_;
    Schedule(left_ > Nanos() ? gap_ : gap_ + Nanos(static_cast<std::int64_t>(rng_.Exponential(idle_))));
  }

  ns3::Ptr<ns3::foreflow::ImpairedChannel> cable_;
  ns3::Ptr<ns3::foreflow::EthernetDevice> from_;
  ns3::Ptr<ns3::Packet> frame_;
  Rng rng_;
  double busy_, idle_;  // ns, mean
  Nanos gap_;
  Nanos left_;  // of this burst
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_CROSS_TRAFFIC_H_
