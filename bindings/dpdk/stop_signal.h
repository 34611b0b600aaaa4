// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_STOP_SIGNAL_H_
#define FOREFLOW_BINDINGS_DPDK_STOP_SIGNAL_H_

namespace foreflow::dpdk {

// From now on SIGINT and SIGTERM are heeded by whoever asks StopWanted, and end nothing themselves.
void HandleStopSignals();
bool StopWanted();

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_STOP_SIGNAL_H_
