// SPDX-License-Identifier: GPL-2.0-only
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>

#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/time_map.h"
#include "models/base/refusal.h"
#include "ns3/object-factory.h"
#include "ns3/simulator.h"
#include "scenarios/run_trace.h"
#include "scenarios/tag/topology.h"

namespace foreflow::scenarios {
namespace {

constexpr int kFailed = 1;
constexpr int kRefused = 2;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Progress on standard error, at most five lines a second, looked at every so many packets.
class Progress {
 public:
  Progress(const RunTrace& trace, std::uint64_t all) : trace_(trace), all_(all) {}

  void Connect(ns3::Ptr<ns3::foreflow::OffloadNic> nic) {
    nic->TraceConnectWithoutContext("PacketDone", ns3::MakeCallback(&Progress::Done, this));
  }
  void Print() const {
    std::fprintf(stderr, "progress %llu %llu\n", static_cast<unsigned long long>(trace_.done()),
                 static_cast<unsigned long long>(all_));
  }

 private:
  void Done(const ns3::foreflow::PacketRecord&) {
    constexpr std::uint64_t kLookEvery = 1024;
    if (trace_.done() % kLookEvery != 0 || SecondsSince(printed_) < 0.2) return;
    printed_ = Clock::now();
    Print();
  }

  const RunTrace& trace_;
  std::uint64_t all_;
  Clock::time_point printed_ = Clock::now();
};

std::uint64_t MaxResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

pcap::Traffic LoadTraffic(const config::RunConfig& config, const pcap::Capture& capture,
                          bool recorded_times) {
  if (recorded_times) return pcap::MapRecorded(capture, config.path.vms);
  pcap::TimeMap map;
  map.max_gap = config.traffic.max_gap;
  map.max_packets = config.traffic.max_packets;
  map.seed = config.seed;
  map.load = config.traffic.load;
  map.link_rate = config.link.rate;
  return pcap::MapToLoad(capture, config.path.vms, map);
}

// Devices keep picoseconds in 63 bits: 106 days.
void RefuseTooLong(const config::RunConfig& config, const pcap::Traffic& traffic) {
  constexpr Nanos kLongest = Seconds(90LL * 24 * 3600);
  if (traffic.arrivals.empty() || traffic.arrivals.back().time <= kLongest) return;
  throw Refusal(config.input, "the time from first to last packet",
                std::to_string(traffic.arrivals.back().time / Seconds(1)) + " s", "up to 90 days");
}

config::PacketCount Count(const ns3::foreflow::OffloadNic& nic) {
  const auto& statistics = nic.GetStatistics();
  config::PacketCount packets;
  packets.in = statistics.in;
  packets.out = statistics.out;
  packets.held = nic.GetNHeld();
  packets.dropped = statistics.dropped;
  return packets;
}

void Check(const TagTopology& topology, const config::PacketCount& packets, std::uint64_t offered) {
  if (packets.in != offered || packets.held != 0 || !packets.Balanced()) {
    throw std::logic_error("packets in are not out + dropped after the device was drained");
  }
  if (topology.sink->GetStatistics().received != packets.out) {
    throw std::logic_error("the sink did not receive what left the device");
  }
}

void Run(const std::string& file, bool recorded_times) {
  const Clock::time_point start = Clock::now();
  config::RunConfig config = config::LoadRunConfig(file);
  const pcap::Capture capture = pcap::LoadCapture(config.input);
  const pcap::Traffic traffic = LoadTraffic(config, capture, recorded_times);
  RefuseTooLong(config, traffic);
  const path::Future future(traffic.arrivals, config.path.label_horizon);
  const std::uint64_t distinct_entries = config::DistinctEntries(future, config.path.rules);
  config::ResolveFlowEntries(config, distinct_entries);

  // The default scheduler is 1.5 to 3 times slower with many events pending.
  ns3::ObjectFactory scheduler;
  scheduler.SetTypeId("ns3::PriorityQueueScheduler");
  ns3::Simulator::SetScheduler(scheduler);

  const TagTopology topology = BuildTagTopology(config, future, traffic.arrivals);
  RunTrace trace(config.out + "/trace.h5", future);
  trace.Connect(topology.nic);
  Progress progress(trace, traffic.arrivals.size());
  progress.Connect(topology.nic);
  ns3::Simulator::Run();
  progress.Print();

  trace.Finish(*topology.nic);
  const config::PacketCount packets = Count(*topology.nic);
  Check(topology, packets, traffic.arrivals.size());

  config::Json notes = config::Json::array();
  for (const std::string& note : capture.notes) notes.push_back(note);
  for (const std::string& note : traffic.notes) notes.push_back(note);
  const double count = packets.in == 0 ? 1.0 : static_cast<double>(packets.in);
  const RunTrace::Totals& totals = trace.totals();
  const config::Json summary = {
      {"packets", config::ToJson(packets)},
      {"fingerprint", trace.Fingerprint()},
      {"notes", notes},
      {"flow_entries", config.path.flow_entries},
      {"distinct_entries", distinct_entries},
      {"vms", traffic.vms},
      {"simulated_s", ns3::Simulator::Now().GetSeconds()},
      {"wall_s", SecondsSince(start)},
      {"trace_wall_s", trace.write_seconds()},
      {"counters", config::ToJson(topology.nic->GetPathCounters())},
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
  ns3::Simulator::Destroy();
}

}  // namespace
}  // namespace foreflow::scenarios

int main(int argc, char** argv) {
  std::string file;
  bool recorded_times = false;
  CLI::App app{"Runs one scenario, arm and seed in ns-3: the simulated door."};
  app.add_option("resolved", file, "resolved configuration (JSON)")->required();
  app.add_flag("--recorded-times", recorded_times,
               "replay at the capture's own times, put in order, unscaled");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "command line: %s\n", error.what());
    return foreflow::scenarios::kRefused;
  }
  try {
    foreflow::scenarios::Run(file, recorded_times);
  } catch (const foreflow::Refusal& refusal) {
    std::fprintf(stderr, "%s\n", refusal.what());
    return foreflow::scenarios::kRefused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return foreflow::scenarios::kFailed;
  }
  return 0;
}
