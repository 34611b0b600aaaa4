// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_LOOPED_ARRIVALS_H_
#define FOREFLOW_BINDINGS_PCAP_LOOPED_ARRIVALS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "models/base/units.h"
#include "models/path/arrival.h"

namespace foreflow::pcap {

// A capture's arrivals over and over, without a copy of them a pass. A pass begins one mean gap (at least
// 1 us) after the last packet of the pass before, on both clocks.
class LoopedArrivals {
 public:
  // `arrivals` are in order of time, the first at 0, and must outlive this object; loops >= 1. Throws
  // Refusal naming `where` when the last pass would end beyond what a clock of nanoseconds counts to.
  LoopedArrivals(const std::string& where, const std::vector<path::Arrival>& arrivals, std::uint64_t loops);

  std::uint64_t size() const { return arrivals_.size() * loops_; }
  // The packet of that number, 0 .. size() - 1, counted over all passes.
  path::Arrival operator[](std::uint64_t packet) const {
    const std::uint64_t pass = packet / arrivals_.size();
    path::Arrival arrival = arrivals_[packet % arrivals_.size()];
    arrival.time += period_ * static_cast<std::int64_t>(pass);
    arrival.sent += sent_period_ * static_cast<std::int64_t>(pass);
    return arrival;
  }

 private:
  const std::vector<path::Arrival>& arrivals_;
  std::uint64_t loops_;
  Nanos period_;
  Nanos sent_period_;
};

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_LOOPED_ARRIVALS_H_
