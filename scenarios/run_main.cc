// SPDX-License-Identifier: GPL-2.0-only
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/run_traffic.h"
#include "bindings/pcap/time_map.h"
#include "bindings/program/run_program.h"
#include "scenarios/shard/shard_run.h"
#include "scenarios/simulation.h"

namespace foreflow::scenarios {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::uint64_t MaxResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

void Run(const std::string& file) {
  const Clock::time_point start = Clock::now();
  config::RunConfig config = config::LoadRunConfig(file);
  config::RefuseShard(config);
  const pcap::RunTraffic run = pcap::LoadRunTraffic(config, pcap::Times::kLoad);
  const pcap::Traffic& traffic = run.traffic;
  const path::Future future(traffic.arrivals, config.path.label_horizon);
  const std::uint64_t distinct_entries = config::DistinctEntries(future, config.path.rules);
  config::ResolveFlowEntries(config, distinct_entries);
  config::PlaceTables(config, future);

  const Progress progress = [&](std::uint64_t done) {
    std::fprintf(stderr, "progress %llu %llu\n", static_cast<unsigned long long>(done),
                 static_cast<unsigned long long>(traffic.arrivals.size()));
  };
  const Outcome outcome = Simulate(config, traffic, future, config.out + "/trace.h5", progress);

  config::Json notes = config::Json::array();
  for (const auto* some : {&run.capture.notes, &run.after.notes, &traffic.notes, &outcome.notes}) {
    for (const std::string& note : *some) notes.push_back(note);
  }
  const double count = outcome.packets.in == 0 ? 1.0 : static_cast<double>(outcome.packets.in);
  const RunTrace::Totals& totals = outcome.totals;
  const config::Json summary = {
      {"packets", config::ToJson(outcome.packets)},
      {"fingerprint", outcome.fingerprint},
      {"notes", notes},
      {"flow_entries", config.path.flow_entries},
      {"distinct_entries", distinct_entries},
      {"vms", traffic.vms},
      {"simulated_s", outcome.simulated_s},
      {"wall_s", SecondsSince(start)},
      {"trace_wall_s", outcome.trace_wall_s},
      {"counters", config::ToJson(outcome.counters)},
      {"models", outcome.models},
      {"statistics", outcome.statistics},
      {"updates", outcome.updates},
      {"cycles",
       {{"device_per_packet", static_cast<double>(totals.device_cycles) / count},
        {"host_per_packet", static_cast<double>(totals.host_cycles) / count},
        {"prediction_per_packet", static_cast<double>(totals.prediction_cycles) / count}}},
      {"max_rss_bytes", MaxResidentBytes()}};
  const std::string name = config.out + "/summary.json";
  std::ofstream out(name);
  out << config::ToText(summary, 2) << "\n";
  out.close();
  if (!out) throw std::runtime_error(name + ": cannot be written");
}

}  // namespace
}  // namespace foreflow::scenarios

int main(int argc, char** argv) {
  std::string file;
  CLI::App app{"Runs one scenario, arm and seed in ns-3: the simulated door."};
  app.add_option("resolved", file, "resolved configuration (JSON)")->required();
  return foreflow::RunProgram(app, argc, argv, [&] {
    if (foreflow::scenarios::IsShardRun(file)) {
      foreflow::scenarios::RunShard(file);
    } else {
      foreflow::scenarios::Run(file);
    }
  });
}
