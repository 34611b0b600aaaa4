// SPDX-License-Identifier: BSD-3-Clause
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <vector>

#include "models/control/controller.h"
#include "models/control/device_agent.h"
#include "models/control/rule_codec.h"

namespace foreflow::control {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Follows the changes and compares with the set that they should make.
class Device : public ControlledDevice {
 public:
  std::optional<DeviceRefusal> Apply(const std::vector<rules::RuleChange>& changes, bool is_whole,
                                     const RuleSetState& next, std::uint64_t generation) override {
    Require(generation > generation_);
    generation_ = generation;
    if (is_whole) rules_ = RuleSetState();
    for (const rules::RuleChange& change : changes) Require(rules_.Apply(change));
    Require(rules_.digest() == next.digest() && rules_.size() == next.size());
    return std::nullopt;
  }
  std::optional<DeviceRefusal> RotateKeys(const wire::ControlKeyRotation&, Nanos) override {
    return std::nullopt;
  }
  std::optional<DeviceRefusal> TakeProfile(std::uint16_t,
                                           const std::vector<wire::ControlProfileRow>&) override {
    return DeviceRefusal{};
  }
  std::optional<DeviceRefusal> ReadProfile(std::uint16_t vm, std::size_t most,
                                           std::vector<wire::ControlProfileRow>& rows) override {
    rows.resize(vm % (most + 1));
    return std::nullopt;
  }
  std::optional<DeviceRefusal> ReadStatistics(wire::StatisticsKind, std::uint32_t, std::size_t,
                                              std::vector<wire::ControlStatisticsRow>&,
                                              std::uint32_t&) override {
    return std::nullopt;
  }
  const RuleSetState& rules() const { return rules_; }

 private:
  RuleSetState rules_;
  std::uint64_t generation_ = 0;
};

using Raw = std::vector<std::uint8_t>;

Raw WithHeader(std::uint8_t type, BytesView body) {
  Raw message = {wire::ControlHeader::kVersion, type, static_cast<std::uint8_t>(body.size >> 8),
                 static_cast<std::uint8_t>(body.size)};
  message.insert(message.end(), body.begin(), body.end());
  return message;
}

// A batch of one part that describes itself truly, as far as it can be read.
Raw AsBatch(const DeviceAgent& agent, bool is_whole, BytesView bytes) {
  RuleSetState result = is_whole ? RuleSetState() : agent.rules();
  rules::RuleChange change;
  for (BytesView rest = bytes; rest.size > 0;) {
    const std::size_t length = Read(rest, change);
    if (length == 0) break;
    result.Apply(change);
    rest = rest.From(length);
  }
  wire::ControlRulePart part;
  part.generation = agent.generation() + 1;
  part.base = agent.generation();
  part.base_digest = agent.rules().digest();
  part.digest = result.digest();
  part.parts = 1;
  part.batch_bytes = static_cast<std::uint32_t>(bytes.size);
  part.is_whole = is_whole;
  MessageBuilder builder;
  const BytesView message = builder.Begin(wire::ControlType::kRulePart, part).Add(bytes).Finish();
  return {message.begin(), message.end()};
}

}  // namespace
}  // namespace foreflow::control

// A sequence of steps: what to do (1 byte), how many bytes follow (1 byte), the bytes. They are messages as
// they are, messages that lack their header, batches that lack their description, or answers to a controller;
// one between honest peers goes both ways in between.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  using namespace foreflow::control;
  Device device;
  AgentConfig config;
  config.most_rules = 50;
  config.most_batch_bytes = 4096;
  DeviceAgent agent(config, {}, device);
  Controller controller({}, 1);
  Nanos now = Seconds(1);
  std::vector<Raw> to_agent, to_controller;
  const auto say = [&](BytesView message) { to_agent.emplace_back(message.begin(), message.end()); };
  const auto answer = [&](BytesView message) {
    Require(message.size <= kMostMessageBytes);
    to_controller.emplace_back(message.begin(), message.end());
  };
  controller.Connected(now, say);
  BytesView rest{data, size};
  while (rest.size >= 2) {
    const std::uint8_t what = rest.data[0];
    const BytesView bytes = rest.From(2).First(rest.data[1]);
    rest = rest.From(2 + bytes.size);
    now += Millis(what >> 4);
    switch (what % 8) {
      case 0:
        to_agent.emplace_back(bytes.begin(), bytes.end());
        break;
      case 1:
        if (bytes.size > 0) to_agent.push_back(WithHeader(bytes.data[0], bytes.From(1)));
        break;
      case 2:
      case 3:
        to_agent.push_back(AsBatch(agent, what % 8 == 2, bytes));
        break;
      case 4:
        if (bytes.size > 0) to_controller.push_back(WithHeader(bytes.data[0], bytes.From(1)));
        break;
      case 5: {
        rules::RuleChange change;
        if (Read(bytes, change) > 0) controller.Change(change);
        break;
      }
      case 6:
        if (bytes.size > 0) controller.ReadProfile(bytes.data[0]);
        controller.Tick(now, say);
        break;
      default:
        controller.Tick(now, say);
    }
    std::vector<Raw> now_to_agent, now_to_controller;
    now_to_agent.swap(to_agent);
    now_to_controller.swap(to_controller);
    for (const Raw& message : now_to_agent)
      agent.Input(0, UINT32_MAX, {message.data(), message.size()}, now, answer);
    for (const Raw& message : now_to_controller) controller.Input({message.data(), message.size()}, now, say);
    Require(agent.rules().size() <= config.most_rules);
    Require(agent.rules().digest() == device.rules().digest());
  }
  ControllerEvent event;
  while (controller.TakeEvent(event)) {
    Require(event.sentence.size() <= wire::ControlRefusal::kMostText);
    Require(event.profile.size() <= kMostMessageBytes / wire::ControlProfileRow::kBytes);
  }
  return 0;
}
