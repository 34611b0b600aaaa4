// SPDX-License-Identifier: BSD-3-Clause
#include <rte_cycles.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/loopback.h"
#include "bindings/dpdk/priority.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/time_map.h"
#include "bindings/program/run_program.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string config;
  unsigned floods = 0;
  unsigned timed = 0;
};

double Nanoseconds(std::uint64_t cycles) {
  return static_cast<double>(cycles) * 1e9 / static_cast<double>(rte_get_tsc_hz());
}

// Observed values (nearest rank), in nanoseconds.
Json Percentiles(std::vector<std::uint64_t> cycles) {
  Json percentiles;
  if (cycles.empty()) return percentiles;
  std::sort(cycles.begin(), cycles.end());
  const auto at = [&](double share) {
    const double rank = share * static_cast<double>(cycles.size());
    return Nanoseconds(cycles[std::min(cycles.size() - 1, static_cast<std::size_t>(rank))]);
  };
  return {{"p50", at(0.5)}, {"p90", at(0.9)}, {"p99", at(0.99)}, {"p99.9", at(0.999)}};
}

Json Describe(const Loopback::Pass& pass) {
  return {{"packets", pass.packets},         {"sent", pass.sent},
          {"dropped", pass.dropped},         {"bursts", pass.bursts},
          {"busy_cycles", pass.busy_cycles}, {"involuntary_switches", pass.involuntary_switches}};
}

void Measure(const Options& options) {
  config::RunConfig config = config::LoadRunConfig(options.config);
  const pcap::Capture capture = pcap::LoadCapture(config.input);
  pcap::TimeMap map;
  map.max_gap = config.traffic.max_gap;
  map.max_packets = config.traffic.max_packets;
  map.seed = config.seed;
  map.load = config.traffic.load;
  map.link_rate = config.link.rate;
  const pcap::Traffic traffic = pcap::MapToLoad(capture, config.path.vms, map);
  if (traffic.arrivals.empty()) throw Refusal(config.input + ": there is no packet to measure with");
  const path::Future future(traffic.arrivals, config.path.label_horizon);
  config::ResolveFlowEntries(config, config::DistinctEntries(future, config.path.rules));

  const std::size_t count = traffic.arrivals.size();
  const Eal eal(UnprivilegedEal(256), 1, Placement::kPinned);
  std::vector<std::uint64_t> due(count);  // once the time stamp counter's rate is known
  for (std::size_t i = 0; i < count; ++i) {
    due[i] = static_cast<std::uint64_t>(static_cast<double>(traffic.arrivals[i].time.count()) * 1e-9 *
                                        static_cast<double>(rte_get_tsc_hz()));
  }
  const bool first = RunFirst();
  // Every pass decides from scratch, as a simulation does.
  const auto pass = [&](const std::uint64_t* times, Loopback::Stamp* stamps) {
    path::Lanes lanes(config.path, &future);
    Loopback loopback(eal, lanes, config.path.vms, config.queue_packets);
    return loopback.Run(traffic.arrivals.data(), count, times, stamps);
  };

  Json floods = Json::array();
  for (unsigned i = 0; i < options.floods; ++i) floods.push_back(Describe(pass(nullptr, nullptr)));
  Json timed = Json::array();
  std::vector<Loopback::Stamp> stamps(count);
  for (unsigned i = 0; i < options.timed; ++i) {
    std::fill(stamps.begin(), stamps.end(), Loopback::Stamp{});
    Json one = Describe(pass(due.data(), stamps.data()));
    std::vector<std::uint64_t> latency, wait, service, late;
    for (const Loopback::Stamp& stamp : stamps) {
      late.push_back(stamp.offered - std::min(stamp.due, stamp.offered));
      if (stamp.sent == 0) continue;
      latency.push_back(stamp.sent - stamp.offered);
      wait.push_back(stamp.received - std::min(stamp.offered, stamp.received));
      service.push_back(stamp.sent - stamp.received);
    }
    one["latency_ns"] = Percentiles(latency);
    one["wait_ns"] = Percentiles(wait);
    one["burst_ns"] = Percentiles(service);
    one["late_ns"] = Percentiles(late);
    timed.push_back(one);
  }
  const Json result = {{"clock_hz", rte_get_tsc_hz()},
                       {"packets", count},
                       {"runs_first", first},
                       {"floods", floods},
                       {"timed", timed}};
  std::printf("%s\n", result.dump(1).c_str());
}

}  // namespace
}  // namespace foreflow::dpdk

int main(int argc, char** argv) {
  foreflow::dpdk::Options options;
  CLI::App app{"Measures one worker of the runner with a configuration's traffic, between two rings."};
  app.add_option("config", options.config, "resolved configuration (JSON)")->required();
  app.add_option("--floods", options.floods, "passes at the worker's own pace")
      ->check(CLI::Range(0U, 10'000U));
  app.add_option("--timed", options.timed, "passes at the traffic's times")->check(CLI::Range(0U, 10'000U));
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::dpdk::Measure(options); });
}
