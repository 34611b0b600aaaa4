// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PORT_PAIR_H_
#define FOREFLOW_BINDINGS_DPDK_PORT_PAIR_H_

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/port.h"
#include "bindings/dpdk/ring_port.h"
#include "models/base/units.h"

namespace foreflow::dpdk {

constexpr std::size_t kPairPorts = 2;

// What a stage does with frames. Of the thread that runs it.
class PairLink {
 public:
  // `places` of each port's queue: a power of two.
  PairLink(rte_mempool* pool, std::size_t places);
  ~PairLink();  // frees what is queued
  PairLink(const PairLink&) = delete;
  PairLink& operator=(const PairLink&) = delete;

  // An empty frame, or nullptr where all are in use.
  rte_mbuf* NewFrame() { return rte_pktmbuf_alloc(pool_); }
  // The same with all bytes of another.
  rte_mbuf* CopyOf(const rte_mbuf* frame) { return rte_pktmbuf_copy(frame, pool_, 0, UINT32_MAX); }
  // Queues the frame to leave by the port. Where its queue is full, the frame is freed and counted.
  void Send(std::size_t port, rte_mbuf* frame);
  // Hands to the port what it takes, at most a burst; how many frames that was.
  std::size_t Flush(std::size_t port, std::uint16_t device);

  struct Count {
    std::uint64_t offered = 0;     // to Send: out + queue_full + queued
    std::uint64_t out = 0;         // that the port took
    std::uint64_t out_bytes = 0;   // of these, as the port has them (without checksum)
    std::uint64_t queue_full = 0;  // freed by Send
    std::uint64_t queued = 0;
  };
  Count count(std::size_t port) const;

 private:
  struct Queue {
    std::vector<rte_mbuf*> frames;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    Count count;
  };

  rte_mempool* pool_;
  std::size_t mask_;
  std::array<Queue, kPairPorts> queues_;
};

// One number that a stage counts.
struct PairRow {
  const char* group;  // see PairStage::rows
  const char* name;
};

// What is between two ports: frames in, frames out, at times that are given. Taken from one thread, which may
// not wait in it.
class PairStage {
 public:
  virtual ~PairStage() = default;

  // Frames that a port received, in order: they are the stage's now. A burst at the most.
  virtual void Receive(std::size_t port, rte_mbuf* const* frames, std::size_t count, Nanos now,
                       PairLink& link) = 0;
  // It is `now`: what is due leaves. Called in every round.
  virtual void Advance(Nanos now, PairLink& link) = 0;
  // Gives back every frame that it holds.
  virtual void Clear() = 0;

  // What is counted, the same for as long as it lives. A group's rows tell one thing: those of kFrom[port]
  // are what became of each frame that the port received, so that their sum is the frames received.
  static constexpr std::array<const char*, kPairPorts> kFrom = {"from_port_0", "from_port_1"};
  virtual const std::vector<PairRow>& rows() const = 0;
  virtual void Count(std::uint64_t* values) const = 0;
  // Frames held.
  virtual std::size_t held() const = 0;
  // What is wrong with what it counts, where nothing runs; empty: nothing.
  virtual std::string Imbalance() const { return {}; }
};

// Where everything went, at one moment between two rounds.
struct PairCount {
  struct Port {
    std::string name;
    std::uint64_t in = 0;
    std::uint64_t in_bytes = 0;
    std::uint64_t missed = 0;
    PairLink::Count sent;
  };
  std::array<Port, kPairPorts> ports;
  std::vector<std::uint64_t> rows;  // of the stage
  std::uint64_t held = 0;           // by the stage
  std::uint64_t busy_cycles = 0;    // of the time stamp counter, in rounds that moved a frame
};

// Two ports of the EAL and one worker that runs a stage between them: receive a burst of up to 32 from each,
// let time pass, send. The calling thread sets up, asks for counts and stops; it is never on the path. A
// worker that finds nothing to do for a while sleeps for moments: others may need its core.
class PortPair {
 public:
  // Throws Refusal unless the EAL has two ports, and on an MTU (0: as the ports have it) that they do not
  // take. `held` is how many frames the stage may keep for itself. The stage must outlive this.
  PortPair(const Eal& eal, std::uint16_t mtu, std::size_t held);
  ~PortPair();  // stops
  PortPair(const PortPair&) = delete;
  PortPair& operator=(const PortPair&) = delete;

  void Start(PairStage& stage);
  // Receives nothing more, gives what is held a second to leave, and waits for the worker.
  void Stop();
  // Stops, closes the ports and returns how many mbufs did not come back: 0, or there is a leak.
  std::uint64_t Close();
  // After Start; from any thread.
  PairCount Count();
  // What is wrong with a count that was taken after Stop: frames of which nothing is known. Empty: nothing.
  std::string Imbalance(const PairCount& count) const;

  const PairStage& stage() const { return *stage_; }

 private:
  enum class Phase : std::uint8_t { kRun, kDrain, kStop };
  static int Run(void* pair);
  void Work();
  std::size_t Receive(std::size_t port, Nanos now);
  void Answer();

  const Eal& eal_;
  unsigned mbufs_ = 0;
  Pool pool_;
  std::array<std::unique_ptr<Port>, kPairPorts> ports_;
  std::unique_ptr<PairLink> link_;
  PairStage* stage_ = nullptr;
  std::atomic<Phase> phase_{Phase::kStop};
  std::atomic<bool> is_running_{false};
  std::mutex counting_;

  PairCount count_;  // the worker's: what only it knows
  PairCount answer_;
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> answered_{0};
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PORT_PAIR_H_
