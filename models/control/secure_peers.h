// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_SECURE_PEERS_H_
#define FOREFLOW_MODELS_CONTROL_SECURE_PEERS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "models/control/controller.h"
#include "models/control/device_agent.h"
#include "models/crypto/secure_channel.h"

namespace foreflow::control {

// Agent and controller behind the secure channel: packets in, packets out. Still no sockets and no clock;
// `now` is as crypto::SecureEndpoint wants it.

// Both ends' part of a channel configuration: what they must agree on, and how long a message is.
crypto::ChannelConfig ControlChannel(const crypto::SecretKey& own,
                                     const std::vector<crypto::ChannelPeer>& peers);

// Takes one packet to be sent, a datagram or a frame of a stream; valid during the call.
using SendPacket = std::function<void(const crypto::ChannelAddress& to, BytesView packet)>;

class SecureAgent {
 public:
  // config.peers is the channel's. Throws Refusal as SecureEndpoint does.
  SecureAgent(const crypto::ChannelConfig& channel, const std::array<std::uint8_t, 32>& seed,
              AgentConfig config, const std::vector<rules::Rule>& initial, ControlledDevice& device);

  crypto::ChannelStatus Input(MutableBytes packet, const crypto::ChannelAddress& from, Nanos now,
                              const SendPacket& send);
  void Tick(Nanos now, const SendPacket& send);
  Nanos NextTick() const { return endpoint_.NextTick(); }

  const DeviceAgent& agent() const { return agent_; }
  const crypto::SecureEndpoint& endpoint() const { return endpoint_; }
  // Appends what the agent and its channel count, by control::Counter.
  void AppendCounters(std::vector<wire::ControlStatisticsRow>& rows) const;

 private:
  class Sink;
  crypto::SecureEndpoint endpoint_;
  DeviceAgent agent_;
};

class SecureController {
 public:
  // `channel` knows one peer, the device.
  SecureController(const crypto::ChannelConfig& channel, const std::array<std::uint8_t, 32>& seed,
                   const ControllerConfig& config, std::uint64_t instance);

  // Seeks the device at this address, for as long as it takes.
  void Connect(const crypto::ChannelAddress& to, Nanos now, const SendPacket& send);
  crypto::ChannelStatus Input(MutableBytes packet, const crypto::ChannelAddress& from, Nanos now,
                              const SendPacket& send);
  void Tick(Nanos now, const SendPacket& send);
  Nanos NextTick() const { return std::min(endpoint_.NextTick(), controller_.NextTick()); }
  // Tells the device that nobody is there any more.
  void Close(Nanos now, const SendPacket& send);

  bool IsConnected() const { return endpoint_.HasSession(0); }
  Controller& controller() { return controller_; }
  const crypto::SecureEndpoint& endpoint() const { return endpoint_; }

 private:
  class Sink;
  crypto::SecureEndpoint endpoint_;
  Controller controller_;
  crypto::ChannelAddress to_;
  bool has_ended_ = false;
};

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_SECURE_PEERS_H_
