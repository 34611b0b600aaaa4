// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_NIC_RUN_H_
#define FOREFLOW_BINDINGS_DPDK_NIC_RUN_H_

#include <string>
#include <vector>

#include "bindings/dpdk/nic.h"

namespace foreflow::dpdk {

struct NicRunOptions {
  std::string config;  // RESOLVED.json
  NicOptions nic;
  double seconds = 0;   // 0: until a signal
  std::string trace;    // HDF5 file to write, or empty
  std::string control;  // who may control the device, and where it listens (JSON file), or empty
  bool json = false;
  std::vector<std::string> eal;  // DPDK's own arguments
};

// The program `foreflow-dpdk nic`: runs until the time is over, or until SIGINT or SIGTERM; then drains, and
// prints where every packet went. Throws Refusal as its parts do, and std::logic_error where a packet or an
// mbuf was lost.
void RunNic(const NicRunOptions& options);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_NIC_RUN_H_
