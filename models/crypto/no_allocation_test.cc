// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "models/base/count_allocations_test.h"
#include "models/crypto/secure_channel.h"
#include "models/crypto/test_channel.h"

namespace foreflow::crypto {
namespace {

// A sink that keeps nothing, so that what is counted is the endpoint's own.
struct DeafSink : ChannelSink {
  void OnPacket(const ChannelAddress&, BytesView packet) override {
    std::copy(packet.begin(), packet.end(), last.begin());
    bytes = packet.size;
  }
  void OnSession(PeerIndex) override {}
  void OnMessage(PeerIndex, BytesView) override { ++messages; }
  void OnEnd(PeerIndex, ChannelEnd) override {}
  std::array<std::uint8_t, 20'000> last{};
  std::size_t bytes = 0;
  int messages = 0;
};

TEST(NoAllocation, SecureChannelAfterConstruction) {
  const Nanos now = Seconds(1'800'000'000);
  ChannelConfig config_a = TestConfig(1, {2});
  ChannelConfig config_b = TestConfig(2, {1});
  DeafSink to_a, to_b;
  const auto hand_over = [&](SecureEndpoint& to, DeafSink& from, DeafSink& sink) {
    const std::size_t bytes = std::exchange(from.bytes, 0);
    return to.Input({from.last.data(), bytes}, TestAddress(1), now, sink);
  };
  config_b.handshakes_per_second = 0;
  for (const NoiseSuite suite : kSuites) {
    config_a.suite = suite;
    SecureEndpoint a(config_a, TestSeed(1));
    SecureEndpoint b(config_b, TestSeed(2));
    g_allocations = 0;
    g_counting = true;
    a.Connect(0, TestAddress(2), now, to_a);
    hand_over(b, to_a, to_b);  // a cookie,
    hand_over(a, to_b, to_a);  // the second message 1,
    hand_over(b, to_a, to_b);  // message 2,
    hand_over(a, to_b, to_a);  // the confirmation
    hand_over(b, to_a, to_b);
    to_b.messages = 0;
    const std::array<std::uint8_t, 1000> text{};
    for (int i = 0; i < 100; ++i) {
      a.Send(0, {text.data(), text.size()}, now, to_a);
      if (i % 7 == 0) to_a.last[20] ^= 1;
      hand_over(b, to_a, to_b);
    }
    a.Tick(now + Seconds(500), to_a);
    b.Tick(now + Seconds(500), to_b);
    a.Close(0, now, to_a);
    g_counting = false;
    EXPECT_EQ(g_allocations, 0u) << Name(suite);
    EXPECT_EQ(to_b.messages, 85) << Name(suite);
  }
}

}  // namespace
}  // namespace foreflow::crypto
