// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/stop_signal.h"

#include <atomic>
#include <csignal>

namespace foreflow::dpdk {
namespace {

std::atomic<bool> stop_wanted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

}  // namespace

void HandleStopSignals() {
  struct sigaction stop {};
  stop.sa_handler = [](int) { stop_wanted.store(true, std::memory_order_relaxed); };
  ::sigaction(SIGINT, &stop, nullptr);
  ::sigaction(SIGTERM, &stop, nullptr);
}

bool StopWanted() { return stop_wanted.load(std::memory_order_relaxed); }

}  // namespace foreflow::dpdk
