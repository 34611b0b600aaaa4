// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_DPDK_LIVE_TRACE_H_
#define FOREFLOW_BINDINGS_DPDK_LIVE_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "bindings/dpdk/worker.h"
#include "bindings/hdf5/path_trace.h"
#include "bindings/hdf5/trace_file.h"
#include "models/predict/labeler.h"

namespace foreflow::dpdk {

// The trace of live traffic, in the tables of every door. What a packet truly was shows in the packets that
// follow it, so that a row is held until its label is known: at the most the horizon of labels, as time goes
// in its worker's traffic. Packets are numbered in the order in which they are written. One thread.
class LiveTrace {
 public:
  // Throws Refusal when the file cannot be created. `pending` bounds the rows held for a worker.
  LiveTrace(const std::string& file, std::size_t workers, Nanos label_horizon, std::uint32_t pending);

  // The rows of one worker in order. Throws std::runtime_error when the disk does not take them.
  void Add(std::size_t worker, const DecidedRow& row);
  // Writes what is held, and closes the file.
  void End();

 private:
  struct Held {
    DecidedRow row;
    bool is_labelled = false;
    predict::PacketType truth = predict::PacketType::kControl;
  };
  struct Stream {  // of one worker: conversations stay on it
    Stream(Nanos horizon, std::uint32_t pending) : labeler(horizon, pending) {}
    predict::Labeler labeler;
    std::deque<Held> held;
    std::uint64_t first = 0;  // number of held.front() among the stream's rows
  };
  void WriteLabelled(Stream& stream);
  void Write(const Held& held);

  hdf5::TraceFile file_;
  hdf5::PathTrace decisions_;
  std::vector<Stream> streams_;
  std::uint64_t packets_ = 0;
};

}  // namespace foreflow::dpdk

#endif  // FOREFLOW_BINDINGS_DPDK_LIVE_TRACE_H_
