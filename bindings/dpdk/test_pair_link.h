// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_TEST_PAIR_LINK_H_
#define FOREFLOW_BINDINGS_DPDK_TEST_PAIR_LINK_H_

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bindings/dpdk/port_pair.h"
#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/test_eal.h"

namespace foreflow::dpdk {

// Frames for a stage, and those that it sent, by port: a test in the place of PortPair, with times of its
// own.
class TestPairLink {
 public:
  static constexpr unsigned kMbufs = 8192;

  explicit TestPairLink(const std::string& name)
      : eal_(TestEal()),
        pool_(MakePool(name, kMbufs, 0, 2048 + RTE_PKTMBUF_HEADROOM)),
        ports_{RingPort(name + "0", 1, kPlaces, pool_.get()), RingPort(name + "1", 1, kPlaces, pool_.get())},
        link_(pool_.get(), kPlaces) {}

  void Receive(PairStage& stage, std::size_t port, const std::vector<std::uint8_t>& bytes, Nanos now) {
    rte_mbuf* frame = link_.NewFrame();
    std::copy(
        bytes.begin(), bytes.end(),
        reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, static_cast<std::uint16_t>(bytes.size()))));
    stage.Receive(port, &frame, 1, now, link_);
  }
  // What has left by a port since the last call.
  std::vector<std::vector<std::uint8_t>> Sent(std::size_t port) {
    std::vector<std::vector<std::uint8_t>> sent;
    while (link_.Flush(port, ports_[port].device()) > 0) {
      void* taken = nullptr;
      while (rte_ring_dequeue(ports_[port].tx(0), &taken) == 0) {
        auto* frame = static_cast<rte_mbuf*>(taken);
        const auto* at = rte_pktmbuf_mtod(frame, const std::uint8_t*);
        sent.emplace_back(at, at + frame->data_len);
        rte_pktmbuf_free(frame);
      }
    }
    return sent;
  }
  PairLink& link() { return link_; }
  // Frames that are neither here nor sent.
  std::size_t Out() const { return kMbufs - rte_mempool_avail_count(pool_.get()); }

 private:
  static constexpr unsigned kPlaces = 4096;

  const Eal& eal_;
  Pool pool_;
  std::array<RingPort, kPairPorts> ports_;
  PairLink link_;
};

// The rows of a group by name.
inline std::uint64_t RowOf(const PairStage& stage, const std::string& group, const std::string& name) {
  std::vector<std::uint64_t> values(stage.rows().size());
  stage.Count(values.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (stage.rows()[i].group == group && stage.rows()[i].name == name) return values[i];
  }
  ADD_FAILURE() << "no row " << group << "." << name;
  return 0;
}
inline std::uint64_t SumOf(const PairStage& stage, const std::string& group) {
  std::vector<std::uint64_t> values(stage.rows().size());
  stage.Count(values.data());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (stage.rows()[i].group == group) sum += values[i];
  }
  return sum;
}

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_TEST_PAIR_LINK_H_
