// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_LOOPBACK_H_
#define FOREFLOW_BINDINGS_DPDK_LOOPBACK_H_

#include <rte_ethdev.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/switch.h"
#include "bindings/dpdk/worker.h"
#include "models/path/lanes.h"

namespace foreflow::dpdk {

// One worker of the runner between two rings, for measuring: the calling thread offers frames and takes back
// what the worker sends, while the worker's callbacks stamp frames as they are received and sent. The
// verdicts are decided at the arrivals' own times, whatever the pace. The worker runs before ordinary threads
// where that is permitted; the calling thread should too.
class Loopback {
 public:
  // `lanes` must outlive this object. Throws Refusal when there is no memory.
  Loopback(const Eal& eal, path::Lanes& lanes, std::uint16_t vms, std::uint32_t queue_packets);
  ~Loopback();
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  // Time stamp counts of one packet; 0: it was not sent.
  struct Stamp {
    std::uint64_t due = 0;      // when it should be offered
    std::uint64_t offered = 0;  // put on the ring
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
  };
  struct Pass {
    std::uint64_t packets = 0;
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;
    std::uint64_t bursts = 0;
    std::uint64_t busy_cycles = 0;           // of the worker, in rounds that moved a frame
    std::uint64_t involuntary_switches = 0;  // of the worker and of the calling thread
  };
  // Offers `count` arrivals and waits until all are decided and taken back. Without `due` (offsets in time
  // stamp counts, one a packet) as fast as the worker takes them; `stamps`, if any, has room for all.
  Pass Run(const path::Arrival* arrivals, std::size_t count, const std::uint64_t* due, Stamp* stamps);

 private:
  static int Work(void* loopback);
  std::uint64_t Switches() const;

  unsigned lcore_;
  Pool pool_;
  RingPort port_;
  Switch fabric_;
  std::atomic<Phase> phase_{Phase::kRun};
  std::unique_ptr<Worker> worker_;
  const rte_eth_rxtx_callback* on_receive_ = nullptr;
  const rte_eth_rxtx_callback* on_send_ = nullptr;
  std::atomic<pid_t> worker_thread_{0};
  Stamp* stamps_ = nullptr;  // while a pass is stamped; changed between passes only
  std::uint64_t bursts_ = 0;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_LOOPBACK_H_
