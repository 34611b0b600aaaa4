// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_UNIT_RUN_H_
#define FOREFLOW_BINDINGS_DPDK_UNIT_RUN_H_

#include <string>

#include "bindings/dpdk/pair_run.h"

namespace foreflow::dpdk {

struct UnitRunOptions {
  std::string link;     // as ParseUnitLink has it
  std::string key_log;  // file to which keys are appended, or empty
  std::string trace;    // file of the messages that it opens, or empty
  PairRunOptions pair;
};

// The program `foreflow-dpdk unit`: a packet dynamics unit between the host at port 0 and the network at port
// 1. Throws Refusal as its parts do, and std::logic_error as RunPair does.
void RunUnit(const UnitRunOptions& options);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_UNIT_RUN_H_
