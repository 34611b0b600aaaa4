// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PORT_H_
#define FOREFLOW_BINDINGS_DPDK_PORT_H_

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bindings/dpdk/eal.h"
#include "bindings/dpdk/packet_socket.h"

namespace foreflow::dpdk {

// A port that the EAL found. What the driver cannot do is done by the workers.
struct PortFacts {
  std::uint16_t device = 0;  // DPDK's number
  std::string name;          // of the device, e.g. net_af_packet0
  std::string driver;
  std::uint16_t least_mtu = 0;
  std::uint16_t most_mtu = 0;     // 0: the driver does not say
  std::uint16_t queues = 1;       // the most, to receive and to transmit alike
  std::uint16_t rss_entries = 0;  // of the redirection table; 0: the port does not steer by addresses
  // Whether frames can carry the time the driver received them, in microseconds since 1970.
  bool stamps_microseconds = false;
  unsigned interface = PacketSockets::kNone;  // the kernel's number of the network interface behind the port
};

// All ports, in DPDK's order. Throws Refusal when there is none, with what the EAL complained of.
std::vector<PortFacts> FindPorts(const Eal& eal);

// Throws Refusal, with the MTUs the port takes, unless `mtu` is one of them.
void CheckMtu(const PortFacts& facts, std::uint16_t mtu);

// How a port that steers hashes: by addresses alone, with the key that LaneOf has.
rte_eth_rss_conf AddressRss(const rte_eth_dev_info& info);

struct PortSetup {
  std::uint16_t queues = 1;  // to receive, and as many to transmit
  bool steers = false;       // lane i goes to queue i mod queues; else the driver spreads frames as it likes
  std::uint16_t lanes = 1;
  std::uint16_t mtu = 0;  // 0: as it is
  bool marks = false;     // frames may carry marks of flow rules, where the driver has such
  rte_mempool* pool = nullptr;
};

// A started port; stopped and closed on destruction, which gives all mbufs back.
class Port {
 public:
  static constexpr std::uint16_t kDescriptors = 1024;  // asked for; a driver may have its own bounds

  // Promiscuous, since the frames are for others. Throws Refusal naming the port and what it refused, with
  // the MTUs it takes.
  Port(const PortFacts& facts, const PortSetup& setup);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  const PortFacts& facts() const { return facts_; }
  const PortSetup& setup() const { return setup_; }
  // Frames that the port received and could not hand over, for want of descriptors or mbufs, so far. One
  // thread at a time.
  std::uint64_t Missed();

 private:
  PortFacts facts_;
  PortSetup setup_;
  PacketSockets sockets_;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PORT_H_
