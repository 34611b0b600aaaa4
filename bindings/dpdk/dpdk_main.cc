// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/replay.h"
#include "bindings/pcap/replay_report.h"
#include "models/base/refusal.h"

namespace foreflow {
namespace {

constexpr int kFailed = 1;
constexpr int kRefused = 2;
constexpr unsigned kMostWorkers = 64;
constexpr unsigned kReplayMegabytes = 256;

struct ReplayOptions {
  pcap::ReplayReport report;
  std::string config = "none";
  std::string trace;
  unsigned workers = 1;
  std::uint64_t loops = 1;
};

void RunReplay(const ReplayOptions& options) {
  const config::RunConfig config =
      options.config == "none" ? pcap::DefaultReplayConfig() : config::LoadRunConfig(options.config);
  if (options.loops > 1 && !options.trace.empty()) {
    throw Refusal("command line: --trace names the packets of one pass; leave --loop or --trace out");
  }
  const pcap::Capture capture = pcap::LoadCapture(options.report.capture);
  std::optional<pcap::ReplayTracer> tracer;
  pcap::ReplayBegin begin;
  pcap::ReplayObserver observer;
  if (!options.trace.empty()) {
    tracer.emplace(options.trace);
    begin = [&](const path::Future& future) { tracer->Begin(future); };
    observer = [&](std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
                   const path::StageWork& work) { tracer->Packet(packet, arrival, verdict, work); };
  }
  const dpdk::Eal eal(dpdk::UnprivilegedEal(kReplayMegabytes), options.workers, dpdk::Placement::kFloating);
  const pcap::ReplayResult result = dpdk::Replay(eal, capture, config, begin, observer, options.loops);
  if (tracer) tracer->End();
  options.report.Print(result);
}

void AddReplay(CLI::App& app, ReplayOptions& options) {
  CLI::App* replay = app.add_subcommand("replay", "decide on a capture at its recorded times");
  options.report.door = "dpdk";
  replay->add_option("capture", options.report.capture, "pcap or pcapng file, gzip-compressed or not")
      ->required();
  replay->add_option("--config", options.config,
                     "resolved configuration (JSON), or none: forward everything");
  replay->add_option("--workers", options.workers, "worker threads; as many as device.lanes have work")
      ->check(CLI::Range(1U, kMostWorkers));
  replay->add_option("--loop", options.loops, "passes over the capture, each a mean gap after the one before")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  replay->add_option("--trace", options.trace, "write the decisions to this HDF5 file");
  replay->add_flag("--fingerprint", options.report.fingerprint,
                   "end with the digest of the verdicts alone on a line");
  replay->add_flag("--json", options.report.json, "one JSON document on standard output");
}

}  // namespace
}  // namespace foreflow

int main(int argc, char** argv) {
  CLI::App app{"Decides on packets that DPDK carries."};
  app.require_subcommand(1);
  foreflow::ReplayOptions replay;
  foreflow::AddReplay(app, replay);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "command line: %s\n", error.what());
    return foreflow::kRefused;
  }
  try {
    foreflow::RunReplay(replay);
  } catch (const foreflow::Refusal& refusal) {
    std::fprintf(stderr, "%s\n", refusal.what());
    return foreflow::kRefused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return foreflow::kFailed;
  }
  return 0;
}
