// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/port.h"

#include <rte_ether.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "bindings/dpdk/eal.h"
#include "models/base/refusal.h"

namespace foreflow::dpdk {
namespace {

// Addresses alone, fragments and all protocols: what LaneOf hashes. Ports must not count.
constexpr std::uint64_t kAddressHashes =
    RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_IPV6 |
    RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER | RTE_ETH_RSS_IPV6_EX;
constexpr std::uint64_t kLeastHashes = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;
constexpr std::size_t kLeastKey = 40;  // bytes of key that two IPv6 addresses take
constexpr std::size_t kMostKey = 64;

void SteerByAddress(const PortFacts& facts, const PortSetup& setup) {
  std::array<rte_eth_rss_reta_entry64, RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE> table{};
  for (std::uint16_t i = 0; i < facts.rss_entries; ++i) {
    rte_eth_rss_reta_entry64& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
    const unsigned place = i % RTE_ETH_RETA_GROUP_SIZE;
    group.mask |= std::uint64_t{1} << place;
    group.reta[place] = static_cast<std::uint16_t>(i % setup.lanes % setup.queues);
  }
  const int error = rte_eth_dev_rss_reta_update(facts.device, table.data(), facts.rss_entries);
  if (error != 0) {
    throw Refusal("port " + facts.name + ": its redirection table cannot be written (" + ErrorOf(error) +
                  "); run with --workers 1");
  }
}

[[noreturn]] void RefuseMtu(const PortFacts& facts, std::uint16_t mtu) {
  std::string allowed = std::to_string(facts.least_mtu) + ".." + std::to_string(facts.most_mtu);
  if (facts.driver == "net_af_packet") allowed += "; for larger frames give framesz=BYTES to its --vdev";
  throw Refusal("port " + facts.name, "MTU", std::to_string(mtu), allowed);
}

// What ethdev will hold a wanted MTU against: the frame that the port takes, less its header and checksum.
std::uint16_t MostMtu(const rte_eth_dev_info& info) {
  std::uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
  if (info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu)
    overhead = info.max_rx_pktlen - info.max_mtu;
  std::uint32_t most = info.max_mtu;
  if (info.max_rx_pktlen > overhead) most = std::min(most, info.max_rx_pktlen - overhead);
  return static_cast<std::uint16_t>(most);
}

}  // namespace

std::vector<PortFacts> FindPorts(const Eal& eal) {
  std::vector<PortFacts> ports;
  const auto next = [](std::uint64_t from) {
    return rte_eth_find_next_owned_by(static_cast<std::uint16_t>(from), RTE_ETH_DEV_NO_OWNER);
  };
  for (std::uint64_t at = next(0); at < RTE_MAX_ETHPORTS; at = next(at + 1)) {
    const auto device = static_cast<std::uint16_t>(at);
    PortFacts port;
    port.device = device;
    char name[RTE_ETH_NAME_MAX_LEN] = "";
    rte_eth_dev_get_name_by_port(device, name);
    port.name = name;
    rte_eth_dev_info info;
    const int error = rte_eth_dev_info_get(device, &info);
    if (error != 0)
      throw Refusal("port " + port.name + ": it does not say what it can do (" + ErrorOf(error) + ")");
    port.driver = info.driver_name;
    port.least_mtu = info.min_mtu;
    port.most_mtu = MostMtu(info);
    port.queues = std::max<std::uint16_t>(std::min(info.max_rx_queues, info.max_tx_queues), 1);
    const bool hashes = (info.flow_type_rss_offloads & kLeastHashes) == kLeastHashes &&
                        info.hash_key_size >= kLeastKey && info.hash_key_size <= kMostKey;
    port.rss_entries =
        hashes && info.reta_size <= RTE_ETH_RSS_RETA_SIZE_512 ? info.reta_size : std::uint16_t{0};
    port.interface = info.if_index;
    port.stamps_microseconds = port.driver == "net_pcap";
    ports.push_back(port);
  }
  if (ports.empty()) {
    throw Refusal("EAL: there is no port" + (eal.complaint().empty() ? "" : " (" + eal.complaint() + ")") +
                  "; add one after --, e.g. --vdev=net_af_packet0,iface=eth1, or bind a NIC with "
                  "dpdk-devbind.py");
  }
  return ports;
}

void CheckMtu(const PortFacts& facts, std::uint16_t mtu) {
  if (mtu < facts.least_mtu || mtu > facts.most_mtu) RefuseMtu(facts, mtu);
}

rte_eth_rss_conf AddressRss(const rte_eth_dev_info& info) {
  static std::array<std::uint8_t, kMostKey> key = [] {
    std::array<std::uint8_t, kMostKey> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = i % 2 == 0 ? 0x6d : 0x5a;
    return bytes;
  }();
  rte_eth_rss_conf rss{};
  rss.rss_key = key.data();
  rss.rss_key_len = info.hash_key_size;
  rss.rss_hf = kAddressHashes & info.flow_type_rss_offloads;
  return rss;
}

Port::Port(const PortFacts& facts, const PortSetup& setup)
    : facts_(facts), setup_(setup), sockets_(facts.interface) {
  const auto check = [&](int error, const char* what) {
    if (error >= 0) return;
    rte_eth_dev_close(facts.device);
    throw Refusal("port " + facts.name + ": " + what + " (" + ErrorOf(error) + ")");
  };
  rte_eth_dev_info info;
  check(rte_eth_dev_info_get(facts.device, &info), "it does not say what it can do");

  rte_eth_conf config{};
  config.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if (setup.steers) {
    config.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    config.rx_adv_conf.rss_conf = AddressRss(info);
  }
  if (setup.mtu != 0) config.rxmode.mtu = setup.mtu;
  if (setup.marks) {
    // A driver that need not be asked has no such call; one that says no refuses the flow rules later.
    std::uint64_t features = RTE_ETH_RX_METADATA_USER_MARK;
    rte_eth_rx_metadata_negotiate(facts.device, &features);
  }
  check(rte_eth_dev_configure(facts.device, setup.queues, setup.queues, &config),
        "it does not take the wanted queues");
  std::uint16_t rx_descriptors = kDescriptors;
  std::uint16_t tx_descriptors = kDescriptors;
  check(rte_eth_dev_adjust_nb_rx_tx_desc(facts.device, &rx_descriptors, &tx_descriptors),
        "it does not say how many descriptors it has");
  const int socket = rte_eth_dev_socket_id(facts.device);
  const auto node = static_cast<unsigned>(socket < 0 ? SOCKET_ID_ANY : socket);
  for (std::uint16_t q = 0; q < setup.queues; ++q) {
    check(rte_eth_rx_queue_setup(facts.device, q, rx_descriptors, node, nullptr, setup.pool),
          "a receive queue cannot be set up; a driver that keeps frames, as net_pcap with infinite_rx, needs "
          "--spare-mbufs");
  }
  for (std::uint16_t q = 0; q < setup.queues; ++q) {
    check(rte_eth_tx_queue_setup(facts.device, q, tx_descriptors, node, nullptr),
          "a transmit queue cannot be set up");
  }
  if (setup.mtu != 0) {
    const int error = rte_eth_dev_set_mtu(facts.device, setup.mtu);
    // A driver without the call has no MTU of its own to change.
    if (error < 0 && error != -ENOTSUP) {
      rte_eth_dev_close(facts.device);
      RefuseMtu(facts, setup.mtu);
    }
  }
  check(rte_eth_dev_start(facts.device), "it does not start");
  if (setup.steers) SteerByAddress(facts, setup);
  // Drivers of point-to-point ports have no such filter to open.
  rte_eth_promiscuous_enable(facts.device);
  rte_eth_allmulticast_enable(facts.device);
}

Port::~Port() {
  // What a port made of software still carries, a ring that feeds itself for one, its driver would not free.
  constexpr std::size_t kMostBursts = 4096;
  std::array<rte_mbuf*, 32> frames;
  for (std::uint16_t queue = 0; queue < setup_.queues; ++queue) {
    for (std::size_t burst = 0; burst < kMostBursts; ++burst) {
      const std::uint16_t count = rte_eth_rx_burst(facts_.device, queue, frames.data(), frames.size());
      if (count == 0) break;
      rte_pktmbuf_free_bulk(frames.data(), count);
    }
  }
  rte_eth_dev_stop(facts_.device);
  rte_eth_dev_close(facts_.device);
}

std::uint64_t Port::Missed() {
  rte_eth_stats stats{};
  rte_eth_stats_get(facts_.device, &stats);
  return stats.imissed + stats.rx_nombuf + sockets_.Missed();
}

}  // namespace foreflow::dpdk
