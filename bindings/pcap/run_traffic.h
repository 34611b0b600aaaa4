// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_RUN_TRAFFIC_H_
#define FOREFLOW_BINDINGS_PCAP_RUN_TRAFFIC_H_

#include <cstdint>

#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/time_map.h"

namespace foreflow::pcap {

// At which times a run's packets were decided.
enum class Times : std::uint8_t {
  kRecorded,  // the capture's own: replay, by any door
  kLoad,      // scaled to traffic.load: run
};

// What a run is offered. The arrivals point into the captures.
struct RunTraffic {
  Capture capture;
  Capture after;  // of traffic.shift_input; empty where there is none
  Traffic traffic;
};

// The traffic of a run, as every door makes it: config.input and, at times kLoad, from traffic.shift_at of
// its packets on all of traffic.shift_input in their place, at the same load. Both inputs number their
// VMs from 1, so that the same VMs behave otherwise. Throws Refusal as LoadCapture and MapToLoad.
RunTraffic LoadRunTraffic(const config::RunConfig& config, Times times);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_RUN_TRAFFIC_H_
