// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/packet_path.h"

#include "models/base/refusal.h"
#include "models/path/device.h"
#include "models/path/host.h"

namespace foreflow::path {

struct PacketPath::State {
  State(const PathConfig& configuration, const Future* future)
      : config(configuration), device(config, counters), host(config, future, device, counters) {}

  PathConfig config;
  Counters counters;
  Device device;
  Host host;
};

PacketPath::PacketPath(const PathConfig& config, const Future* future) {
  const bool knows_future = config.arm == Arm::kOracle || config.arm == Arm::kAntiOracle;
  if (knows_future && future == nullptr) {
    throw Refusal("configuration: arms oracle and anti_oracle need an input that is known in advance");
  }
  state_ = std::make_unique<State>(config, future);
}

PacketPath::~PacketPath() = default;

void PacketPath::HostSide(const Arrival& arrival, const Parsed& parsed, Tagged& tagged, StageWork& work) {
  state_->host.Process(arrival, parsed, tagged, work);
}

void PacketPath::DeviceSide(const Arrival& arrival, const Tagged& tagged, Verdict& verdict, StageWork& work) {
  state_->device.Process(arrival, state_->host.current(), tagged, verdict, work);
  if (verdict.punted && verdict.reason != Reason::kTrapRule) state_->host.SeePunt();
}

void PacketPath::Process(const Arrival* arrivals, std::size_t count, Verdict* verdicts, StageWork* work) {
  for (std::size_t i = 0; i < count; ++i) {
    Tagged tagged;
    HostSide(arrivals[i], Parse(arrivals[i]), tagged, work[i]);
    DeviceSide(arrivals[i], tagged, verdicts[i], work[i]);
  }
}

const Counters& PacketPath::counters() const { return state_->counters; }

}  // namespace foreflow::path
