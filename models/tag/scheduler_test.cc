// SPDX-License-Identifier: BSD-3-Clause
#include "models/tag/scheduler.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <list>
#include <vector>

#include "models/base/refusal.h"
#include "models/rules/test_uniform.h"

namespace foreflow::tag {
namespace {

using Handle = Scheduler::Handle;

struct Packet {
  Handle handle;
  std::uint32_t bytes;
};

// Figure 3 of Shreedhar and Varghese with an unbounded queue each, one packet a call, behind a strict queue.
class NaiveDrr {
 public:
  explicit NaiveDrr(const Scheduler::Config& config) : config_(config) {}

  void Enqueue(std::uint8_t queue, Packet packet) {
    if (queue != 0 && queues_[queue].empty()) active_.push_back(queue);
    queues_[queue].push_back(packet);
  }

  bool Dequeue(Handle& handle, std::uint8_t& queue) {
    if (!queues_[0].empty()) {
      handle = queues_[0].front().handle;
      queue = 0;
      queues_[0].pop_front();
      return true;
    }
    if (active_.empty()) return false;
    for (;;) {
      const std::uint8_t q = active_.front();
      if (!in_service_) deficit_[q] += config_.quantum[q];
      in_service_ = true;
      if (queues_[q].front().bytes <= deficit_[q]) {
        deficit_[q] -= queues_[q].front().bytes;
        handle = queues_[q].front().handle;
        queue = q;
        queues_[q].pop_front();
        if (queues_[q].empty()) {
          deficit_[q] = 0;
          active_.pop_front();
          in_service_ = false;
        }
        return true;
      }
      active_.pop_front();
      active_.push_back(q);
      in_service_ = false;
    }
  }

