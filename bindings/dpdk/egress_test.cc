// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/egress.h"

#include <gtest/gtest.h>

#include "bindings/dpdk/frame.h"
#include "bindings/dpdk/ring_port.h"
#include "bindings/dpdk/test_eal.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kMbufs = 1023;
constexpr unsigned kPlaces = 8;  // of the port's rings

class EgressTest : public ::testing::Test {
 protected:
  EgressTest() {
    TestEal();
    pool_ = MakePool("egress_test", kMbufs, sizeof(FrameMeta), 256);
    port_ = std::make_unique<RingPort>("egress_test", 1, kPlaces, pool_.get());
    tx_.device = port_->device();
  }
  ~EgressTest() override {
    Received(kMbufs);
    port_.reset();
    EXPECT_EQ(rte_mempool_avail_count(pool_.get()), kMbufs) << "mbufs were lost";
  }

  rte_mbuf* Frame(std::uint16_t bytes) {
    rte_mbuf* frame = rte_pktmbuf_alloc(pool_.get());
    rte_pktmbuf_append(frame, bytes);
    return frame;
  }
  // The lengths of up to `most` frames that left by the port.
  std::vector<std::uint32_t> Received(unsigned most) {
    std::vector<std::uint32_t> lengths;
    void* frame;
    while (lengths.size() < most && rte_ring_dequeue(port_->tx(0), &frame) == 0) {
      lengths.push_back(static_cast<rte_mbuf*>(frame)->pkt_len);
      rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
    }
    return lengths;
  }

  Pool pool_;
  std::unique_ptr<RingPort> port_;
  TxQueue tx_;
  SentCount sent_;
};

TEST_F(EgressTest, TheFirstQueueLeavesFirst) {
  Egress egress(16);
  ASSERT_TRUE(egress.Put({Frame(60), false}, 3, 60));
  ASSERT_TRUE(egress.Put({Frame(61), false}, 1, 61));
  ASSERT_TRUE(egress.Put({Frame(62), false}, 0, 62));
  EXPECT_EQ(egress.Send(tx_, sent_), 3u);
  const std::vector<std::uint32_t> lengths = Received(3);
  ASSERT_EQ(lengths.size(), 3u);
  EXPECT_EQ(lengths[0], 62u);
  EXPECT_EQ(sent_.frames, 3u);
  EXPECT_EQ(sent_.bytes, 60u + 61 + 62);
}

TEST_F(EgressTest, WhatThePortDoesNotTakeIsHeldInOrder) {
  Egress egress(16);
  for (std::uint16_t i = 0; i < 16; ++i) {
    ASSERT_TRUE(egress.Put({Frame(static_cast<std::uint16_t>(60 + i)), false}, 0, 60));
  }
  std::vector<std::uint32_t> lengths;
  EXPECT_EQ(egress.Send(tx_, sent_), kPlaces);
  EXPECT_EQ(egress.held(), 16 - kPlaces);
  EXPECT_EQ(egress.Send(tx_, sent_), 0u) << "the port is full";
  while (egress.held() > 0 || lengths.size() < 16) {
    const std::vector<std::uint32_t> some = Received(3);
    lengths.insert(lengths.end(), some.begin(), some.end());
    egress.Send(tx_, sent_);
  }
  for (std::uint32_t i = 0; i < 16; ++i) EXPECT_EQ(lengths[i], 60 + i);
  EXPECT_EQ(sent_.frames, 16u);
}

TEST_F(EgressTest, AFullQueueRefusesAndAnotherStillTakes) {
  Egress egress(2);
  ASSERT_TRUE(egress.Put({Frame(60), false}, 2, 60));
  ASSERT_TRUE(egress.Put({Frame(60), false}, 2, 60));
  rte_mbuf* refused = Frame(60);
  EXPECT_FALSE(egress.Put({refused, false}, 2, 60));
  rte_pktmbuf_free(refused);
  EXPECT_TRUE(egress.Put({Frame(60), false}, 1, 60));
  EXPECT_EQ(egress.held(), 3u);
  // Frees them: the fixture counts.
}

TEST_F(EgressTest, CopiesAreCountedApartAndShareTheFrame) {
  Egress egress(16);
  rte_mbuf* frame = Frame(100);
  rte_pktmbuf_refcnt_update(frame, 2);
  ASSERT_TRUE(egress.Put({frame, false}, 1, 100));
  ASSERT_TRUE(egress.Put({frame, true}, 1, 100));
  ASSERT_TRUE(egress.Put({frame, true}, 1, 100));
  EXPECT_EQ(egress.held_copies(), 2u);
  EXPECT_EQ(egress.Send(tx_, sent_), 3u);
  EXPECT_EQ(sent_.frames, 1u);
  EXPECT_EQ(sent_.copies, 2u);
  EXPECT_EQ(sent_.bytes, 300u);
  EXPECT_EQ(egress.held_copies(), 0u);
  EXPECT_EQ(Received(9).size(), 3u);
}

TEST_F(EgressTest, GoesByARingWhereAnotherWorkerTransmits) {
  const Ring ring = MakeRing("egress_test_ring", sizeof(void*), 2, RING_F_SC_DEQ);
  tx_.to_owner = ring.get();
  Egress egress(16);
  rte_mbuf* frame = Frame(100);
  rte_pktmbuf_refcnt_update(frame, 2);
  ASSERT_TRUE(egress.Put({frame, true}, 0, 100));
  ASSERT_TRUE(egress.Put({frame, false}, 0, 100));
  ASSERT_TRUE(egress.Put({frame, true}, 0, 100));
  EXPECT_EQ(egress.Send(tx_, sent_), 2u) << "the ring has two places";
  EXPECT_EQ(egress.held(), 1u);
  EXPECT_EQ(egress.held_copies(), 1u);
  EXPECT_EQ(sent_.frames + sent_.copies, 0u) << "counted by the worker that transmits";
  void* packed = nullptr;
  ASSERT_EQ(rte_ring_dequeue(ring.get(), &packed), 0);
  EXPECT_EQ(Unpack(packed).frame, frame);
  EXPECT_TRUE(Unpack(packed).is_copy);
  rte_pktmbuf_free(frame);
  ASSERT_EQ(rte_ring_dequeue(ring.get(), &packed), 0);
  EXPECT_FALSE(Unpack(packed).is_copy);
  rte_pktmbuf_free(frame);
}

}  // namespace
}  // namespace foreflow::dpdk
