// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_LATENESS_RECORD_H_
#define FOREFLOW_SCENARIOS_SHARD_LATENESS_RECORD_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/shard/channel_model.h"

namespace foreflow::scenarios {

// What became of each number of one direction, from which the law of its channel is read off.
class LatenessRecord {
 public:
  // Numbers are sent in order, 0, 1, ...
  void Sent(bool is_lost) { is_lost_.push_back(is_lost); }
  void Arrived(std::uint64_t number, Nanos now) {
    if (number >= found_.size()) {
      found_.resize(number + 1, now);  // the numbers in between are missing from now on
    } else {
      late_.push_back(now - found_[number]);
    }
  }

  // How late numbers came, in at most kPoints points.
  std::vector<shard::LatenessPoint> Lateness() const {
    std::vector<Nanos> late = late_;
    std::sort(late.begin(), late.end());
    const auto came = static_cast<double>(std::count(is_lost_.begin(), is_lost_.end(), false));
    std::vector<shard::LatenessPoint> points;
    if (late.empty()) return points;
    const double share = std::min(1.0, static_cast<double>(late.size()) / came);
    points.push_back({Nanos(), share});
    for (std::size_t k = 1; k <= kPoints; ++k) {
      const Nanos after = late[late.size() * k / kPoints - (k == kPoints ? 1 : 0)];
      if (after <= points.back().after) continue;
      points.push_back({after, share * (1 - static_cast<double>(k) / kPoints)});
    }
    return points;
  }

  // Losses as of a Gilbert channel with the same share and mean length of runs.
  shard::ChannelModel Gilbert() const {
    std::uint64_t lost = 0, runs = 0;
    for (std::size_t i = 0; i < is_lost_.size(); ++i) {
      lost += is_lost_[i] ? 1 : 0;
      runs += is_lost_[i] && (i == 0 || !is_lost_[i - 1]) ? 1 : 0;
    }
    shard::ChannelModel model;
    model.loss_bad = 1;
    if (runs == 0) return model;
    model.to_good = static_cast<double>(runs) / static_cast<double>(lost);
    model.to_bad = std::min(1.0, static_cast<double>(runs) /
                                     static_cast<double>(std::max<std::uint64_t>(is_lost_.size() - lost, 1)));
    return model;
  }

 private:
  static constexpr std::size_t kPoints = 64;

  std::vector<bool> is_lost_;  // by number
  std::vector<Nanos> found_;   // by number: when it or a later one came first
  std::vector<Nanos> late_;
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_LATENESS_RECORD_H_
