// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/congestion_monitor.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {
namespace {

constexpr double kFade = 1.0 / 64;  // of shares: the last hundred messages or so

constexpr double kMostBits = 1e18;  // a second: what a peer may say of its counts is not bounded

void CheckTime(const char* key, Nanos value, Nanos least) {
  if (value < least)
    throw Refusal("congestion monitor", key, std::to_string(value.count()) + " ns",
                  std::to_string(least.count()) + " ns or more");
}

void CheckShare(const char* key, double value) {
  if (!(value > 0 && value <= 1))
    throw Refusal("congestion monitor", key, std::to_string(value), "more than 0, at most 1");
}

}  // namespace

CongestionMonitor::CongestionMonitor(const CongestionMonitorConfig& config) : config_(config) {
  CheckTime("rate_interval", config.rate_interval, Micros(1));
  CheckTime("rate_memory", config.rate_memory, Micros(1));
  CheckTime("delay_reference", config.delay_reference, Nanos(1));
  CheckTime("probe_every", config.probe_every, Micros(1));
  CheckShare("loss_reference", config.loss_reference);
  CheckShare("mark_reference", config.mark_reference);
  if (config.small_probe < 20 || config.small_probe > 65'507)
    throw Refusal("congestion monitor", "small_probe", std::to_string(config.small_probe), "20 .. 65507");
}

void CongestionMonitor::Recent::Take(double value, Nanos at, Nanos memory) {
  if (at - since >= memory) {
    before = at - since >= memory * 2 ? value : now;
    now = value;
    since = at;
  }
  now = std::max(now, value);
}

void CongestionMonitor::Restart() {
  messages_ = bytes_ = 0;
  marked_ = 0;
  has_interval_ = false;
}

void CongestionMonitor::OnRoundTrip(Nanos round_trip, Nanos now) {
  if (round_trip.count() <= 0) return;
  if (smoothed_.count() == 0) {
    smoothed_ = round_trip;
    variance_ = round_trip / 2;
    nearness_.now = nearness_.before = -static_cast<double>(round_trip.count());
    nearness_.since = now;
    return;
  }
  const Nanos off = round_trip > smoothed_ ? round_trip - smoothed_ : smoothed_ - round_trip;
  variance_ = Nanos((variance_.count() * 3 + off.count()) / 4);
  smoothed_ = Nanos((smoothed_.count() * 7 + round_trip.count()) / 8);
  nearness_.Take(-static_cast<double>(round_trip.count()), now, config_.rate_memory);
}

Nanos CongestionMonitor::least() const {
  return Nanos(static_cast<std::int64_t>(-std::max(nearness_.now, nearness_.before)));
}

void CongestionMonitor::OnFate(std::size_t bytes, bool is_lost, Nanos now) {
  parts_.OnFate(bytes + config_.below_bytes, is_lost);
  loss_ += ((is_lost ? 1.0 : 0.0) - loss_) * kFade;
  last_fate_ = now;
}

void CongestionMonitor::OnDelivered(std::uint64_t messages, std::uint64_t bytes, std::uint32_t marked,
                                    Nanos now) {
  // Counts that go back are of an older feedback.
  if (messages < messages_ || bytes < bytes_) return;
  const std::uint64_t more = messages - messages_;
  const double share =
      more == 0 ? 0 : std::min(1.0, static_cast<double>(marked - marked_) / static_cast<double>(more));
  marks_ += (share - marks_) * std::min(1.0, static_cast<double>(more) * kFade);
  messages_ = messages;
  bytes_ = bytes;
  marked_ = marked;
  if (!has_interval_) {
    has_interval_ = true;
    interval_at_ = now;
    interval_messages_ = messages;
    interval_bytes_ = bytes;
    return;
  }
  const Nanos passed = now - interval_at_;
  if (passed < config_.rate_interval) return;
  const double wire =
      static_cast<double>(bytes - interval_bytes_) +
      static_cast<double>(messages - interval_messages_) * static_cast<double>(config_.below_bytes);
  rate_.Take(wire / ToSeconds(passed), now, config_.rate_memory);
  interval_at_ = now;
  interval_messages_ = messages;
  interval_bytes_ = bytes;
}

CongestionReport CongestionMonitor::Report(Nanos now) const {
  CongestionReport report;
  report.time = now;
  report.latency = smoothed_;
  report.least_latency = least();
  report.loss = loss_;
  report.marks = marks_;
  report.bandwidth =
      BitsPerSecond(static_cast<std::uint64_t>(std::min(8 * std::max(rate_.now, rate_.before), kMostBits)));
  const double queue = static_cast<double>((smoothed_ - least()).count()) /
                       static_cast<double>(config_.delay_reference.count());
  const double worst =
      std::max({loss_ / config_.loss_reference, marks_ / config_.mark_reference, queue, 0.0});
  report.severity = static_cast<std::uint16_t>(std::min(1.0, worst) * 65'535);
  return report;
}

std::size_t CongestionMonitor::NextProbe(std::size_t large, Nanos now) {
  if (!config_.is_probing || (has_probed_ && now - last_probe_ < config_.probe_every)) return 0;
  const bool is_idle = now - last_fate_ >= config_.probe_every;
  const bool lacks_small = parts_.count(0) < LossPartsEstimator::kLeast;
  const bool lacks_large = parts_.count(1) < LossPartsEstimator::kLeast;
  if (!is_idle && !lacks_small && !lacks_large) return 0;
  has_probed_ = true;
  last_probe_ = now;
  const bool is_large = lacks_large == lacks_small ? parts_.count(1) < parts_.count(0) : lacks_large;
  return is_large && large > config_.small_probe ? large : config_.small_probe;
}

}  // namespace foreflow::shard
