// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdint>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/replay.h"
#include "bindings/pcap/replay.h"
#include "bindings/pcap/replay_program.h"

namespace foreflow {
namespace {

constexpr unsigned kMostWorkers = 64;
constexpr unsigned kReplayMegabytes = 256;

struct ReplayOptions : pcap::ReplayOptions {
  unsigned workers = 1;
};

void RunReplay(const ReplayOptions& options) {
  pcap::RunReplay(options, [&](const pcap::Capture& capture, const config::RunConfig& config,
                               const pcap::ReplayBegin& begin, const pcap::ReplayObserver& observer,
                               std::uint64_t loops) {
    const dpdk::Eal eal(dpdk::UnprivilegedEal(kReplayMegabytes), options.workers, dpdk::Placement::kFloating);
    return dpdk::Replay(eal, capture, config, begin, observer, loops);
  });
}

void AddReplay(CLI::App& app, ReplayOptions& options) {
  CLI::App* replay = app.add_subcommand("replay", "decide on a capture at its recorded times");
  options.report.door = "dpdk";
  pcap::AddReplayOptions(*replay, options);
  replay->add_option("--workers", options.workers, "worker threads; as many as device.lanes have work")
      ->check(CLI::Range(1U, kMostWorkers));
}

}  // namespace
}  // namespace foreflow

int main(int argc, char** argv) {
  CLI::App app{"Decides on packets that DPDK carries."};
  app.require_subcommand(1);
  foreflow::ReplayOptions replay;
  foreflow::AddReplay(app, replay);
  return foreflow::pcap::RunProgram(app, argc, argv, [&] { foreflow::RunReplay(replay); });
}
