// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/looped_arrivals.h"

#include <algorithm>
#include <limits>

#include "models/base/refusal.h"

namespace foreflow::pcap {
namespace {

constexpr Nanos kLeastGap = Micros(1);

Nanos PeriodOf(Nanos span, std::size_t count) {
  const Nanos mean = count < 2 ? Nanos() : span / static_cast<std::int64_t>(count - 1);
  return span + std::max(mean, kLeastGap);
}

}  // namespace

LoopedArrivals::LoopedArrivals(const std::string& where, const std::vector<path::Arrival>& arrivals,
                               std::uint64_t loops)
    : arrivals_(arrivals), loops_(loops) {
  if (arrivals.empty()) return;
  period_ = PeriodOf(arrivals.back().time, arrivals.size());
  sent_period_ = PeriodOf(arrivals.back().sent, arrivals.size());
  const std::int64_t longest = std::max(period_, sent_period_).count();
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / longest);
  if (loops == 0 || (loops > 1 && loops > most)) {
    throw Refusal(where, "loop", std::to_string(loops),
                  "1 .. " + std::to_string(std::max<std::uint64_t>(most, 1)));
  }
}

}  // namespace foreflow::pcap
