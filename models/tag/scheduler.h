// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_SCHEDULER_H_
#define FOREFLOW_MODELS_TAG_SCHEDULER_H_

#include <cstddef>
#include <cstdint>

#include "models/tag/rule.h"

namespace foreflow::tag {

// Order of departure from the egress queues: queue 0 strictly first, the others by deficit round robin
// (Shreedhar, Varghese 1995). Holds handles, not packets; the device owns those. Bounded, no allocation after
// construction.
class Scheduler {
 public:
  struct Config {
    std::size_t packets_per_queue = 256;
    std::uint32_t quantum[kQueues] = {0, 6000, 3000, 1500};  // bytes a round; queue 0 is strict
  };
  explicit Scheduler(const Config& config);

  // False when the queue is full: the caller counts the drop.
  bool Enqueue(std::uint8_t queue, std::uint32_t handle, std::uint32_t wire_bytes);
  // The next to leave; false when all queues are empty.
  bool Dequeue(std::uint32_t& handle, std::uint8_t& queue);
  std::size_t size() const;
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_SCHEDULER_H_
