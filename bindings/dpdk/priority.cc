// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/priority.h"

#include <sched.h>

namespace foreflow::dpdk {

bool RunFirst() {
  sched_param lowest{};
  lowest.sched_priority = sched_get_priority_min(SCHED_FIFO);
  return sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
}

void RunAsOthers() {
  const sched_param none{};
  sched_setscheduler(0, SCHED_OTHER, &none);
}

}  // namespace foreflow::dpdk
