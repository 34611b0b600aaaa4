// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/run_traffic.h"

#include <algorithm>

namespace foreflow::pcap {
namespace {

TimeMap MapOf(const config::RunConfig& config) {
  TimeMap map;
  map.max_gap = config.traffic.max_gap;
  map.max_packets = config.traffic.max_packets;
  map.seed = config.seed;
  map.load = config.traffic.load;
  map.link_rate = config.link.rate;
  return map;
}

// The packets of `next` follow in place of those of `traffic` from `begin` on, after a mean gap.
void Shift(Traffic& traffic, std::size_t begin, const Traffic& next) {
  std::vector<path::Arrival>& arrivals = traffic.arrivals;
  Nanos time, sent;
  if (begin > 0) {
    const auto packets = static_cast<std::int64_t>(begin);
    time = arrivals[begin - 1].time + arrivals[begin - 1].time / packets;
    sent = arrivals[begin - 1].sent + arrivals[begin - 1].sent / packets;
  }
  arrivals.resize(begin);
  for (path::Arrival arrival : next.arrivals) {
    arrival.time += time;
    arrival.sent += sent;
    arrivals.push_back(arrival);
  }
  traffic.vms = std::max(traffic.vms, next.vms);
  traffic.notes.push_back("packets from " + std::to_string(begin) + " on are those of traffic.shift_input");
  traffic.notes.insert(traffic.notes.end(), next.notes.begin(), next.notes.end());
}

}  // namespace

RunTraffic LoadRunTraffic(const config::RunConfig& config, Times times) {
  RunTraffic run;
  run.capture = LoadCapture(config.input);
  if (times == Times::kRecorded) {
    run.traffic = MapRecorded(run.capture, config.path.vms);
    return run;
  }
  run.traffic = MapToLoad(run.capture, config.path.vms, MapOf(config));
  if (config.traffic.shift_input.empty()) return run;
  run.after = LoadCapture(config.traffic.shift_input);
  const auto packets = static_cast<double>(run.traffic.arrivals.size());
  Shift(run.traffic, static_cast<std::size_t>(packets * config.traffic.shift_at),
        MapToLoad(run.after, config.path.vms, MapOf(config)));
  return run;
}

}  // namespace foreflow::pcap
