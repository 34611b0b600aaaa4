// SPDX-License-Identifier: GPL-2.0-only
#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/pcap/capture.h"
#include "bindings/pcap/replay.h"
#include "bindings/pcap/replay_program.h"
#include "bindings/pcap/shard_replay.h"
#include "bindings/program/run_program.h"
#include "models/base/refusal.h"
#include "scenarios/frame_carrier.h"
#include "scenarios/simulation.h"

namespace foreflow::scenarios {
namespace {

// The trace is the simulator's own, which has times and prices.
void Replay(const pcap::ReplayOptions& options) {
  if (options.config == "none") {
    throw Refusal("command line: --config is required, since the simulated card's prices are in it");
  }
  if (options.loops > 1) throw Refusal("command line: --loop is for the doors pcap and dpdk");
  config::RunConfig config = config::LoadRunConfig(options.config);
  config::RefuseControl(config);
  const pcap::Capture capture = pcap::LoadCapture(options.report.capture);
  if (config.shard != nullptr) {
    pcap::ShardReplay replay(capture, config, options.wire);
    std::vector<std::string> notes;
    CarryOverEthernet(replay, notes);
    pcap::ReplayResult result = replay.Finish(options.trace);
    result.notes.insert(result.notes.end(), notes.begin(), notes.end());
    options.report.Print(result);
    return;
  }
  pcap::RefuseWire(options);
  const pcap::Traffic traffic = pcap::MapRecorded(capture, config.path.vms);
  const path::Future future(traffic.arrivals, config.path.label_horizon);

  pcap::ReplayResult result;
  result.distinct_entries = config::DistinctEntries(future, config.path.rules);
  config::ResolveFlowEntries(config, result.distinct_entries);
  config::PlaceTables(config, future);
  const Outcome outcome = Simulate(config, traffic, future, options.trace, nullptr);
  result.packets = outcome.packets;
  result.fingerprint = outcome.fingerprint;
  result.counters = outcome.counters;
  result.models = outcome.models;
  result.statistics = outcome.statistics;
  result.vms = traffic.vms;
  for (const auto* notes : {&capture.notes, &traffic.notes, &outcome.notes}) {
    result.notes.insert(result.notes.end(), notes->begin(), notes->end());
  }
  result.path = std::move(config.path);
  options.report.Print(result);
}

}  // namespace
}  // namespace foreflow::scenarios

int main(int argc, char** argv) {
  foreflow::pcap::ReplayOptions options;
  options.report.door = "ns3";
  CLI::App app{"Decides on a capture at its recorded times in the simulated card: the ns-3 door."};
  foreflow::pcap::AddReplayOptions(app, options);
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::scenarios::Replay(options); });
}
