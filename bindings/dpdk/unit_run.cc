// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/unit_run.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "bindings/dpdk/stop_signal.h"
#include "bindings/dpdk/unit_host.h"

namespace foreflow::dpdk {

void RunUnit(const UnitRunOptions& options) {
  HandleStopSignals();
  UnitLink link = LoadUnitLink(options.link);
  const Eal eal(options.pair.eal, 1, Placement::kFloating);
  UnitStageConfig config;
  config.unit = link.unit;
  config.own = link.own;
  config.peer = link.peer;
  std::optional<MessageTrace> trace;
  if (!options.trace.empty()) config.trace = &trace.emplace(options.trace);
  UnitStage stage(config);
  UnitHost host(link, stage, options.key_log);
  link.keys.own.Erase();
  PortPair pair(eal, options.pair.mtu, UnitStage::kMostHeld);
  PairRunRole role;
  role.name = "unit";
  role.poll = [&] {
    host.Poll();
    if (trace) trace->Write();
  };
  role.stop = [&] { host.Close(); };
  role.report = [&] {
    return config::Json{
        {"keys", host.Report()}, {"unit_bytes", stage.bytes()}, {"trace_lost", trace ? trace->lost() : 0}};
  };
  RunPair(options.pair, pair, stage, role);
  if (trace) trace->End();
}

}  // namespace foreflow::dpdk
