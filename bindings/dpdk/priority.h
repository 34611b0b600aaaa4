// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PRIORITY_H_
#define FOREFLOW_BINDINGS_DPDK_PRIORITY_H_

namespace foreflow::dpdk {

// Asks the kernel to run the calling thread before all ordinary ones (SCHED_FIFO), so that what else runs on
// the machine does not count. False where that is not permitted.
bool RunFirst();
// Takes that back.
void RunAsOthers();

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PRIORITY_H_
