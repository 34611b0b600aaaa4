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
#include "bindings/dpdk/interference.h"
#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/switch.h"
#include "bindings/dpdk/worker.h"
#include "models/path/lanes.h"

namespace foreflow::dpdk {

// Workers of the runner, one after the other, between two rings, for measuring: the calling thread writes
// frames into memory, as a NIC does (so that their bytes come from outside the worker's core), offers them
// and takes back what the worker sends, while callbacks stamp frames as they are received and sent. The
// verdicts are decided at the arrivals' own times, whatever the pace. During a pass, and only then, both
// threads run before ordinary ones where that is permitted.
class Loopback {
 public:
  // Throws Refusal when there is no memory. One of a process at a time.
  explicit Loopback(const Eal& eal);
  ~Loopback();
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  // A worker for passes of this object, which must outlive it, as must `lanes`.
  std::unique_ptr<Worker> MakeWorker(path::Lanes& lanes, std::uint16_t vms, std::uint32_t queue_packets);

  struct Pass {
    std::uint64_t packets = 0;
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;
    std::uint64_t bursts = 0;
    std::uint64_t busy_cycles = 0;           // of the worker, in rounds that moved a frame
    std::uint64_t wall_cycles = 0;           // until the last frame was taken back
    std::uint64_t involuntary_switches = 0;  // of the worker and of the calling thread
    bool ran_first = false;                  // both threads were allowed to
    std::vector<Gap> worker_gaps;            // rounds of the worker's loop
    std::vector<Gap> feeder_gaps;            // and of the calling thread's that took longer than kLeastGap
  };
  // Offers `count` arrivals and waits until all are decided and taken back. Without `due` (offsets in time
  // stamp counts, one a packet) as fast as the worker takes them; `stamps`, if any, has room for all.
  Pass Run(Worker& worker, const path::Arrival* arrivals, std::size_t count, const std::uint64_t* due,
           Stamp* stamps);
  // The same loop for so many time stamp counts with nothing to do: what interference there is by itself.
  Pass Idle(Worker& worker, std::uint64_t cycles);

 private:
  static int Work(void* loopback);
  void Start(Worker& worker, Stamp* stamps);
  void Finish(Worker& worker, const WorkerCount& before, Pass& pass);
  void Polled(std::size_t received);
  void TakeBack(rte_mbuf** frames, unsigned count);
  unsigned MakeFrames(const path::Arrival* arrivals, std::size_t first, unsigned count, rte_mbuf** made);

  unsigned lcore_;
  Pool pool_;
  RingPort port_;
  Switch fabric_;
  std::atomic<Phase> phase_{Phase::kRun};
  const rte_eth_rxtx_callback* on_receive_ = nullptr;
  const rte_eth_rxtx_callback* on_send_ = nullptr;
  std::uint64_t least_gap_;  // in time stamp counts

  // Of the pass that runs; changed between passes only, then the worker thread's alone.
  Worker* worker_ = nullptr;
  Stamp* stamps_ = nullptr;
  std::atomic<pid_t> worker_thread_{0};
  std::atomic<bool> worker_first_{false};
  bool feeder_first_ = false;
  std::uint64_t feeder_switches_ = 0;
  std::uint64_t worker_switches_ = 0;
  std::uint64_t bursts_ = 0;
  std::uint64_t polled_ = 0;    // when the worker polled last
  std::uint32_t received_ = 0;  // and what it got
  std::vector<Gap> gaps_;
  std::vector<rte_mbuf*> spare_;  // the calling thread's
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_LOOPBACK_H_
