// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_DEVICE_AGENT_H_
#define FOREFLOW_MODELS_CONTROL_DEVICE_AGENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/base/units.h"
#include "models/control/messages.h"
#include "models/control/rule_set_state.h"
#include "models/rules/rule_batch.h"

namespace foreflow::control {

// What a peer may do: bits of crypto::ChannelPeer::rights. Everyone on the list may say hello.
constexpr std::uint32_t kMayChangeRules = 1;
constexpr std::uint32_t kMayRotateKeys = 2;
constexpr std::uint32_t kMaySendProfiles = 4;
constexpr std::uint32_t kMayReadStatistics = 8;  // and profiles

// Why a device does not do what it was asked.
struct DeviceRefusal {
  wire::RefusalReason reason = wire::RefusalReason::kUnsupported;
  std::uint32_t rule = wire::ControlRefusal::kNoRule;
  std::string sentence;
};

// What an agent controls. Calls return when they have taken effect, or have not and never will: then they say
// why.
class ControlledDevice {
 public:
  virtual ~ControlledDevice() = default;

  // From now on every packet is decided by `next`, of this generation; none was decided by a part of it.
  // `changes` lead there from the set before; where `is_whole`, they are all rules of `next` instead. Empty
  // changes that are not whole: the same rules, of another generation.
  virtual std::optional<DeviceRefusal> Apply(const std::vector<rules::RuleChange>& changes, bool is_whole,
                                             const RuleSetState& next, std::uint64_t generation) = 0;
  // The overlap of the old key and the new one begins at `now`.
  virtual std::optional<DeviceRefusal> RotateKeys(const wire::ControlKeyRotation& rotation, Nanos now) = 0;
  // What others expect of a VM.
  virtual std::optional<DeviceRefusal> TakeProfile(std::uint16_t vm,
                                                   const std::vector<wire::ControlProfileRow>& rows) = 0;
  // What is expected of it here: `most` rows at most, the likeliest first.
  virtual std::optional<DeviceRefusal> ReadProfile(std::uint16_t vm, std::size_t most,
                                                   std::vector<wire::ControlProfileRow>& rows) = 0;
  // Rows of ids from `first` on, in order, `most` at most; `next` is the id to go on with, or kNoMore.
  virtual std::optional<DeviceRefusal> ReadStatistics(wire::StatisticsKind kind, std::uint32_t first,
                                                      std::size_t most,
                                                      std::vector<wire::ControlStatisticsRow>& rows,
                                                      std::uint32_t& next) = 0;
};

// Ranges are the caller's to keep.
struct AgentConfig {
  std::uint64_t instance = 1;  // another one after a restart
  std::size_t peers = 1;
  std::uint32_t most_rules = 100'000;
  std::uint32_t most_batch_bytes = 16u << 20;  // also what a peer may make the agent keep
  Nanos patience = Seconds(1);  // a batch of which nothing came for so long makes room for an older one
};

// The device's end of the control protocol: no sockets, no clock. Authentic messages of known peers come in,
// answers go out. The rule set is at every moment exactly one that some peer sent whole, or the one it
// started with.
class DeviceAgent {
 public:
  // `device` decides by `initial`, whose ids differ, already: that is generation 0. It outlives the agent.
  DeviceAgent(const AgentConfig& config, const std::vector<rules::Rule>& initial, ControlledDevice& device);

  // One message of `peer` (below AgentConfig::peers), whom `rights` allow what they say. Answers, one each,
  // are for the same peer. `now` does not run backwards.
  void Input(std::size_t peer, std::uint32_t rights, BytesView message, Nanos now, const Send& send);

  std::uint64_t generation() const { return generation_; }
  const RuleSetState& rules() const { return rules_; }

  struct Counts {
    std::uint64_t messages = 0;  // that came in
    std::uint64_t bytes = 0;     // of those
    std::uint64_t batches = 0;   // put into force
    std::uint64_t changes = 0;   // of rules, in those
    std::uint64_t repeated = 0;  // parts and requests that had been done or had come already
    std::uint64_t requests = 0;  // done
    std::array<std::uint64_t, wire::kLastRefusalReason + 1> refused{};  // by wire::RefusalReason
  };
  const Counts& counts() const { return counts_; }

 private:
  // The batch a peer is sending.
  struct Assembly {
    wire::ControlRulePart description;  // of its parts, but for `part`
    std::vector<std::uint8_t> bytes;
    std::vector<bool> has;
    std::uint32_t first_missing = 0;
    std::uint32_t count = 0;
    Nanos last{0};
    bool is_open = false;
  };
  struct Peer {
    Assembly assembly;
    std::uint64_t number = 0;  // of the last request done
  };

  void TakeRulePart(Peer& peer, BytesView body, Nanos now, const Send& send);
  void Begin(Assembly& assembly, const wire::ControlRulePart& part);
  void Commit(Assembly& assembly, const Peer& peer, const Send& send);
  std::optional<DeviceRefusal> Apply(const Assembly& assembly);
  std::optional<DeviceRefusal> ApplyChanges(const Assembly& assembly,
                                            std::vector<rules::RuleChange>& changes);
  std::optional<DeviceRefusal> ApplyWhole(const Assembly& assembly, std::vector<rules::RuleChange>& changes);
  void TakeRotation(Peer& peer, BytesView body, Nanos now, const Send& send);
  void TakeProfile(Peer& peer, BytesView body, const Send& send);
  void TakeProfileRequest(BytesView body, const Send& send);
  void TakeStatisticsRequest(BytesView body, const Send& send);
  // Whether the request is new; an old one is acknowledged.
  bool IsNew(const Peer& peer, std::uint64_t number, const Send& send);
  void Finish(Peer& peer, std::uint64_t number, const std::optional<DeviceRefusal>& refusal,
              const Send& send);

  void Acknowledge(const Peer& peer, const Send& send);
  void Refuse(const DeviceRefusal& refusal, std::uint64_t generation, std::uint64_t number, const Send& send);
  void RefuseUnread(wire::RefusalReason reason, wire::ControlType type, BytesView body, const Send& send);
  void Refuse(wire::RefusalReason reason, const Send& send) {
    Refuse({reason, wire::ControlRefusal::kNoRule, {}}, 0, 0, send);
  }

  AgentConfig config_;
  ControlledDevice& device_;
  RuleSetState rules_;
  std::uint64_t generation_ = 0;
  std::vector<Peer> peers_;
  MessageBuilder builder_;
  Counts counts_;
};

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_DEVICE_AGENT_H_
