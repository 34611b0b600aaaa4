// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_SHARD_CARRIER_H_
#define FOREFLOW_BINDINGS_DPDK_SHARD_CARRIER_H_

#include "bindings/dpdk/eal.h"
#include "bindings/pcap/shard_replay.h"

namespace foreflow::dpdk {

// The DPDK door of two packet dynamics units: the capture's frames go as mbufs through a port to a worker
// core, in bursts, and that hands them to the first unit in order. One worker, however many there are: a unit
// is one thread's. Throws Refusal where memory is short, and std::logic_error where an mbuf was lost.
void CarryFrames(const Eal& eal, pcap::ShardReplay& replay);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_SHARD_CARRIER_H_
