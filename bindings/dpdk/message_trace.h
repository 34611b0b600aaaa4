// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_MESSAGE_TRACE_H_
#define FOREFLOW_BINDINGS_DPDK_MESSAGE_TRACE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "bindings/dpdk/ring_port.h"
#include "bindings/hdf5/trace_file.h"

namespace foreflow::dpdk {

// The trace of a running packet dynamics unit: what its peer said and it opened, in the table messages. The
// worker adds rows and never waits for the disk: those that find no room are lost, and counted. The thread
// that made it writes them.
class MessageTrace {
 public:
  static constexpr std::size_t kPlaces = 65'536;  // rows on their way to the disk

  // Throws Refusal when the file cannot be created, or there is no memory. After the EAL has started.
  explicit MessageTrace(const std::string& file);

  // The worker's.
  void Add(const trace::MessageRow& row);

  // The other thread's. Writes what waits, but not for so long that others would wait. Throws
  // std::runtime_error when the disk does not take the rows.
  void Write();
  // Writes all that waits, and closes the file; the worker has ended. Throws as Write.
  void End();
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  hdf5::TraceFile file_;
  Ring rows_;
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_MESSAGE_TRACE_H_
