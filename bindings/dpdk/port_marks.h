// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_PORT_MARKS_H_
#define FOREFLOW_BINDINGS_DPDK_PORT_MARKS_H_

#include <cstdint>
#include <vector>

#include "models/rules/rule.h"

namespace foreflow::dpdk {

// What the marks of a port's frames mean: `first` and the following ones, modulo kMarks, are decisions.
struct PortMarks {
  static constexpr std::uint32_t kMarks = 1u << 20;  // NICs that mark have more
  std::uint32_t first = 0;
  std::vector<rules::Decision> decisions;

  // The decision that a mark stands for, or nullptr.
  const rules::Decision* Find(std::uint32_t mark) const {
    const std::uint32_t at = (mark - first) & (kMarks - 1);
    return mark < kMarks && at < decisions.size() ? &decisions[at] : nullptr;
  }
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_PORT_MARKS_H_
