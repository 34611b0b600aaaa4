// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_SCHEDULER_H_
#define FOREFLOW_MODELS_TAG_SCHEDULER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/rules/rule.h"

namespace foreflow::tag {

// Order of departure from the egress queues: queue 0 strictly first, the others by deficit round robin
// (Shreedhar, Varghese 1995). Holds handles, not packets; the device owns those. Bounded, no allocation after
// construction.
//
// A queue that becomes backlogged joins the round at its end, with no deficit; one that runs empty leaves it
// and loses its deficit. Over any interval in which two queues stay backlogged, their bytes sent, each
// divided by its quantum, differ by at most 1 + 2 * largest packet / smaller quantum.
class Scheduler {
 public:
  struct Config {
    std::size_t packets_per_queue = 256;
    std::uint32_t quantum[rules::kQueues] = {0, 6000, 3000, 1500};  // bytes a round; queue 0 is strict
  };
  // Throws Refusal unless 1 <= packets_per_queue <= 2^20 and each quantum of queues 1.. is at least 1.
  explicit Scheduler(const Config& config);

  using Handle = std::uint64_t;  // whatever the device knows a packet by

  // False when the queue is full: the caller counts the drop. `queue` < kQueues.
  bool Enqueue(std::uint8_t queue, Handle handle, std::uint32_t wire_bytes) {
    Queue& q = queues_[queue];
    if (q.count == packets_per_queue_) return false;
    q.ring[(q.first + q.count) & mask_] = {handle, wire_bytes};
    if (q.count == 0 && queue != 0) round_[round_size_++] = queue;
    ++q.count;
    ++size_;
    return true;
  }
  // The next to leave; false when all queues are empty. Bounded work, however small the quanta are.
  bool Dequeue(Handle& handle, std::uint8_t& queue);
  // The next to leave, up to `most` of them; returns how many there were.
  std::size_t Dequeue(Handle* handles, std::size_t most);
  std::size_t size() const { return size_; }
  std::size_t size(std::uint8_t queue) const { return queues_[queue].count; }

 private:
  struct Item {
    Handle handle = 0;
    std::uint32_t wire_bytes = 0;
  };
  struct Queue {
    std::vector<Item> ring;  // a power of two of places
    std::size_t first = 0;
    std::size_t count = 0;
    std::uint32_t quantum = 0;
    std::uint64_t deficit = 0;
    const Item& head() const { return ring[first]; }
  };

  Item Pop(Queue& queue);
  bool DequeueFromRound(Handle& handle, std::uint8_t& queue);
  void RotateRound();
  void SkipFruitlessRounds();

  std::array<Queue, rules::kQueues> queues_;
  std::size_t packets_per_queue_;
  std::size_t mask_;  // of a place in a ring
  std::size_t size_ = 0;
  // Backlogged queues other than 0, the one being served first.
  std::array<std::uint8_t, rules::kQueues> round_{};
  std::size_t round_size_ = 0;
  bool has_quantum_ = false;  // the one being served already got this round's quantum
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_SCHEDULER_H_
