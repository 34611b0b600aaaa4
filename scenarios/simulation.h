// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_SIMULATION_H_
#define FOREFLOW_SCENARIOS_SIMULATION_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/packet_count.h"
#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/pcap/time_map.h"
#include "models/path/counters.h"
#include "models/path/future.h"
#include "scenarios/run_trace.h"

namespace foreflow::scenarios {

// When each packet arrives on the simulator's clock, which keeps picoseconds in 63 bits: 106 days. Empty
// where that is at the arrivals' own times. Where these span more than 90 days, silences longer than the
// longest that fits are shortened to it (far longer than anything lasts in a card), and `notes` says so.
std::vector<Nanos> SimulatorTimes(const std::vector<path::Arrival>& arrivals,
                                  std::vector<std::string>& notes);

// What one simulation came to.
struct Outcome {
  config::PacketCount packets;
  path::Counters counters;
  config::Json models;      // see config::ToJson(Lanes)
  config::Json statistics;  // see config::StatisticsOf
  config::Json updates;     // see UpdateChannel::Report; null where rules do not change
  std::string fingerprint;
  RunTrace::Totals totals;
  double simulated_s = 0;
  double trace_wall_s = 0;
  std::vector<std::string> notes;
};

// Is told how many packets' fate is known, at most five times a wall second and at the end.
using Progress = std::function<void(std::uint64_t done)>;

// Replays `traffic` through TagTopology, to the end. The cores are told the arrivals' own times, so that what
// the simulator's clock leaves out changes no verdict. `trace` is a file to write, or empty. `config` has its
// flow entries resolved. Throws Refusal on an impossible configuration, std::logic_error where packets
// vanished. Uses ns-3's global simulator: once a process.
Outcome Simulate(const config::RunConfig& config, const pcap::Traffic& traffic, const path::Future& future,
                 const std::string& trace, const Progress& progress);

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_SIMULATION_H_
