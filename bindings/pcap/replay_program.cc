// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/pcap/replay_program.h"

#include <optional>

#include "models/base/refusal.h"

namespace foreflow::pcap {

void AddReplayOptions(CLI::App& app, ReplayOptions& options) {
  ReplayReport& report = options.report;
  app.add_option("capture", report.capture, "pcap or pcapng file, gzip-compressed or not")->required();
  app.add_option("--config", options.config, "resolved configuration (JSON), or none: forward everything");
  app.add_option("--trace", options.trace, "write the decisions to this HDF5 file");
  app.add_option("--wire", options.wire.capture, "write what packet dynamics units send to this pcapng file");
  app.add_option("--key-log", options.wire.key_log, "write the keys that they send with to this file");
  app.add_option("--loop", options.loops, "passes over the capture, each a mean gap after the one before")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  app.add_option("--summary", report.summary, "write what came of it to this file (JSON)");
  app.add_flag("--fingerprint", report.fingerprint, "end with the digest of the verdicts alone on a line");
  app.add_flag("--json", report.json, "one JSON document on standard output");
}

void RefuseWire(const ReplayOptions& options) {
  if (options.wire.capture.empty() && options.wire.key_log.empty()) return;
  throw Refusal(
      "command line: --wire and --key-log are for configurations with packet dynamics units (section shard); "
      "leave them out");
}

void RunReplay(const ReplayOptions& options, const Door& door, const ShardCarrier& carrier) {
  if (options.loops > 1 && !options.trace.empty()) {
    throw Refusal("command line: --trace names the packets of one pass; leave --loop or --trace out");
  }
  const config::RunConfig config =
      options.config == "none" ? DefaultReplayConfig() : config::LoadRunConfig(options.config);
  config::RefuseControl(config);
  if (!carrier) config::RefuseShard(config);
  const Capture capture = LoadCapture(options.report.capture);
  if (config.shard != nullptr) {
    if (options.loops > 1)
      throw Refusal("command line: --loop is for configurations without packet dynamics units; leave it out");
    ShardReplay replay(capture, config, options.wire);
    carrier(replay);
    options.report.Print(replay.Finish(options.trace));
    return;
  }
  RefuseWire(options);
  std::optional<ReplayTracer> tracer;
  ReplayBegin begin;
  ReplayObserver observer;
  if (!options.trace.empty()) {
    tracer.emplace(options.trace);
    begin = [&](const path::Future& future) { tracer->Begin(future); };
    observer = [&](std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
                   const path::StageWork& work) { tracer->Packet(packet, arrival, verdict, work); };
  }
  const ReplayResult result = door(capture, config, begin, observer, options.loops);
  if (tracer) tracer->End();
  options.report.Print(result);
}

}  // namespace foreflow::pcap
