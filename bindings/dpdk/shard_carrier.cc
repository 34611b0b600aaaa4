// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/shard_carrier.h"

#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <stdexcept>
#include <vector>

#include "bindings/dpdk/borrowed_frame.h"
#include "bindings/dpdk/ring_port.h"
#include "models/path/arrival.h"

namespace foreflow::dpdk {
namespace {

constexpr unsigned kPlaces = 1024;  // of the port's ring
constexpr unsigned kCaches = 512;   // mbufs that a core may keep for itself
constexpr unsigned kSleepMicroseconds = 20;

// What the worker core is given, and what it says at the end.
struct Receiver {
  pcap::ShardReplay& replay;
  std::uint16_t device;
  std::vector<std::uint8_t> scratch;  // a frame in several mbufs, made whole
  std::exception_ptr failure;
};

void Receive(Receiver& receiver) {
  const std::size_t all = receiver.replay.arrivals().size();
  for (std::size_t done = 0; done < all;) {
    std::array<rte_mbuf*, path::kBurst> frames;
    const std::size_t count = rte_eth_rx_burst(receiver.device, 0, frames.data(), path::kBurst);
    if (count == 0) ::usleep(kSleepMicroseconds);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t size = frames[i]->pkt_len;
      const void* bytes = rte_pktmbuf_read(frames[i], 0, size, receiver.scratch.data());
      if (!receiver.failure) {
        try {
          receiver.replay.Input({static_cast<const std::uint8_t*>(bytes), size});
        } catch (...) {
          receiver.failure = std::current_exception();
        }
      }
      rte_pktmbuf_free(frames[i]);
    }
    done += count;
  }
}

int RunReceiver(void* receiver) {
  Receive(*static_cast<Receiver*>(receiver));
  return 0;
}

}  // namespace

void CarryFrames(const Eal& eal, pcap::ShardReplay& replay) {
  constexpr unsigned kMbufs = kPlaces + path::kBurst + 2 * kCaches + 2 * kMostSegments;
  const Pool pool = MakePool("foreflow_shard", kMbufs, sizeof(BorrowedMeta), RTE_PKTMBUF_HEADROOM);
  {
    RingPort port("foreflow_shard", 1, kPlaces, pool.get());
    Receiver receiver{replay, port.device(), std::vector<std::uint8_t>(pcap::kMaxCapturedBytes), {}};
    rte_eal_remote_launch(RunReceiver, &receiver, eal.worker_lcores()[0]);
    for (std::size_t next = 0; next < replay.arrivals().size();) {
      rte_mbuf* frame = BorrowFrame(pool.get(), replay.arrivals()[next], next);
      while (frame != nullptr && rte_ring_enqueue(port.rx(0), frame) != 0) ::usleep(kSleepMicroseconds);
      if (frame == nullptr) {
        ::usleep(kSleepMicroseconds);  // all are under way
      } else {
        ++next;
      }
    }
    rte_eal_mp_wait_lcore();
    if (receiver.failure) std::rethrow_exception(receiver.failure);
  }
  if (rte_mempool_avail_count(pool.get()) != kMbufs) {
    throw std::logic_error(std::to_string(kMbufs - rte_mempool_avail_count(pool.get())) + " mbufs were lost");
  }
}

}  // namespace foreflow::dpdk
