// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_PCAP_REPLAY_REPORT_H_
#define FOREFLOW_BINDINGS_PCAP_REPLAY_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "bindings/hdf5/path_trace.h"
#include "bindings/hdf5/trace_file.h"
#include "bindings/pcap/replay.h"

namespace foreflow::pcap {

// What every door's replay says, in the same words.
struct ReplayReport {
  std::string capture;
  std::string door;          // pcap, ns3, dpdk
  bool fingerprint = false;  // end with the digest alone on a line
  bool json = false;         // one JSON document instead of lines
  std::string summary;       // file that is given the result, its counters and notes, or empty

  // Notes to standard error, the rest to standard output. Throws std::logic_error where packets vanished,
  // std::runtime_error where the summary cannot be written.
  void Print(const ReplayResult& result) const;
};

// The trace of a door without device times: a packet departs when it arrives, and nothing is priced.
class ReplayTracer {
 public:
  // Throws Refusal when the file cannot be created.
  explicit ReplayTracer(const std::string& file) : file_(file) {}

  // Before the first packet. `future` is of all packets and must outlive this object.
  void Begin(const path::Future& future) {
    future_ = &future;
    decisions_.emplace(file_, future);
  }
  // Every packet once, in order of its number. Throws std::runtime_error when the disk does not take it.
  void Packet(std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
              const path::StageWork& work);
  // After the last packet; closes the file.
  void End();

 private:
  hdf5::TraceFile file_;
  const path::Future* future_ = nullptr;
  std::optional<hdf5::PathTrace> decisions_;
};

}  // namespace foreflow::pcap

#endif  // FOREFLOW_BINDINGS_PCAP_REPLAY_REPORT_H_
