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

// The traffic of a run, as every door makes it. Throws Refusal as MapToLoad.
Traffic TrafficOf(const Capture& capture, const config::RunConfig& config, Times times);

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_RUN_TRAFFIC_H_
