// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <vector>

#include "models/shard/test_pair.h"
#include "models/shard/unit.h"

namespace foreflow::shard {
namespace {

class Kept final : public UnitSink {
 public:
  void OnDatagram(const UnitDatagram& datagram) override {
    datagrams.emplace_back(datagram.bytes.begin(), datagram.bytes.end());
  }
  void OnPacket(const UnitPacket&) override {}

  std::vector<Raw> datagrams;
};

// What it sends by one session it does not know by the other.
TEST(UnitUsage, IsAsTheReadmeShows) {
  const UnitConfig config;
  const std::size_t peer = 0;
  const std::uint32_t their_session = 7, our_session = 8;
  const std::uint8_t epoch = 0;
  const crypto::AeadAlgorithm cipher = kTestCipher;
  const auto their = TestKey(1), our = TestKey(2);
  const std::uint8_t* their_key = their.data();
  const std::uint8_t* our_key = our.data();
  const Raw sent(300, 1);
  const BytesView frame = View(sent);
  const std::uint8_t ecn = 0;
  const std::uint16_t flow = 9;
  const Nanos now;
  Kept sink;
  UnitWork work;
  std::uint8_t* payload = nullptr;
  std::size_t bytes = 0;

  Unit unit(config);  // throws Refusal; allocates all it will ever have
  unit.Begin(peer, their_session, our_session, now, sink, work);
  unit.InstallReceivingKey(peer, epoch, cipher, their_key);  // at both ends, then
  unit.InstallSendingKey(peer, epoch, cipher, our_key);
  unit.Send({peer, frame, ecn, flow}, now, sink, work);  // datagrams go to sink.OnDatagram
  unit.Receive({payload, bytes}, ecn, now, sink, work);  // whole frames go to sink.OnPacket
  unit.Advance(now, sink, work);                         // by unit.NextTick() at the latest

  const auto count = [&unit](UnitVerdict verdict) {
    return unit.counts()[static_cast<std::size_t>(verdict)];
  };
  EXPECT_EQ(count(UnitVerdict::kSent), 1u);
  EXPECT_EQ(count(UnitVerdict::kMalformed), 1u);
  ASSERT_FALSE(sink.datagrams.empty());
  Raw heard = sink.datagrams[0];
  unit.Receive({heard.data(), heard.size()}, ecn, now, sink, work);
  EXPECT_EQ(count(UnitVerdict::kUnknownSession), 1u);
}

}  // namespace
}  // namespace foreflow::shard
