// SPDX-License-Identifier: BSD-3-Clause
#include "models/control/secure_peers.h"

#include "models/control/counter.h"

namespace foreflow::control {

crypto::ChannelConfig ControlChannel(const crypto::SecretKey& own,
                                     const std::vector<crypto::ChannelPeer>& peers) {
  crypto::ChannelConfig config;
  config.static_key = own;
  config.application = "foreflow control 1";
  config.peers = peers;
  config.max_message_bytes = kMostMessageBytes;
  return config;
}

class SecureAgent::Sink final : public crypto::ChannelSink {
 public:
  Sink(SecureAgent& self, Nanos now, const SendPacket& send) : self_(self), now_(now), send_(send) {}

  void OnPacket(const crypto::ChannelAddress& to, BytesView packet) override { send_(to, packet); }
  void OnSession(crypto::PeerIndex) override {}  // the controller speaks first
  void OnMessage(crypto::PeerIndex peer, BytesView message) override {
    self_.agent_.Input(peer, self_.endpoint_.rights(peer), message, now_,
                       [&](BytesView answer) { self_.endpoint_.Send(peer, answer, now_, *this); });
  }
  void OnEnd(crypto::PeerIndex, crypto::ChannelEnd) override {}

 private:
  SecureAgent& self_;
  Nanos now_;
  const SendPacket& send_;
};

namespace {

AgentConfig WithPeers(AgentConfig config, std::size_t peers) {
  config.peers = peers;
  return config;
}

}  // namespace

SecureAgent::SecureAgent(const crypto::ChannelConfig& channel, const std::array<std::uint8_t, 32>& seed,
                         AgentConfig config, const std::vector<rules::Rule>& initial,
                         ControlledDevice& device)
    : endpoint_(channel, seed), agent_(WithPeers(config, channel.peers.size()), initial, device) {}

crypto::ChannelStatus SecureAgent::Input(MutableBytes packet, const crypto::ChannelAddress& from, Nanos now,
                                         const SendPacket& send) {
  Sink sink(*this, now, send);
  return endpoint_.Input(packet, from, now, sink);
}

void SecureAgent::Tick(Nanos now, const SendPacket& send) {
  Sink sink(*this, now, send);
  endpoint_.Tick(now, sink);
}

void SecureAgent::AppendCounters(std::vector<wire::ControlStatisticsRow>& rows) const {
  const DeviceAgent::Counts& counts = agent_.counts();
  rows.push_back({IdOf(Counter::kBatches), counts.batches, 0});
  rows.push_back({IdOf(Counter::kRuleChanges), counts.changes, 0});
  rows.push_back({IdOf(Counter::kControlMessages), counts.messages, counts.bytes});
  rows.push_back({IdOf(Counter::kRequestsDone), counts.requests, 0});
  for (std::uint32_t reason = 1; reason < counts.refused.size(); ++reason) {
    rows.push_back({IdOf(Counter::kRefused, reason), counts.refused[reason], 0});
  }
  const auto& channel = endpoint_.counts();
  for (std::uint32_t status = 0; status < channel.size(); ++status) {
    rows.push_back({IdOf(Counter::kChannel, status), channel[status], 0});
  }
}

class SecureController::Sink final : public crypto::ChannelSink {
 public:
  Sink(SecureController& self, Nanos now, const SendPacket& send) : self_(self), now_(now), send_(send) {}

  void OnPacket(const crypto::ChannelAddress& to, BytesView packet) override { send_(to, packet); }
  void OnSession(crypto::PeerIndex) override { self_.controller_.Connected(now_, ToDevice()); }
  void OnMessage(crypto::PeerIndex, BytesView message) override {
    self_.controller_.Input(message, now_, ToDevice());
  }
  void OnEnd(crypto::PeerIndex, crypto::ChannelEnd) override {
    self_.controller_.Disconnected();
    self_.has_ended_ = true;
  }
  Send ToDevice() {
    return [this](BytesView message) { self_.endpoint_.Send(0, message, now_, *this); };
  }

 private:
  SecureController& self_;
  Nanos now_;
  const SendPacket& send_;
};

SecureController::SecureController(const crypto::ChannelConfig& channel,
                                   const std::array<std::uint8_t, 32>& seed, const ControllerConfig& config,
                                   std::uint64_t instance)
    : endpoint_(channel, seed), controller_(config, instance) {}

void SecureController::Connect(const crypto::ChannelAddress& to, Nanos now, const SendPacket& send) {
  to_ = to;
  has_ended_ = false;
  Sink sink(*this, now, send);
  endpoint_.Connect(0, to, now, sink);
}

crypto::ChannelStatus SecureController::Input(MutableBytes packet, const crypto::ChannelAddress& from,
                                              Nanos now, const SendPacket& send) {
  Sink sink(*this, now, send);
  return endpoint_.Input(packet, from, now, sink);
}

void SecureController::Tick(Nanos now, const SendPacket& send) {
  Sink sink(*this, now, send);
  endpoint_.Tick(now, sink);
  controller_.Tick(now, sink.ToDevice());
  // Nobody answered, or the device went: it may be back.
  if (has_ended_) Connect(to_, now, send);
}

void SecureController::Close(Nanos now, const SendPacket& send) {
  Sink sink(*this, now, send);
  endpoint_.Close(0, now, sink);
  controller_.Disconnected();
}

}  // namespace foreflow::control
