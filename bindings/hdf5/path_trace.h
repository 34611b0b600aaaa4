// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_HDF5_PATH_TRACE_H_
#define FOREFLOW_BINDINGS_HDF5_PATH_TRACE_H_

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "bindings/hdf5/trace_file.h"
#include "models/base/hash.h"
#include "models/path/future.h"
#include "models/path/stages.h"
#include "models/path/verdict.h"

namespace foreflow::hdf5 {

constexpr std::uint32_t kNoFlow = 0xffffffff;

// One row; counts and times of a flow are left at 0, and the decision's flow at kNoFlow.
trace::FlowRow FlowRowOf(const flow::FlowKey& key);
trace::DecisionRow DecisionRowOf(std::uint64_t packet, const path::Verdict& verdict);

// What the path decided, as trace rows: the same in every door. The door adds the packets and stations tables
// itself, since only it knows times.
class PathTrace {
 public:
  // Both must outlive this object.
  PathTrace(TraceFile& file, const path::Future& future) : file_(file), future_(&future) {}
  // For a door that learns what its packets were as it goes.
  explicit PathTrace(TraceFile& file) : file_(file) {}

  // Call once a packet, in order: rows for decisions, predictions and alerts, and its share of flows and
  // work. `cycles` may be nullptr where the door prices nothing.
  using StageCycles = std::array<std::uint32_t, path::kStages>;
  void Decided(std::uint64_t packet, const path::Arrival& arrival, const path::Verdict& verdict,
               const path::StageWork& work, const StageCycles* cycles);
  // The same without a Future: `key` is nullptr for an undecidable packet.
  void Decided(std::uint64_t packet, const path::Arrival& arrival, const flow::FlowKey* key,
               predict::PacketType truth, const path::Verdict& verdict, const path::StageWork& work,
               const StageCycles* cycles);

  // Appends the flows and work tables. Call once, at the end.
  void Finish();

 private:
  struct Hash {
    std::size_t operator()(const flow::FlowKey& key) const { return KeyHasher(0)(&key); }
  };

  // Counts one more packet of a flow, and gives its row.
  std::uint32_t FlowOf(const flow::FlowKey& key, const path::Arrival& arrival);

  TraceFile& file_;
  const path::Future* future_ = nullptr;
  std::unordered_map<flow::FlowKey, std::uint32_t, Hash> flow_index_;  // looked up only, never iterated
  std::vector<trace::FlowRow> flows_;                                  // in order of first packet
  std::array<trace::WorkRow, path::kStages> work_{};
};

}  // namespace foreflow::hdf5

#endif  // FOREFLOW_BINDINGS_HDF5_PATH_TRACE_H_
