// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SHARD_LATENESS_RECORD_H_
#define FOREFLOW_SCENARIOS_SHARD_LATENESS_RECORD_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/shard/channel_model.h"

namespace foreflow::scenarios {

// What became of the numbers that went one way by one path, from which the law of its channel is read off.
class LatenessRecord {
 public:
  // In rising order of numbers.
  void Sent(std::uint64_t number, bool is_lost) {
    numbers_.push_back(number);
    is_lost_.push_back(is_lost);
  }
  void Arrived(std::uint64_t number, Nanos now) {
    const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), number);
    if (found == numbers_.end() || *found != number) return;
    const auto at = static_cast<std::size_t>(found - numbers_.begin());
    if (at >= found_.size()) {
      found_.resize(at + 1, now);  // those in between are missing from now on
    } else {
      late_.push_back(now - found_[at]);
    }
  }

  // How late numbers came, of all paths of a way together, in at most kPoints points.
  static std::vector<shard::LatenessPoint> Lateness(const std::vector<LatenessRecord>& paths) {
    std::vector<Nanos> late;
    double came = 0;
    for (const LatenessRecord& path : paths) {
      late.insert(late.end(), path.late_.begin(), path.late_.end());
      came += static_cast<double>(std::count(path.is_lost_.begin(), path.is_lost_.end(), false));
    }
    std::sort(late.begin(), late.end());
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
  static shard::ChannelModel Gilbert(const std::vector<LatenessRecord>& paths) {
    std::uint64_t sent = 0, lost = 0, runs = 0;
    for (const LatenessRecord& path : paths) {
      const std::vector<bool>& is_lost = path.is_lost_;
      sent += is_lost.size();
      for (std::size_t i = 0; i < is_lost.size(); ++i) {
        lost += is_lost[i] ? 1 : 0;
        runs += is_lost[i] && (i == 0 || !is_lost[i - 1]) ? 1 : 0;
      }
    }
    shard::ChannelModel model;
    model.loss_bad = 1;
    if (runs == 0) return model;
    model.to_good = static_cast<double>(runs) / static_cast<double>(lost);
    model.to_bad = std::min(
        1.0, static_cast<double>(runs) / static_cast<double>(std::max<std::uint64_t>(sent - lost, 1)));
    return model;
  }

 private:
  static constexpr std::size_t kPoints = 64;

  std::vector<std::uint64_t> numbers_;
  std::vector<bool> is_lost_;
  std::vector<Nanos> found_;  // when it or a later one came first
  std::vector<Nanos> late_;
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SHARD_LATENESS_RECORD_H_
