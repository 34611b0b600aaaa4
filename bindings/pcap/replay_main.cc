// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>

#include "bindings/pcap/replay.h"
#include "bindings/pcap/replay_program.h"
#include "bindings/program/run_program.h"

int main(int argc, char** argv) {
  foreflow::pcap::ReplayOptions options;
  options.report.door = "pcap";
  CLI::App app{"Decides on a capture at its recorded times: the pcap door."};
  foreflow::pcap::AddReplayOptions(app, options);
  return foreflow::RunProgram(app, argc, argv, [&] {
    foreflow::pcap::RunReplay(options, foreflow::pcap::Replay, foreflow::pcap::CarryFrames);
  });
}
