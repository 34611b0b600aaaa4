// SPDX-License-Identifier: GPL-2.0-only
#ifndef FOREFLOW_SCENARIOS_UPDATES_UPDATE_CHANNEL_H_
#define FOREFLOW_SCENARIOS_UPDATES_UPDATE_CHANNEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "models/control/generation_check.h"
#include "ns3/foreflow-offload-control.h"
#include "scenarios/updates/flow_offload.h"

namespace foreflow::scenarios {

// The configuration of a card whose rules come by the control protocol: it holds all of its rules, which at
// the start are those of `offload`.
config::RunConfig WithUpdates(config::RunConfig config, const FlowOffload& offload);

// A host that tells its card over the control protocol which flows to take: a controller on a node of its
// own, a link that delays and loses, an agent on the card's node, restarts of either. Each packet that the
// card decides is checked against the one generation that is in force (GenerationCheck), and against what the
// host had asked for by then.
class UpdateChannel {
 public:
  // To be made before the simulation starts, on a card that was configured WithUpdates; works until `end`.
  // `offload` must outlive it.
  UpdateChannel(const config::RunConfig& config, FlowOffload& offload,
                ns3::Ptr<ns3::foreflow::OffloadNic> nic, Nanos end);
  ~UpdateChannel();
  UpdateChannel(const UpdateChannel&) = delete;
  UpdateChannel& operator=(const UpdateChannel&) = delete;

  // What came of it: see scenarios/updates/README.md.
  config::Json Report() const;

 private:
  // The card, watched.
  class Device;

  void Decided(const ns3::foreflow::PacketDecision& decision);
  void Ask(const rules::RuleChange& change);
  // Tells check_ what the controller has issued since the last call.
  void RecordIssued();
  void RestartDevice();
  void StartController();
  void RestartController();
  void StartAgent();
  std::array<std::uint8_t, 32> NextSeed();

  config::RunConfig config_;
  FlowOffload& offload_;
  ns3::Ptr<ns3::foreflow::OffloadNic> nic_;
  Nanos end_;
  std::unique_ptr<Device> device_;
  ns3::Ptr<ns3::foreflow::ControlAgent> agent_;
  ns3::Ptr<ns3::foreflow::ControlController> controller_;
  control::GenerationCheck check_;
  control::RuleSetState wanted_;
  std::uint64_t batches_known_ = 0;  // of the controller that runs, as far as check_ knows them
  std::uint32_t seeds_ = 0;
  std::vector<rules::RuleChange> changes_;

  // Packets that went to the host, and what that cost its slow path.
  struct Punts {
    std::uint64_t packets = 0;
    std::uint64_t cycles = 0;
  };
  Punts stale_;  // of a flow that the host had asked the card to take
  Punts new_;    // of one that it had not yet
  std::uint64_t outdated_ = 0;
  std::uint64_t asked_ = 0;
  std::uint64_t batches_before_ = 0;  // of controllers that were
  std::uint64_t whole_before_ = 0;
};

}  // namespace foreflow::scenarios

#endif  // FOREFLOW_SCENARIOS_UPDATES_UPDATE_CHANNEL_H_
