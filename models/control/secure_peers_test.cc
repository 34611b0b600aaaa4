// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/secure_peers.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "models/base/rng.h"
#include "models/control/test_rules.h"

namespace foreflow::control {
namespace {

using Raw = std::vector<std::uint8_t>;

class HeldRules : public ControlledDevice {
 public:
  std::optional<DeviceRefusal> Apply(const std::vector<rules::RuleChange>&, bool, const RuleSetState& next,
                                     std::uint64_t) override {
    held = next;
    return std::nullopt;
  }
  std::optional<DeviceRefusal> RotateKeys(const wire::ControlKeyRotation&, Nanos) override {
    return DeviceRefusal{};
  }
  std::optional<DeviceRefusal> TakeProfile(std::uint16_t,
                                           const std::vector<wire::ControlProfileRow>&) override {
    return DeviceRefusal{};
  }
  std::optional<DeviceRefusal> ReadProfile(std::uint16_t, std::size_t,
                                           std::vector<wire::ControlProfileRow>&) override {
    return DeviceRefusal{};
  }
  std::optional<DeviceRefusal> ReadStatistics(wire::StatisticsKind, std::uint32_t, std::size_t,
                                              std::vector<wire::ControlStatisticsRow>&,
                                              std::uint32_t&) override {
    return DeviceRefusal{};
  }
  RuleSetState held;
};

crypto::SecretKey KeyOf(std::uint8_t seed) {
  std::array<std::uint8_t, 32> bytes;
  bytes.fill(seed);
  return crypto::SecretKey(bytes);
}

std::vector<rules::Rule> PeerRules(int count) {
  Rng rng(7, "some_rules");
  std::vector<rules::Rule> rules;
  for (int id = 0; id < count; ++id) rules.push_back(AnyRule(rng, id));
  return rules;
}

// Both ends over a link that loses one packet in ten, in virtual time. Every packet to the device is
// recorded.
class SecureLink {
 public:
  SecureLink(std::uint8_t device_key, std::uint8_t controller_key, std::uint8_t known_key)
      : device_key_(device_key),
        controller_key_(controller_key),
        known_key_(known_key),
        rng_(1, "secure_link") {
    StartAgent();
    StartController();
  }
  void StartAgent() {
    device = std::make_unique<HeldRules>();
    AgentConfig config;
    config.instance = ++instances_;
    agent = std::make_unique<SecureAgent>(
        ControlChannel(KeyOf(device_key_), {{crypto::PublicKeyOf(KeyOf(known_key_)), kMayChangeRules}}),
        Seed(), config, std::vector<rules::Rule>{}, *device);
  }
  void StartController() {
    ControllerConfig config;
    config.retransmit = Millis(20);
    controller = std::make_unique<SecureController>(
        ControlChannel(KeyOf(controller_key_), {{crypto::PublicKeyOf(KeyOf(device_key_)), 0}}), Seed(),
        config, static_cast<std::uint64_t>(now.count()));
    controller->Connect({{}, 1}, now, ToDevice());
  }
  void Run(Nanos time) {
    const Nanos until = now + time;
    for (;;) {
      const Nanos tick = std::max(now, std::min(agent->NextTick(), controller->NextTick()));
      const Nanos next = queue_.empty() ? tick : std::min(tick, queue_.begin()->first);
      if (next >= until) break;
      now = next;
      if (!queue_.empty() && queue_.begin()->first == next) {
        auto [to_device, bytes] = queue_.begin()->second;
        queue_.erase(queue_.begin());
        Deliver(to_device, bytes);
      } else {
        agent->Tick(now, ToController());
        controller->Tick(now, ToDevice());
      }
    }
    now = until;
    controller->Tick(now, ToDevice());
  }
  void Deliver(bool to_device, Raw bytes) {
    const MutableBytes packet{bytes.data(), bytes.size()};
    if (to_device) {
      agent->Input(packet, {{}, 2}, now, ToController());
    } else {
      controller->Input(packet, {{}, 1}, now, ToDevice());
    }
  }
  SendPacket ToDevice() {
    return [this](const crypto::ChannelAddress&, BytesView packet) {
      recorded.emplace_back(packet.begin(), packet.end());
      if (rng_.Below(10) > 0) queue_.insert({now + Millis(1), {true, recorded.back()}});
    };
  }
  SendPacket ToController() {
    return [this](const crypto::ChannelAddress&, BytesView packet) {
      if (rng_.Below(10) > 0) queue_.insert({now + Millis(1), {false, Raw(packet.begin(), packet.end())}});
    };
  }

  Nanos now = Seconds(1'700'000'000);
  std::unique_ptr<HeldRules> device;
  std::unique_ptr<SecureAgent> agent;
  std::unique_ptr<SecureController> controller;
  std::vector<Raw> recorded;

 private:
  std::array<std::uint8_t, 32> Seed() {
    std::array<std::uint8_t, 32> seed{};
    seed[0] = ++seeds_;
    return seed;
  }
  std::uint8_t device_key_, controller_key_, known_key_;
  std::uint8_t seeds_ = 0;
  std::uint64_t instances_ = 0;
  Rng rng_;
  std::multimap<Nanos, std::pair<bool, Raw>> queue_;
};

TEST(SecurePeers, RulesArriveAndSurviveRestartsOfEitherSide) {
  SecureLink link(1, 2, 2);
  link.controller->controller().Replace(PeerRules(500));
  link.Run(Seconds(5));
  EXPECT_TRUE(link.controller->controller().IsInForce());
  EXPECT_EQ(link.device->held.digest(), link.controller->controller().wanted().digest());
  link.StartAgent();
  link.Run(Seconds(30));
  EXPECT_EQ(link.device->held.digest(), link.controller->controller().wanted().digest());
  link.StartController();
  link.controller->controller().Replace(PeerRules(400));
  link.Run(Seconds(10));
  EXPECT_EQ(link.device->held.size(), 400u);
  EXPECT_TRUE(link.controller->controller().IsInForce());
}

TEST(SecurePeers, AStrangerGetsNothingButACount) {
  SecureLink link(1, 3, 2);
  link.controller->controller().Replace(PeerRules(5));
  link.Run(Seconds(10));
  EXPECT_FALSE(link.controller->IsConnected());
  EXPECT_EQ(link.device->held.size(), 0u);
  EXPECT_EQ(link.agent->agent().counts().messages, 0u);
  EXPECT_GT(link.agent->endpoint().counts()[static_cast<std::size_t>(crypto::ChannelStatus::kUnknownPeer)],
            0u);
}

TEST(SecurePeers, ARecordingPlayedAgainChangesNothing) {
  SecureLink link(1, 2, 2);
  link.controller->controller().Replace(PeerRules(100));
  link.Run(Seconds(2));
  link.controller->controller().Replace(PeerRules(50));
  link.Run(Seconds(2));
  ASSERT_EQ(link.device->held.size(), 50u);
  const std::uint64_t messages = link.agent->agent().counts().messages;
  const std::uint64_t generation = link.agent->agent().generation();
  const std::vector<Raw> recording = link.recorded;
  for (const Raw& packet : recording) link.Deliver(true, packet);
  EXPECT_EQ(link.agent->agent().generation(), generation);
  EXPECT_EQ(link.device->held.size(), 50u);
  // What the link had lost is new to the device, and as good.
  const std::uint64_t lost_before = link.agent->agent().counts().messages - messages;
  EXPECT_LT(lost_before, recording.size() / 4);
  for (const Raw& packet : recording) link.Deliver(true, packet);
  EXPECT_EQ(link.agent->agent().counts().messages, messages + lost_before);
}

}  // namespace
}  // namespace foreflow::control
