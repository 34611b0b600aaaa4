// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_IMPAIR_RUN_H_
#define FOREFLOW_BINDINGS_DPDK_IMPAIR_RUN_H_

#include <string>

#include "bindings/dpdk/pair_run.h"

namespace foreflow::dpdk {

struct ImpairRunOptions {
  std::string config;  // as ParseImpairStage has it
  PairRunOptions pair;
};

// The program `foreflow-dpdk impair`: a bad wire between two ports. Throws Refusal as its parts do, and
// std::logic_error as RunPair does.
void RunImpair(const ImpairRunOptions& options);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_IMPAIR_RUN_H_
