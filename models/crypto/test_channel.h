// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_TEST_CHANNEL_H_
#define FOREFLOW_MODELS_CRYPTO_TEST_CHANNEL_H_

#include <memory>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/crypto/secure_channel.h"

namespace foreflow::crypto {

constexpr NoiseSuite kSuites[] = {NoiseSuite::kChaChaPolyBlake2s, NoiseSuite::kChaChaPolySha256,
                                  NoiseSuite::kAesGcmBlake2s, NoiseSuite::kAesGcmSha256};

inline SecretKey TestSecret(std::uint8_t which) {
  SecretKey key;
  for (std::size_t i = 0; i < SecretKey::size(); ++i)
    key.data()[i] = static_cast<std::uint8_t>(which * 31 + i);
  return key;
}
inline std::array<std::uint8_t, 32> TestSeed(std::uint64_t number) {
  Rng rng(number, "test_channel");
  std::array<std::uint8_t, 32> seed;
  for (std::uint8_t& byte : seed) byte = static_cast<std::uint8_t>(rng.Next32());
  return seed;
}
inline ChannelAddress TestAddress(std::uint8_t host, std::uint16_t port = 1000) {
  ChannelAddress address;
  address.host[15] = host;
  address.port = port;
  return address;
}
// Of `own`, who knows the others.
inline ChannelConfig TestConfig(std::uint8_t own, const std::vector<std::uint8_t>& others) {
  ChannelConfig config;
  config.static_key = TestSecret(own);
  config.application = "test";
  for (const std::uint8_t other : others) config.peers.push_back({PublicKeyOf(TestSecret(other)), other});
  return config;
}

struct TestPacket {
  ChannelAddress from, to;
  std::vector<std::uint8_t> bytes;
};

// An end with an address, which remembers what it was given.
class TestEnd final : public ChannelSink {
 public:
  TestEnd(ChannelConfig config, std::uint64_t seed, const ChannelAddress& at)
      : address(at), config_(std::move(config)) {
    Restart(seed);
  }
  void Restart(std::uint64_t seed) { endpoint = std::make_unique<SecureEndpoint>(config_, TestSeed(seed)); }

  void OnPacket(const ChannelAddress& to, BytesView packet) override {
    sent.push_back({address, to, {packet.begin(), packet.end()}});
  }
  void OnSession(PeerIndex) override { ++sessions; }
  void OnMessage(PeerIndex, BytesView message) override {
    messages.emplace_back(message.begin(), message.end());
  }
  void OnEnd(PeerIndex, ChannelEnd why) override { ends.push_back(why); }

  ChannelStatus Input(std::vector<std::uint8_t> packet, const ChannelAddress& from, Nanos now) {
    ++inputs;
    return endpoint->Input({packet.data(), packet.size()}, from, now, *this);
  }
  ChannelStatus Input(const TestPacket& packet, Nanos now) { return Input(packet.bytes, packet.from, now); }
  bool Send(const std::vector<std::uint8_t>& message, Nanos now) {
    return endpoint->Send(0, {message.data(), message.size()}, now, *this);
  }
  std::uint64_t Count(ChannelStatus status) const {
    return endpoint->counts()[static_cast<std::size_t>(status)];
  }
  std::vector<TestPacket> TakeSent() { return std::exchange(sent, {}); }

  ChannelAddress address;
  std::unique_ptr<SecureEndpoint> endpoint;
  std::vector<TestPacket> sent;
  std::vector<std::vector<std::uint8_t>> messages;
  std::vector<ChannelEnd> ends;
  int sessions = 0;
  std::uint64_t inputs = 0;

 private:
  ChannelConfig config_;
};

// Takes packets between two ends at once until neither sends any more.
inline void Exchange(TestEnd& a, TestEnd& b, Nanos now) {
  while (!a.sent.empty() || !b.sent.empty()) {
    for (const TestPacket& packet : a.TakeSent()) b.Input(packet, now);
    for (const TestPacket& packet : b.TakeSent()) a.Input(packet, now);
  }
}

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_TEST_CHANNEL_H_
