// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/impair_run.h"

#include "bindings/dpdk/impair_stage.h"
#include "bindings/dpdk/stop_signal.h"

namespace foreflow::dpdk {

void RunImpair(const ImpairRunOptions& options) {
  HandleStopSignals();
  const ImpairStageConfig config = LoadImpairStage(options.config);
  ImpairStage stage(config);
  const Eal eal(options.pair.eal, 1, Placement::kFloating);
  PortPair pair(eal, options.pair.mtu, config.frames);
  RunPair(options.pair, pair, stage, {"impairment", {}, {}, {}});
}

}  // namespace foreflow::dpdk
