// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PAIR_TELEMETRY_H_
#define FOREFLOW_BINDINGS_DPDK_PAIR_TELEMETRY_H_

#include "bindings/dpdk/port_pair.h"

namespace foreflow::dpdk {

// Answers on DPDK's telemetry socket for a pair of ports, for as long as it lives:
//   /foreflow/ports  by port: frames and bytes in and out, missed, what found its queue full
//   /foreflow/stage  all that the stage counts, by group
// One at a time in a process.
class PairTelemetry {
 public:
  explicit PairTelemetry(PortPair& pair);
  ~PairTelemetry();  // waits for an answer that is being made
  PairTelemetry(const PairTelemetry&) = delete;
  PairTelemetry& operator=(const PairTelemetry&) = delete;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PAIR_TELEMETRY_H_
