// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/nic_run.h"
#include "bindings/dpdk/replay.h"
#include "bindings/pcap/replay.h"
#include "bindings/pcap/replay_program.h"
#include "bindings/program/run_program.h"

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

void AddNic(CLI::App& app, dpdk::NicRunOptions& options) {
  CLI::App* nic = app.add_subcommand("nic", "switch between all ports of the EAL, whose arguments follow --");
  nic->add_option("config", options.config, "resolved configuration (JSON)")->required();
  nic->add_option("--workers", options.nic.workers, "worker cores; as many as device.lanes have work")
      ->check(CLI::Range(1U, kMostWorkers));
  nic->add_option("--uplink", options.nic.uplink,
                  "port (number or name) of VM 0, last, or none; the others are VMs 1, 2, ... in order");
  nic->add_option("--mirror", options.nic.mirror,
                  "port (number or name) that gets mirrored packets, or none");
  nic->add_option("--mtu", options.nic.mtu, "of all ports, bytes")->check(CLI::Range(68, 65'000));
  nic->add_option("--spare-mbufs", options.nic.spare_mbufs,
                  "packet buffers for drivers that keep some, as net_pcap does with infinite_rx")
      ->check(CLI::Range(0U, 100'000'000U));
  nic->add_option("--switch", options.nic.switching,
                  "learn: by destination MAC, as a bridge; pair: ports 0 and 1, 2 and 3, ... are wires")
      ->transform(CLI::CheckedTransformer(std::map<std::string, dpdk::Switching>{
          {"learn", dpdk::Switching::kLearn}, {"pair", dpdk::Switching::kPair}}));
  nic->add_option(
         "--offload-rules", options.nic.offload,
         "what ports do with the rules: off; mark: look them up; drop: besides, drop what rules drop")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, dpdk::OffloadMode>{{"off", dpdk::OffloadMode::kOff},
                                                   {"mark", dpdk::OffloadMode::kMark},
                                                   {"drop", dpdk::OffloadMode::kDrop}}));
  nic->add_option("--clock", options.nic.live, "live, or virtual: the time stamps of the ports' frames")
      ->transform(CLI::CheckedTransformer(std::map<std::string, bool>{{"live", true}, {"virtual", false}}));
  nic->add_option("--seconds", options.seconds, "how long to run; without: until SIGINT or SIGTERM")
      ->check(CLI::Range(0.001, 1e9));
  nic->add_option("--trace", options.trace, "write the decisions to this HDF5 file");
  nic->add_option("--control", options.control, "file (JSON) with the peers that may control the device");
  nic->add_flag("--json", options.json, "one JSON document on standard output");
}

}  // namespace
}  // namespace foreflow

int main(int argc, char** argv) {
  CLI::App app{"Decides on packets that DPDK carries."};
  app.require_subcommand(1);
  foreflow::ReplayOptions replay;
  foreflow::AddReplay(app, replay);
  foreflow::dpdk::NicRunOptions nic;
  foreflow::AddNic(app, nic);
  // What follows -- is DPDK's, and looks like options of ours.
  int own = 1;
  while (own < argc && std::strcmp(argv[own], "--") != 0) ++own;
  for (int i = own + 1; i < argc; ++i) nic.eal.emplace_back(argv[i]);
  return foreflow::RunProgram(app, own, argv, [&] {
    if (app.got_subcommand("nic")) {
      foreflow::dpdk::RunNic(nic);
    } else {
      foreflow::RunReplay(replay);
    }
  });
}
