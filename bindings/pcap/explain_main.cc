// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/pcap/explain.h"
#include "bindings/pcap/run_traffic.h"
#include "bindings/pcap/shard_explain.h"
#include "bindings/program/run_program.h"
#include "models/base/refusal.h"

int main(int argc, char** argv) {
  using foreflow::pcap::Times;
  std::string resolved;
  std::vector<std::uint64_t> packets;
  bool all = false;
  Times times = Times::kLoad;
  CLI::App app{"Decides on a run's packets again, and prints what went into the decisions of some (JSON)."};
  app.add_option("resolved", resolved, "the run's resolved configuration (JSON)")->required();
  app.add_option("--packet", packets, "which, in order of arrival, from 0; several in rising order");
  app.add_flag("--all", all, "of runs through packet dynamics units: what it came to for every packet");
  const std::map<std::string, Times> names{{"recorded", Times::kRecorded}, {"load", Times::kLoad}};
  app.add_option("--times", times, "recorded: of a replay; load: of a run")
      ->transform(CLI::CheckedTransformer(names))
      ->required();
  return foreflow::RunProgram(app, argc, argv, [&] {
    const foreflow::config::RunConfig config = foreflow::config::LoadRunConfig(resolved);
    foreflow::config::RefuseControl(config);
    if (packets.empty() && !all) throw foreflow::Refusal("command line: --packet is missing; name a packet");
    if (config.shard != nullptr && times == Times::kRecorded) {
      const foreflow::pcap::Capture capture = foreflow::pcap::LoadCapture(config.input);
      const foreflow::config::Json told = foreflow::pcap::ExplainShard(capture, config, packets, all);
      std::printf("%s\n", foreflow::config::ToText(told, 1).c_str());
      return;
    }
    foreflow::config::RefuseShard(config);
    if (all)
      throw foreflow::Refusal("command line: --all is for runs through packet dynamics units; leave it out");
    const foreflow::pcap::RunTraffic run = foreflow::pcap::LoadRunTraffic(config, times);
    const foreflow::config::Json told = foreflow::pcap::Explain(run, config, packets);
    std::printf("%s\n", foreflow::config::ToText(told, 1).c_str());
  });
}
