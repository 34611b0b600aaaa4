// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "bindings/config/run_config.h"
#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/impair_run.h"
#include "bindings/dpdk/nic_run.h"
#include "bindings/dpdk/replay.h"
#include "bindings/dpdk/shard_carrier.h"
#include "bindings/dpdk/unit_run.h"
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
  const auto start = [&] {
    return dpdk::Eal(dpdk::UnprivilegedEal(kReplayMegabytes), options.workers, dpdk::Placement::kFloating);
  };
  pcap::RunReplay(
      options,
      [&](const pcap::Capture& capture, const config::RunConfig& config, const pcap::ReplayBegin& begin,
          const pcap::ReplayObserver& observer, std::uint64_t loops) {
        const dpdk::Eal eal = start();
        return dpdk::Replay(eal, capture, config, begin, observer, loops);
      },
      [&](pcap::ShardReplay& replay) {
        const dpdk::Eal eal = start();
        dpdk::CarryFrames(eal, replay);
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

// What every stage between two ports takes.
void AddPair(CLI::App& app, dpdk::PairRunOptions& options) {
  app.add_option("--mtu", options.mtu, "of both ports, bytes")->check(CLI::Range(68, 65'000));
  app.add_option("--seconds", options.seconds, "how long to run; without: until SIGINT or SIGTERM")
      ->check(CLI::Range(0.001, 1e9));
  app.add_flag("--json", options.json, "one JSON document on standard output");
}

void AddImpair(CLI::App& app, dpdk::ImpairRunOptions& options) {
  CLI::App* impair =
      app.add_subcommand("impair", "lose, delay, reorder, repeat and change what passes between two ports");
  impair->add_option("config", options.config, "what happens in either direction (JSON)")->required();
  AddPair(*impair, options.pair);
}

void AddUnit(CLI::App& app, dpdk::UnitRunOptions& options) {
  CLI::App* unit = app.add_subcommand(
      "unit", "a packet dynamics unit between the host at the first port and the network at the second");
  unit->add_option("link", options.link, "own end, peer and keys (JSON)")->required();
  unit->add_option("--key-log", options.key_log, "append the keys to this file: who has it reads everything");
  unit->add_option("--trace", options.trace, "write the messages that it opens to this HDF5 file");
  AddPair(*unit, options.pair);
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
  foreflow::dpdk::ImpairRunOptions impair;
  foreflow::AddImpair(app, impair);
  foreflow::dpdk::UnitRunOptions unit;
  foreflow::AddUnit(app, unit);
  // What follows -- is DPDK's, and looks like options of ours.
  int own = 1;
  while (own < argc && std::strcmp(argv[own], "--") != 0) ++own;
  const std::vector<std::string> eal(argv + std::min(own + 1, argc), argv + argc);
  nic.eal = impair.pair.eal = unit.pair.eal = eal;
  return foreflow::RunProgram(app, own, argv, [&] {
    if (app.got_subcommand("nic")) {
      foreflow::dpdk::RunNic(nic);
    } else if (app.got_subcommand("impair")) {
      foreflow::dpdk::RunImpair(impair);
    } else if (app.got_subcommand("unit")) {
      foreflow::dpdk::RunUnit(unit);
    } else {
      foreflow::RunReplay(replay);
    }
  });
}
