// SPDX-License-Identifier: BSD-3-Clause
#include <rte_cycles.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/interference.h"
#include "bindings/dpdk/loopback.h"
#include "bindings/dpdk/yardstick.h"
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
  unsigned tries = 3;    // of each pass
  double steady = 0.05;  // share by which the yardstick may differ before and after it
};

double Nanoseconds(double cycles) { return cycles * 1e9 / static_cast<double>(rte_get_tsc_hz()); }

// Observed values (nearest rank), in nanoseconds.
Json Percentiles(std::vector<std::uint64_t> cycles) {
  Json percentiles;
  if (cycles.empty()) return percentiles;
  std::sort(cycles.begin(), cycles.end());
  const auto at = [&](double share) {
    const double rank = share * static_cast<double>(cycles.size());
    return Nanoseconds(
        static_cast<double>(cycles[std::min(cycles.size() - 1, static_cast<std::size_t>(rank))]));
  };
  return {{"p50", at(0.5)}, {"p90", at(0.9)}, {"p99", at(0.99)}, {"p99.9", at(0.999)}};
}

std::uint64_t LeastGap() {
  return static_cast<std::uint64_t>(kLeastGap.count()) * rte_get_tsc_hz() / 1'000'000'000;
}

std::uint64_t Lasting(const std::vector<Gap>& gaps) {
  std::uint64_t cycles = 0;
  for (const Gap& gap : gaps) cycles += gap.end - gap.begin;
  return cycles;
}

// Who measures: a worker, its feeder, and what tells how fast the machine is.
class Measurement {
 public:
  Measurement() : eal_(UnprivilegedEal(256), 1, Placement::kPinned), loopback_(eal_), yardstick_(loopback_) {}

  // What interference there is where nothing is to be done.
  Json Floor(const path::PathConfig& config) {
    path::Lanes lanes(config, nullptr);
    const std::unique_ptr<Worker> worker = loopback_.MakeWorker(lanes, config.vms, 1);
    const std::uint64_t cycles = rte_get_tsc_hz() / 5;
    const Loopback::Pass idle = loopback_.Idle(*worker, cycles);
    std::uint64_t longest = 0;
    for (const Gap& gap : idle.worker_gaps) longest = std::max(longest, gap.end - gap.begin);
    return {{"seconds", 0.2},
            {"gaps", idle.worker_gaps.size()},
            {"share", static_cast<double>(Lasting(idle.worker_gaps)) / static_cast<double>(cycles)},
            {"longest_ns", Nanoseconds(static_cast<double>(longest))}};
  }

  struct Subject {
    const config::RunConfig* config;
    const std::vector<path::Arrival>* arrivals;
    const path::Future* future;
  };

  // As many passes as wanted around which the yardstick stays the same, and all others that were tried.
  Json Passes(const Subject& subject, unsigned wanted, const Options& options, bool at_their_times) {
    Json passes = Json::array();
    if (wanted == 0) return passes;
    Yardstick::Reading before = yardstick_.Read();
    for (unsigned tried = 0, steady = 0; steady < wanted && tried < wanted * options.tries; ++tried) {
      Json pass = at_their_times ? Timed(subject) : Flood(subject);
      const Yardstick::Reading after = yardstick_.Read();
      const bool is_steady = Yardstick::Agree(before, after, options.steady);
      if (is_steady) ++steady;
      pass["steady"] = is_steady;
      pass["yardstick"] = {before, after};
      passes.push_back(pass);
      before = after;
    }
    return passes;
  }

 private:
  // Every pass decides from scratch, as a simulation does.
  Loopback::Pass Pass(const Subject& subject, const std::uint64_t* times, Stamp* stamps) {
    path::Lanes lanes(subject.config->path, subject.future);
    const std::unique_ptr<Worker> worker =
        loopback_.MakeWorker(lanes, subject.config->path.vms, subject.config->queue_packets);
    return loopback_.Run(*worker, subject.arrivals->data(), subject.arrivals->size(), times, stamps);
  }

  static Json Describe(const Loopback::Pass& pass) {
    return {{"packets", pass.packets},
            {"sent", pass.sent},
            {"dropped", pass.dropped},
            {"bursts", pass.bursts},
            {"busy_cycles", pass.busy_cycles},
            {"wall_cycles", pass.wall_cycles},
            {"quiet_cycles_per_packet", QuietCycles(pass)},
            {"involuntary_switches", pass.involuntary_switches},
            {"ran_first", pass.ran_first}};
  }

  Json Flood(const Subject& subject) { return Describe(Pass(subject, nullptr, nullptr)); }

  Json Timed(const Subject& subject) {
    const std::vector<path::Arrival>& arrivals = *subject.arrivals;
    std::vector<std::uint64_t> due;
    for (const path::Arrival& arrival : arrivals) {
      due.push_back(static_cast<std::uint64_t>(static_cast<double>(arrival.time.count()) * 1e-9 *
                                               static_cast<double>(rte_get_tsc_hz())));
    }
    std::vector<Stamp> stamps(arrivals.size());
    const Loopback::Pass pass = Pass(subject, due.data(), stamps.data());
    const double mean = static_cast<double>(pass.busy_cycles) / static_cast<double>(pass.packets);
    std::vector<Gap> gaps = Unexplained(pass.worker_gaps, mean, LeastGap());
    gaps.insert(gaps.end(), pass.feeder_gaps.begin(), pass.feeder_gaps.end());
    const std::vector<bool> hit = HitBy(gaps, stamps, LeastGap());
    // From when a packet was due: one that is offered late has waited all the same.
    std::vector<std::uint64_t> latency, quiet, wait, service, late;
    for (std::size_t i = 0; i < stamps.size(); ++i) {
      const Stamp& stamp = stamps[i];
      if (stamp.sent == 0) continue;
      late.push_back(stamp.offered - stamp.due);
      latency.push_back(stamp.sent - stamp.due);
      if (!hit[i]) quiet.push_back(stamp.sent - stamp.due);
      wait.push_back(stamp.received - stamp.due);
      service.push_back(stamp.sent - stamp.received);
    }
    Json one = Describe(pass);
    one["gaps"] = gaps.size();
    one["hit_share"] =
        static_cast<double>(std::count(hit.begin(), hit.end(), true)) / static_cast<double>(stamps.size());
    one["latency_ns"] = Percentiles(latency);
    one["quiet_latency_ns"] = Percentiles(quiet);
    one["wait_ns"] = Percentiles(wait);
    one["burst_ns"] = Percentiles(service);
    one["late_ns"] = Percentiles(late);
    return one;
  }

  Eal eal_;
  Loopback loopback_;
  Yardstick yardstick_;
};

void Measure(const Options& options) {
  config::RunConfig config = config::LoadRunConfig(options.config);
  config::RefuseControl(config);
  config::RefuseShard(config);
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

  Measurement measurement;
  const Measurement::Subject subject{&config, &traffic.arrivals, &future};
  const Json result = {{"clock_hz", rte_get_tsc_hz()},
                       {"packets", traffic.arrivals.size()},
                       {"floor", measurement.Floor(config.path)},
                       {"floods", measurement.Passes(subject, options.floods, options, false)},
                       {"timed", measurement.Passes(subject, options.timed, options, true)}};
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
  app.add_option("--steady", options.steady,
                 "share by which the machine's speed may differ before and after a pass that counts")
      ->check(CLI::Range(0.0, 10.0));
  app.add_option("--tries", options.tries, "passes tried for each that counts, at the most")
      ->check(CLI::Range(1U, 100U));
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::dpdk::Measure(options); });
}
