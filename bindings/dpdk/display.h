// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_DISPLAY_H_
#define FOREFLOW_BINDINGS_DPDK_DISPLAY_H_

#include <string>

#include "bindings/dpdk/nic.h"

namespace foreflow::dpdk {

// One line on standard error of what the runner does now: rewritten each second on a terminal, a new line
// every 10 s elsewhere.
class Display {
 public:
  Display();

  // Seconds from one line to the next.
  double interval() const { return terminal_ ? 1 : 10; }
  // `seconds` since the start of the run.
  void Show(double seconds, const NicCount& count);
  // Leaves the line.
  void End();

 private:
  bool terminal_;
  bool shown_ = false;
  double last_seconds_ = 0;
  NicCount last_;
};

// The line: rates are of the time between the two counts.
std::string LineOf(double seconds, const NicCount& from, const NicCount& to);

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_DISPLAY_H_
