// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PAIR_RUN_H_
#define FOREFLOW_BINDINGS_DPDK_PAIR_RUN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bindings/config/strict_json.h"
#include "bindings/dpdk/port_pair.h"

namespace foreflow::dpdk {

// What every stage between two ports is run with.
struct PairRunOptions {
  std::uint16_t mtu = 0;  // of both ports; 0: as they have it
  double seconds = 0;     // 0: until a signal
  bool json = false;
  std::vector<std::string> eal;  // DPDK's own arguments
};

// What a run says besides of a stage, and does beside it.
struct PairRunRole {
  std::string name;
  // Called about each millisecond from the thread that set up. Empty: nothing is to be done.
  std::function<void()> poll;
  // Called once when the run is to end, while the stage still runs. Empty: nothing is to be done.
  std::function<void()> stop;
  // More keys of the final document. Empty: none.
  std::function<config::Json()> report;
};

// Runs the stage between the two ports of `pair` until the time is over, or until SIGINT or SIGTERM; then
// drains, and prints where every frame went. Throws std::logic_error where a frame or an mbuf was lost.
// Signals are heeded where HandleStopSignals was called before.
void RunPair(const PairRunOptions& options, PortPair& pair, PairStage& stage, const PairRunRole& role);

// {ports: [{name, in, in_bytes, out, out_bytes, queue_full, queued, missed}], held, busy_cycles_per_frame,
// and an object of counts for each group of the stage's rows}.
config::Json ToJson(const PairCount& count, const std::vector<PairRow>& rows);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PAIR_RUN_H_
