// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/interference.h"

#include <algorithm>

namespace foreflow::dpdk {

std::vector<Gap> Unexplained(const std::vector<Gap>& gaps, double cycles_a_packet, std::uint64_t least_gap) {
  constexpr double kDear = 3;  // a burst may cost so many times the mean
  std::vector<Gap> found;
  for (const Gap& gap : gaps) {
    const double explained = kDear * cycles_a_packet * gap.packets;
    if (static_cast<double>(gap.end - gap.begin) > explained + static_cast<double>(least_gap)) {
      found.push_back(gap);
    }
  }
  return found;
}

std::vector<bool> HitBy(const std::vector<Gap>& gaps, const std::vector<Stamp>& stamps,
                        std::uint64_t least_gap) {
  std::vector<Gap> sorted = gaps;
  std::sort(sorted.begin(), sorted.end(), [](const Gap& a, const Gap& b) { return a.begin < b.begin; });
  // Of the gaps that began before a packet was sent, the latest end: a gap reaches it if it ended after the
  // packet was due.
  std::vector<bool> hit(stamps.size(), false);
  std::uint64_t all_sent = 0;  // when the last of the packets before was
  std::uint64_t reach = 0;
  std::size_t next = 0;
  bool delayed = false;
  for (std::size_t i = 0; i < stamps.size(); ++i) {
    const Stamp& stamp = stamps[i];
    if (stamp.sent == 0) continue;
    const bool on_time = stamp.offered < stamp.due + least_gap;
    if (on_time && stamp.offered >= all_sent) delayed = false;
    while (next < sorted.size() && sorted[next].begin < stamp.sent) {
      reach = std::max(reach, sorted[next].end);
      ++next;
    }
    if (reach > stamp.due) delayed = true;
    hit[i] = delayed;
    all_sent = std::max(all_sent, stamp.sent);
  }
  return hit;
}

}  // namespace foreflow::dpdk
