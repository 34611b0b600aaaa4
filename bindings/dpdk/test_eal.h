// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_TEST_EAL_H_
#define FOREFLOW_BINDINGS_DPDK_TEST_EAL_H_

#include "bindings/dpdk/eal.h"

namespace foreflow::dpdk {

// The EAL of a test program, started by the first test that needs it: a process can have but one.
inline const Eal& TestEal() {
  static const Eal eal(UnprivilegedEal(256), 4, Placement::kFloating);
  return eal;
}

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_TEST_EAL_H_