 private:
  Scheduler::Config config_;
  std::deque<Packet> queues_[rules::kQueues];
  std::list<std::uint8_t> active_;
  std::uint64_t deficit_[rules::kQueues] = {};
  bool in_service_ = false;
};

Scheduler::Config RandomConfig() {
  Scheduler::Config config;
  config.packets_per_queue = rules::Uniform<std::size_t>(1, 12);
  for (std::uint8_t q = 1; q < rules::kQueues; ++q)
    config.quantum[q] = rules::Uniform<std::uint32_t>(1, 5000);
  return config;
}

// Order, conservation, first in first out and bounds at once: the reference has all of them by construction.
RC_GTEST_PROP(Scheduler, AgreesWithNaiveDrr, ()) {
  const Scheduler::Config config = RandomConfig();
  Scheduler scheduler(config);
  NaiveDrr naive(config);
  std::size_t held[rules::kQueues] = {};
  const auto steps = rules::Uniform(1, 300);
  const auto arrivals = rules::Uniform(2, 9);  // of ten steps
  for (int step = 0; step < steps; ++step) {
    if (rules::Uniform(0, 10) < arrivals) {
      const auto queue = rules::Uniform<std::uint8_t>(0, rules::kQueues);
      const auto bytes = *rc::gen::element<std::uint32_t>(0, 1, 64, 576, 1499, 1500, 1514, 9000);
      const auto handle = static_cast<std::uint32_t>(step);
      const bool taken = scheduler.Enqueue(queue, handle, bytes);
      RC_ASSERT(taken == (held[queue] < config.packets_per_queue));
      if (taken) {
        ++held[queue];
        naive.Enqueue(queue, {handle, bytes});
      }
    } else {
      Handle handle = 0;
      Handle expected_handle = 0;
      std::uint8_t queue = 0;
      std::uint8_t expected_queue = 0;
      const bool any = scheduler.Dequeue(handle, queue);
      RC_ASSERT(any == naive.Dequeue(expected_handle, expected_queue));
      if (any) {
        RC_ASSERT(handle == expected_handle);
        RC_ASSERT(queue == expected_queue);
        --held[queue];
      }
    }
    std::size_t total = 0;
    for (std::uint8_t q = 0; q < rules::kQueues; ++q) {
      RC_ASSERT(scheduler.size(q) == held[q]);
      total += held[q];
    }
    RC_ASSERT(scheduler.size() == total);
  }
}

// The fairness bound of the header, over every interval of a run in which all three queues stay backlogged.
RC_GTEST_PROP(Scheduler, BackloggedQueuesShareByQuantum, ()) {
  Scheduler::Config config = RandomConfig();
  config.packets_per_queue = 8;
  Scheduler scheduler(config);
  std::uint32_t largest = 0;
  std::vector<std::uint32_t> bytes_of;
  const auto fill = [&](std::uint8_t queue) {
    const auto bytes = rules::Uniform<std::uint32_t>(40, 1515);
    largest = std::max(largest, bytes);
    RC_ASSERT(scheduler.Enqueue(queue, static_cast<std::uint32_t>(bytes_of.size()), bytes));
    bytes_of.push_back(bytes);
  };
  for (std::uint8_t q = 1; q < rules::kQueues; ++q) {
    for (int i = 0; i < 3; ++i) fill(q);
  }
  struct Sent {
    std::uint64_t bytes[rules::kQueues] = {};
  };
  std::vector<Sent> sums(1);
  for (int i = 0; i < 120; ++i) {
    Handle handle = 0;
    std::uint8_t queue = 0;
    RC_ASSERT(scheduler.Dequeue(handle, queue));
    sums.push_back(sums.back());
    sums.back().bytes[queue] += bytes_of[handle];
    fill(queue);
  }
  const double slack = 1e-9;
  for (std::uint8_t a = 1; a < rules::kQueues; ++a) {
    for (std::uint8_t b = 1; b < rules::kQueues; ++b) {
      const double bound = 1 + 2.0 * largest / std::min(config.quantum[a], config.quantum[b]) + slack;
      for (std::size_t from = 0; from < sums.size(); ++from) {
        for (std::size_t to = from; to < sums.size(); ++to) {
          const auto share = [&](std::uint8_t q) {
            return static_cast<double>(sums[to].bytes[q] - sums[from].bytes[q]) / config.quantum[q];
          };
          RC_ASSERT(share(a) - share(b) <= bound);
        }
      }
    }
  }
}

TEST(Scheduler, QueueZeroGoesFirstAlways) {
  Scheduler scheduler{Scheduler::Config{}};
  Handle handle = 0;
  std::uint8_t queue = 0;
  ASSERT_TRUE(scheduler.Enqueue(1, 10, 1500));
  ASSERT_TRUE(scheduler.Enqueue(1, 11, 1500));
  ASSERT_TRUE(scheduler.Dequeue(handle, queue));
  EXPECT_EQ(handle, 10u);
  ASSERT_TRUE(scheduler.Enqueue(0, 1, 9000));  // comes in the middle of queue 1's turn
  ASSERT_TRUE(scheduler.Dequeue(handle, queue));
  EXPECT_EQ(handle, 1u);
  ASSERT_TRUE(scheduler.Dequeue(handle, queue));
  EXPECT_EQ(handle, 11u);
  EXPECT_FALSE(scheduler.Dequeue(handle, queue));
}

TEST(Scheduler, ManyAtOnceAreAsOneAfterTheOther) {
  Scheduler::Config config;
  config.packets_per_queue = 20;
  Scheduler one(config);
  Scheduler many(config);
  for (std::uint32_t i = 0; i < 40; ++i) {
    const auto queue = static_cast<std::uint8_t>(i % rules::kQueues);
    ASSERT_TRUE(one.Enqueue(queue, i, 64 + 100 * i));
    ASSERT_TRUE(many.Enqueue(queue, i, 64 + 100 * i));
  }
  std::array<Handle, 7> handles;
  std::size_t left = 40;
  for (std::size_t taken; (taken = many.Dequeue(handles.data(), handles.size())) > 0; left -= taken) {
    EXPECT_EQ(taken, std::min(left, handles.size()));
    for (std::size_t i = 0; i < taken; ++i) {
      Handle handle = 0;
      std::uint8_t queue = 0;
      ASSERT_TRUE(one.Dequeue(handle, queue));
      EXPECT_EQ(handles[i], handle);
    }
  }
  EXPECT_EQ(left, 0u);
}

TEST(Scheduler, TurnsByHand) {
  Scheduler::Config config;
  config.quantum[1] = 3000;
  config.quantum[2] = 1500;
  config.quantum[3] = 500;
  Scheduler scheduler(config);
  for (std::uint32_t i = 0; i < 6; ++i) {
    for (std::uint8_t q = 1; q < rules::kQueues; ++q) ASSERT_TRUE(scheduler.Enqueue(q, q * 10u + i, 1500));
  }
  const std::vector<std::uint32_t> kExpected = {10, 11, 20, 12, 13, 21, 14, 15, 22,
                                                30, 23, 24, 25, 31, 32, 33, 34, 35};
  for (const std::uint32_t expected : kExpected) {
    Handle handle = 0;
    std::uint8_t queue = 0;
    ASSERT_TRUE(scheduler.Dequeue(handle, queue));
    EXPECT_EQ(handle, expected);
    EXPECT_EQ(queue, expected / 10);
  }
}

TEST(Scheduler, AHugePacketBehindATinyQuantumLeavesAtOnce) {
  Scheduler::Config config;
  config.quantum[1] = 1;
  config.quantum[2] = 1;
  Scheduler scheduler(config);
  ASSERT_TRUE(scheduler.Enqueue(1, 1, UINT32_MAX));
  ASSERT_TRUE(scheduler.Enqueue(2, 2, UINT32_MAX - 1));
  Handle handle = 0;
  std::uint8_t queue = 0;
  ASSERT_TRUE(scheduler.Dequeue(handle, queue));
  EXPECT_EQ(handle, 2u);  // one byte shorter: its deficit suffices a round earlier
  ASSERT_TRUE(scheduler.Dequeue(handle, queue));
  EXPECT_EQ(handle, 1u);
}

TEST(Scheduler, RefusesImpossibleConfigurations) {
  Scheduler::Config config;
  config.packets_per_queue = 0;
  EXPECT_THROW(Scheduler{config}, Refusal);
  config.packets_per_queue = (std::size_t{1} << 20) + 1;
  EXPECT_THROW(Scheduler{config}, Refusal);
  config.packets_per_queue = 1;
  config.quantum[2] = 0;
  EXPECT_THROW(Scheduler{config}, Refusal);
}

}  // namespace
}  // namespace foreflow::tag
