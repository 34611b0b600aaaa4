// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_REPLAY_PROGRAM_H_
#define FOREFLOW_BINDINGS_PCAP_REPLAY_PROGRAM_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "bindings/pcap/replay.h"
#include "bindings/pcap/replay_report.h"
#include "bindings/pcap/shard_replay.h"

namespace foreflow::pcap {

// What every door's replay program is told.
struct ReplayOptions {
  ReplayReport report;
  std::string config = "none";  // RESOLVED.json, or none
  std::string trace;            // HDF5 file to write, or empty
  WireOutputs wire;             // of configurations with packet dynamics units
  std::uint64_t loops = 1;
};

// `options` must outlive the parsing of the command line, which writes them.
void AddReplayOptions(CLI::App& app, ReplayOptions& options);

// Throws Refusal where files of what units send are wanted: of a configuration without units.
void RefuseWire(const ReplayOptions& options);

// Decides on a whole capture, as Replay does: what a door is.
using Door = std::function<ReplayResult(const Capture&, const config::RunConfig&, const ReplayBegin&,
                                        const ReplayObserver&, std::uint64_t loops)>;

// Loads what the options name, has the door decide, traces and prints. Throws Refusal, std::runtime_error.
// A configuration with packet dynamics units goes to `carrier` instead; without one it is refused.
void RunReplay(const ReplayOptions& options, const Door& door, const ShardCarrier& carrier = {});

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_REPLAY_PROGRAM_H_
