// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_RING_PORT_H_
#define FOREFLOW_BINDINGS_DPDK_RING_PORT_H_

#include <rte_mempool.h>
#include <rte_ring.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace foreflow::dpdk {

struct FreeRing {
  void operator()(rte_ring* ring) const { rte_ring_free(ring); }
};
struct FreePool {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
using Ring = std::unique_ptr<rte_ring, FreeRing>;
using Pool = std::unique_ptr<rte_mempool, FreePool>;

// A ring of elements of `bytes` (a multiple of 4) for at least `places` of them. `flags` as of
// rte_ring_create. Throws Refusal when there is no memory for it.
Ring MakeRing(const std::string& name, unsigned bytes, unsigned places, unsigned flags);

// mbufs with `room` bytes for data and `priv` bytes of private area. Throws Refusal when there is no memory.
Pool MakePool(const std::string& name, unsigned mbufs, unsigned priv, std::uint32_t room);

// An Ethernet port (net_ring) whose other end this process holds: queue i receives what is put on rx(i), and
// what is transmitted on it comes out of tx(i). Each ring has one producer and one consumer.
class RingPort {
 public:
  // Throws Refusal when there is no memory. `pool` as of rte_eth_rx_queue_setup.
  RingPort(const std::string& name, unsigned queues, unsigned places, rte_mempool* pool);
  ~RingPort();
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  std::uint16_t device() const { return device_; }
  rte_ring* rx(std::size_t queue) { return rx_[queue].get(); }
  rte_ring* tx(std::size_t queue) { return tx_[queue].get(); }

 private:
  std::vector<Ring> rx_;
  std::vector<Ring> tx_;
  std::uint16_t device_ = 0;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_RING_PORT_H_
