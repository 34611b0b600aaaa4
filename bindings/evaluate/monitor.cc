// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/monitor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace foreflow::evaluate {
namespace {

constexpr double kBits = 4096;    // of predict::ClassScore, a bit
constexpr double kUnits = 65536;  // of IntervalScore, a unit of the target

std::int32_t Score(float probability) {
  const double scaled = std::clamp(static_cast<double>(probability), 0.0, 1.0) * 65535 + 0.5;
  return predict::ClassScore(static_cast<std::uint16_t>(scaled));
}

std::int32_t Fixed(float value) {
  constexpr double kMost = 1 << 29;
  return static_cast<std::int32_t>(std::clamp(static_cast<double>(value) * kUnits, -kMost, kMost));
}

}  // namespace

Monitor::Monitor(const Dataset& data, std::size_t target)
    : data_(data), target_(data.targets[target]), source_(data.sources.size()) {}

void Monitor::Learn(std::size_t row) {
  Source& source = source_[data_.source[row]];
  while (!source.pending.empty() && source.pending.top().resolved_ns < data_.time_ns[row]) {
    const Pending& known = source.pending.top();
    source.conformal.Learn(known.score, known.covered);
    const double loss = static_cast<double>(known.loss);
    if (source.page_hinkley.Update(loss)) alarms_.push_back({0, row});
    if (source.adwin.Update(loss) == predict::Shift::kUp) alarms_.push_back({1, row});
    source.pending.pop();
  }
}

Monitor::Row Monitor::Step(std::size_t row, const std::vector<float>& said) {
  Learn(row);
  if (!target_.IsKnown(row) || std::isnan(said[0])) return {};
  Source& source = source_[data_.source[row]];
  Row result;
  Pending pending{target_.resolved_ns[row], row, 0, 0, false};
  const std::int32_t threshold = source.conformal.Threshold();
  if (target_.classes.empty()) {
    const std::int32_t low = Fixed(said.front()), high = Fixed(said.back());
    pending.score = predict::IntervalScore(low, high, Fixed(target_.value[row]));
    pending.loss =
        std::min(std::fabs(target_.value[row] - said[said.size() / 2]), static_cast<float>(kGreatestLoss));
    result.size =
        threshold == INT32_MAX
            ? std::numeric_limits<float>::infinity()
            : static_cast<float>(std::max(0.0, (static_cast<double>(high) - low + 2.0 * threshold) / kUnits));
  } else {
    for (const float each : said) result.size += source.conformal.Covers(Score(each)) ? 1.0f : 0.0f;
    pending.score = Score(said[static_cast<std::size_t>(target_.label[row])]);
    pending.loss = static_cast<float>(pending.score / kBits);
  }
  pending.covered = source.conformal.Covers(pending.score);
  result.covered = pending.covered ? 1 : 0;
  if (pending.resolved_ns >= 0) source.pending.push(pending);
  return result;
}

}  // namespace foreflow::evaluate
