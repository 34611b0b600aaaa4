// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_RUN_TRACE_H_
#define FOREFLOW_SCENARIOS_RUN_TRACE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "bindings/hdf5/path_trace.h"
#include "bindings/hdf5/trace_file.h"
#include "models/crypto/digest.h"
#include "ns3/foreflow-offload-nic.h"

namespace foreflow::scenarios {

// Writes a card's trace sources into trace.h5, and sums what the summary needs. Rows are in order of arrival
// in every table, though packets end in another order: rows of packets that are still inside wait here.
class RunTrace {
 public:
  // Sums over all packets so far.
  struct Totals {
    std::uint64_t device_cycles = 0;
    std::uint64_t host_cycles = 0;
    std::uint64_t prediction_cycles = 0;
  };

  // `future` must outlive this object. `file` is empty where no trace is wanted. Throws Refusal when the file
  // cannot be created.
  RunTrace(const std::string& file, const path::Future& future);

  // Connects to the card's trace sources. This object must outlive the simulation.
  void Connect(ns3::Ptr<ns3::foreflow::OffloadNic> nic);

  // Packets whose fate is known.
  std::uint64_t done() const { return done_; }
  const Totals& totals() const { return totals_; }

  // Appends what is only known at the end, and closes the file. Call once, after the simulation.
  void Finish(const ns3::foreflow::OffloadNic& nic);
  // The SHA-256 of the verdict stream, hex. Call once.
  std::string Fingerprint();
  // Wall time that writing took, in seconds.
  double write_seconds() const { return file_ ? file_->write_seconds() : 0; }

 private:
  void Decided(const ns3::foreflow::PacketDecision& decision);
  void Done(const ns3::foreflow::PacketRecord& record);

  struct Pending {
    trace::PacketRow row;
    Nanos passed_over;  // by the simulator's clock, before this packet
    bool done = false;
  };

  std::unique_ptr<hdf5::TraceFile> file_;  // nullptr: nothing is written
  const path::Future& future_;
  std::optional<hdf5::PathTrace> decisions_;
  crypto::Sha256 digest_;
  std::deque<Pending> pending_;  // packets first_pending_, first_pending_ + 1, ...
  std::uint64_t first_pending_ = 0;
  std::uint64_t done_ = 0;
  Totals totals_;
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_RUN_TRACE_H_
