// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_REPLAY_H_
#define FOREFLOW_BINDINGS_DPDK_REPLAY_H_

#include "bindings/dpdk/eal.h"
#include "bindings/pcap/replay.h"

namespace foreflow::dpdk {

// The DPDK door in virtual time: the capture's frames pass through mbufs, ports, the workers' loop and the
// egress queues, and are decided at their recorded times. Same arguments, result and refusals as
// pcap::Replay, whose verdict stream it must give for any number of workers; verdicts are merged in order of
// arrival. Uses workers up to eal.worker_lcores() and up to device.lanes; the calling thread feeds and
// merges.
//
// Throws std::logic_error where a frame or an mbuf was lost.
pcap::ReplayResult Replay(const Eal& eal, const pcap::Capture& capture, config::RunConfig config,
                          const pcap::ReplayBegin& begin, const pcap::ReplayObserver& observer,
                          std::uint64_t loops);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_REPLAY_H_
