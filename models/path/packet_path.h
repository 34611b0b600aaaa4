// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_PACKET_PATH_H_
#define FOREFLOW_MODELS_PATH_PACKET_PATH_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "models/path/future.h"
#include "models/path/path_config.h"
#include "models/path/stages.h"
#include "models/path/verdict.h"

namespace foreflow::path {

constexpr std::size_t kBurst = 32;

// The whole path of one host and its device: what every door calls. Not thread-safe: one object a worker.
// The verdict stream depends on configuration, arrivals and their times alone; never on how long anything took.
class PacketPath {
 public:
  // `future` is needed by the oracle arms only (else may be nullptr) and must outlive the path. Throws Refusal on
  // an impossible configuration. All memory is sized here.
  PacketPath(const PathConfig& config, const Future* future);
  ~PacketPath();
  PacketPath(const PacketPath&) = delete;
  PacketPath& operator=(const PacketPath&) = delete;

  // Decides up to kBurst packets; `work` (one a packet) is added to. A burst of one gives the same verdicts.
  void Process(const Arrival* arrivals, std::size_t count, Verdict* verdicts, StageWork* work);

  // The two halves of Process for one packet, for doors that put a bus between host and device. HostSide must be
  // called before DeviceSide, in arrival order. The tag may be altered in between: that is what it protects from.
  struct Tagged {
    bool has_tag = false;
    tag::SealedTag tag{};
  };
  void HostSide(const Arrival& arrival, Tagged& tagged, StageWork& work);
  void DeviceSide(const Arrival& arrival, const Tagged& tagged, Verdict& verdict, StageWork& work);

  struct Counters {
    std::uint64_t packets = 0;
    std::uint64_t punts = 0;
    std::uint64_t installs_on_miss = 0;
    std::uint64_t installs_predicted = 0;
    std::uint64_t predicted_used = 0;      // predicted entries that were used at least once
    std::uint64_t predicted_wasted = 0;    // evicted unused
    std::uint64_t tags_by_status[static_cast<std::size_t>(tag::TagStatus::kCount)] = {};
    std::uint16_t destination_hit_rate = 0;   // governor h, 65535 = 1
    std::uint16_t destination_break_even = 0; // governor h*
    std::uint16_t type_hit_rate = 0;
    std::uint16_t type_break_even = 0;
  };
  const Counters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_PACKET_PATH_H_
