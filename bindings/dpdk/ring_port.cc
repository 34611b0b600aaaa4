// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/ring_port.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include "bindings/dpdk/eal.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

[[noreturn]] void RefuseMemory(const std::string& what) {
  throw Refusal("EAL: no memory for " + what + " (" + ErrorOf() +
                "); give it more with -m MEGABYTES after --");
}

}  // namespace

Ring MakeRing(const std::string& name, unsigned bytes, unsigned places, unsigned flags) {
  Ring ring(rte_ring_create_elem(name.c_str(), bytes, places, SOCKET_ID_ANY, flags | RING_F_EXACT_SZ));
  if (!ring) RefuseMemory("ring " + name + " of " + std::to_string(places) + " places");
  return ring;
}

Pool MakePool(const std::string& name, unsigned mbufs, unsigned priv, std::uint32_t room) {
  constexpr unsigned kCache = 256;
  const unsigned aligned = (priv + RTE_MBUF_PRIV_ALIGN - 1) / RTE_MBUF_PRIV_ALIGN * RTE_MBUF_PRIV_ALIGN;
  Pool pool(rte_pktmbuf_pool_create(name.c_str(), mbufs, kCache, static_cast<std::uint16_t>(aligned),
                                    static_cast<std::uint16_t>(room), SOCKET_ID_ANY));
  if (!pool) RefuseMemory(std::to_string(mbufs) + " packet buffers of " + std::to_string(room) + " B");
  return pool;
}

RingPort::RingPort(const std::string& name, unsigned queues, unsigned places, rte_mempool* pool) {
  constexpr unsigned kOneToOne = RING_F_SP_ENQ | RING_F_SC_DEQ;
  std::vector<rte_ring*> rx;
  std::vector<rte_ring*> tx;
  for (unsigned i = 0; i < queues; ++i) {
    rx_.push_back(MakeRing(name + "_rx" + std::to_string(i), sizeof(void*), places, kOneToOne));
    tx_.push_back(MakeRing(name + "_tx" + std::to_string(i), sizeof(void*), places, kOneToOne));
    rx.push_back(rx_.back().get());
    tx.push_back(tx_.back().get());
  }
  const int device = rte_eth_from_rings(name.c_str(), rx.data(), queues, tx.data(), queues, 0);
  if (device < 0) RefuseMemory("a port of " + std::to_string(queues) + " queues");
  device_ = static_cast<std::uint16_t>(device);
  const auto count = static_cast<std::uint16_t>(queues);
  const rte_eth_conf config{};
  int error = rte_eth_dev_configure(device_, count, count, &config);
  for (std::uint16_t i = 0; i < count && error == 0; ++i) {
    error = rte_eth_rx_queue_setup(device_, i, 0, 0, nullptr, pool);
    if (error == 0) error = rte_eth_tx_queue_setup(device_, i, 0, 0, nullptr);
  }
  if (error == 0) error = rte_eth_dev_start(device_);
  if (error != 0) {
    rte_eth_dev_close(device_);
    throw Refusal("EAL: the port between feeder and workers cannot be set up (" + ErrorOf(error) + ")");
  }
}

RingPort::~RingPort() {
  // With its device, so that a port of the same name can be made again.
  rte_eth_dev_info info;
  const bool known = rte_eth_dev_info_get(device_, &info) == 0;
  rte_eth_dev_stop(device_);
  rte_eth_dev_close(device_);
  if (known) rte_dev_remove(info.device);
}

}  // namespace foreflow::dpdk
