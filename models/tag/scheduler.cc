// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/scheduler.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::tag {
namespace {

constexpr std::size_t kMaxPacketsPerQueue = std::size_t{1} << 20;

}  // namespace

Scheduler::Scheduler(const Config& config) : packets_per_queue_(config.packets_per_queue) {
  if (config.packets_per_queue < 1 || config.packets_per_queue > kMaxPacketsPerQueue) {
    throw Refusal("scheduler", "packets per queue", std::to_string(config.packets_per_queue), "1..1048576");
  }
  std::size_t places = 1;
  while (places < config.packets_per_queue) places *= 2;
  mask_ = places - 1;
  for (std::size_t q = 0; q < rules::kQueues; ++q) {
    if (q != 0 && config.quantum[q] == 0) {
      throw Refusal("scheduler", "quantum of queue " + std::to_string(q), "0 B", "1 B or more");
    }
    queues_[q].ring.resize(places);
    queues_[q].quantum = config.quantum[q];
  }
}

Scheduler::Item Scheduler::Pop(Queue& queue) {
  const Item item = queue.head();
  // An empty queue begins again at places that are still in the processor's cache.
  queue.first = --queue.count == 0 ? 0 : (queue.first + 1) & mask_;
  --size_;
  return item;
}

void Scheduler::RotateRound() {
  std::rotate(round_.begin(), round_.begin() + 1, round_.begin() + static_cast<std::ptrdiff_t>(round_size_));
  has_quantum_ = false;
}

// Where no head fits even after its next quantum, whole rounds pass without a packet: grants them at once.
void Scheduler::SkipFruitlessRounds() {
  std::uint64_t rounds = UINT64_MAX;
  for (std::size_t i = 0; i < round_size_; ++i) {
    const Queue& q = queues_[round_[i]];
    rounds = std::min(rounds, (q.head().wire_bytes - q.deficit - 1) / q.quantum);
  }
  for (std::size_t i = 0; i < round_size_; ++i) {
    Queue& q = queues_[round_[i]];
    q.deficit += rounds * q.quantum;
  }
}

bool Scheduler::Dequeue(Handle& handle, std::uint8_t& queue) {
  if (queues_[0].count == 0) return DequeueFromRound(handle, queue);
  handle = Pop(queues_[0]).handle;
  queue = 0;
  return true;
}

bool Scheduler::DequeueFromRound(Handle& handle, std::uint8_t& queue) {
  std::size_t fruitless = 0;
  while (round_size_ > 0) {
    Queue& q = queues_[round_[0]];
    if (!has_quantum_) {
      q.deficit += q.quantum;
      has_quantum_ = true;
    }
    if (q.head().wire_bytes > q.deficit) {
      RotateRound();
      if (++fruitless == round_size_) SkipFruitlessRounds();
      continue;
    }
    queue = round_[0];
    const Item item = Pop(q);
    handle = item.handle;
    q.deficit -= item.wire_bytes;
    if (q.count == 0) {
      q.deficit = 0;
      RotateRound();
      --round_size_;
    }
    return true;
  }
  return false;
}

std::size_t Scheduler::Dequeue(Handle* handles, std::size_t most) {
  std::size_t taken = 0;
  while (taken < most && queues_[0].count > 0) handles[taken++] = Pop(queues_[0]).handle;
  std::uint8_t queue = 0;
  while (taken < most && DequeueFromRound(handles[taken], queue)) ++taken;
  return taken;
}

}  // namespace foreflow::tag
