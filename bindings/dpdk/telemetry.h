// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_TELEMETRY_H_
#define FOREFLOW_BINDINGS_DPDK_TELEMETRY_H_

#include "bindings/dpdk/nic.h"

namespace foreflow::dpdk {

// Answers on DPDK's telemetry socket (dpdk-telemetry.py) for as long as it lives:
//   /foreflow/stats  packets in, out, held, dropped; copies; what was decided and handed over
//   /foreflow/ports  by port: VM, frames and bytes in and out, missed
//   /foreflow/drops  drops by reason
//   /foreflow/path   what host and device did: punts, installs, tags
//   /foreflow/offload  by port: what of the rules it decides; with a rule's id: whether it does, or why not
// Where the EAL runs without telemetry nobody asks. One at a time in a process.
class Telemetry {
 public:
  explicit Telemetry(Nic& nic);
  ~Telemetry();  // waits for an answer that is being made
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_TELEMETRY_H_
