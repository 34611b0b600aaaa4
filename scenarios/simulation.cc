// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios/simulation.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "ns3/object-factory.h"
#include "ns3/simulator.h"
#include "scenarios/tag/topology.h"
#include "scenarios/updates/update_channel.h"

namespace foreflow::scenarios {
namespace {

using Clock = std::chrono::steady_clock;

// Tells the observer, looking at the wall clock every so many packets.
class Ticker {
 public:
  Ticker(const RunTrace& trace, const Progress& progress) : trace_(trace), progress_(progress) {}

  void Connect(ns3::Ptr<ns3::foreflow::OffloadNic> nic) {
    if (progress_) nic->TraceConnectWithoutContext("PacketDone", ns3::MakeCallback(&Ticker::Done, this));
  }

 private:
  void Done(const ns3::foreflow::PacketRecord&) {
    constexpr std::uint64_t kLookEvery = 1024;
    if (trace_.done() % kLookEvery != 0) return;
    const Clock::time_point now = Clock::now();
    if (now - told_ < std::chrono::milliseconds(200)) return;
    told_ = now;
    progress_(trace_.done());
  }

  const RunTrace& trace_;
  const Progress& progress_;
  Clock::time_point told_ = Clock::now();
};

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

// The length of all when no gap is longer than `longest`; stops counting beyond `enough`.
Nanos SpanWith(const std::vector<path::Arrival>& arrivals, Nanos longest, Nanos enough) {
  Nanos span;
  for (std::size_t i = 1; i < arrivals.size() && span <= enough; ++i) {
    span += std::min(arrivals[i].time - arrivals[i - 1].time, longest);
  }
  return span;
}

}  // namespace

std::vector<Nanos> SimulatorTimes(const std::vector<path::Arrival>& arrivals,
                                  std::vector<std::string>& notes) {
  constexpr Nanos kMost = Seconds(90LL * 24 * 3600);
  std::vector<Nanos> times;
  if (arrivals.empty() || arrivals.back().time <= kMost) return times;

  Nanos longest = kMost;
  while (SpanWith(arrivals, longest, kMost) > kMost) longest = longest / 2;
  times.resize(arrivals.size());
  std::uint64_t shortened = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    const Nanos gap = arrivals[i].time - arrivals[i - 1].time;
    if (gap > longest) ++shortened;
    times[i] = times[i - 1] + std::min(gap, longest);
  }
  notes.push_back("the simulator's clock passes over " + std::to_string(shortened) +
                  " silences longer than " + std::to_string(longest / Seconds(1)) +
                  " s; decisions are made at the capture's times");
  return times;
}

Outcome Simulate(const config::RunConfig& config, const pcap::Traffic& traffic, const path::Future& future,
                 const std::string& trace, const Progress& progress) {
  // The default scheduler is 1.5 to 3 times slower with many events pending.
  ns3::ObjectFactory scheduler;
  scheduler.SetTypeId("ns3::PriorityQueueScheduler");
  ns3::Simulator::SetScheduler(scheduler);

  Outcome outcome;
  const std::vector<Nanos> times = SimulatorTimes(traffic.arrivals, outcome.notes);
  std::optional<FlowOffload> offload;
  if (config.control.updates_per_second > 0 && config.path.arm != path::Arm::kOff) {
    offload.emplace(config.path.rules, config.path.flow_entries, config.path.arm == path::Arm::kPredictive);
  }
  const TagTopology topology = BuildTagTopology(offload ? WithUpdates(config, *offload) : config, future,
                                                traffic.arrivals, times.empty() ? nullptr : &times);
  std::optional<UpdateChannel> updates;
  if (offload) {
    const Nanos end = traffic.arrivals.empty() ? Nanos()
                      : times.empty()          ? traffic.arrivals.back().time
                                               : times.back();
    updates.emplace(config, *offload, topology.nic, end + Millis(1));
  }
  RunTrace run(trace, future);
  run.Connect(topology.nic);
  Ticker ticker(run, progress);
  ticker.Connect(topology.nic);
  ns3::Simulator::Run();
  if (progress) progress(run.done());

  run.Finish(*topology.nic);
  outcome.packets = Count(*topology.nic);
  Check(topology, outcome.packets, traffic.arrivals.size());
  outcome.counters = topology.nic->GetPathCounters();
  outcome.models = config::ToJson(topology.nic->GetPath());
  outcome.statistics = config::StatisticsOf(topology.nic->GetPath());
  if (updates) outcome.updates = updates->Report();
  outcome.fingerprint = run.Fingerprint();
  outcome.totals = run.totals();
  outcome.simulated_s = ns3::Simulator::Now().GetSeconds();
  outcome.trace_wall_s = run.write_seconds();
  ns3::Simulator::Destroy();
  return outcome;
}

}  // namespace foreflow::scenarios
