// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/run_traffic.h"

namespace foreflow::pcap {

Traffic TrafficOf(const Capture& capture, const config::RunConfig& config, Times times) {
  if (times == Times::kRecorded) return MapRecorded(capture, config.path.vms);
  TimeMap map;
  map.max_gap = config.traffic.max_gap;
  map.max_packets = config.traffic.max_packets;
  map.seed = config.seed;
  map.load = config.traffic.load;
  map.link_rate = config.link.rate;
  return MapToLoad(capture, config.path.vms, map);
}

}  // namespace foreflow::pcap
