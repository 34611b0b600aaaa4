// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_TIME_MAP_H_
#define FOREFLOW_BINDINGS_PCAP_TIME_MAP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/pcap/capture.h"
#include "models/base/units.h"
#include "models/path/future.h"

namespace foreflow::pcap {

// How a capture becomes offered traffic.
struct TimeMap {
  Nanos max_gap = Millis(1000);   // longer silences are cut to this
  std::uint64_t max_packets = 0;  // the first so many in order of time; 0: all
  std::uint64_t seed = 1;         // above 1: begin at a random packet and wrap around
  double load = 0.5;              // mean offered bit rate over link_rate, > 0
  BitsPerSecond link_rate{1'000'000'000};
};

// Traffic as the path takes it. The arrivals point into the Capture, which must outlive them.
struct Traffic {
  std::vector<path::Arrival> arrivals;  // in order of time; the first is at 0
  std::vector<std::string> notes;       // sentences: every correction of the recorded times
  std::uint16_t vms = 0;                // senders that were given a VM
};

// The recorded times, put in order: what a replay decides on. VMs are numbered in this order, up to `vms`.
Traffic MapRecorded(const Capture& capture, std::uint16_t vms);

// The recorded times in order, with silences cut, rotated to where the seed says, and then scaled so that the
// mean rate of wire bytes is `load` times the link's. `sent` keeps the unscaled time. A capture whose clock
// stands still is spread evenly at that rate, on both clocks. VMs are numbered before the rotation, so that
// every seed has the same ones. Integer arithmetic: the same times on every platform. Throws Refusal on a
// load or rate that is not above 0.
Traffic MapToLoad(const Capture& capture, std::uint16_t vms, const TimeMap& map);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_TIME_MAP_H_
