// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/secure_channel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/crypto/cookie.h"
#include "models/crypto/stream_frames.h"
#include "models/crypto/test_channel.h"
#include "models/crypto/test_vectors.h"

namespace foreflow::crypto {
namespace {

using Message = std::vector<std::uint8_t>;
constexpr Nanos kStart = Seconds(1'800'000'000);

// Two ends that know each other. Key 2 is the greater public key or not; that must not matter.
class SecureChannel : public ::testing::Test {
 protected:
  void SetUp() override { Make(); }
  void Make() {
    a_ = std::make_unique<TestEnd>(config_a_, 1, TestAddress(1));
    b_ = std::make_unique<TestEnd>(config_b_, 2, TestAddress(2));
  }
  void Connect() {
    a_->endpoint->Connect(0, b_->address, now_, *a_);
    Exchange(*a_, *b_, now_);
    ASSERT_TRUE(a_->endpoint->HasSession(0));
    ASSERT_TRUE(b_->endpoint->HasSession(0));
  }
  // Time goes on; both ends tick when they want to, packets arrive at once.
  void Pass(Nanos time) {
    const Nanos end = now_ + time;
    for (;;) {
      const Nanos next = std::max(now_, std::min(a_->endpoint->NextTick(), b_->endpoint->NextTick()));
      if (next > end) break;
      now_ = next;
      a_->endpoint->Tick(now_, *a_);
      b_->endpoint->Tick(now_, *b_);
      Exchange(*a_, *b_, now_);
    }
    now_ = end;
  }
  void ExpectBothWays() {
    for (auto [from, to] : {std::pair(a_.get(), b_.get()), std::pair(b_.get(), a_.get())}) {
      const std::size_t before = to->messages.size();
      ASSERT_TRUE(from->Send({1, 2, 3}, now_));
      Exchange(*a_, *b_, now_);
      ASSERT_EQ(to->messages.size(), before + 1);
      EXPECT_EQ(to->messages.back(), (Message{1, 2, 3}));
    }
    EXPECT_EQ(a_->endpoint->ChannelBinding(0), b_->endpoint->ChannelBinding(0));
  }

  ChannelConfig config_a_ = TestConfig(1, {2});
  ChannelConfig config_b_ = TestConfig(2, {1});
  std::unique_ptr<TestEnd> a_, b_;
  Nanos now_ = kStart;
};

TEST_F(SecureChannel, CarriesMessagesByEverySuite) {
  for (const NoiseSuite suite : kSuites) {
    SCOPED_TRACE(Name(suite));
    config_a_.suite = suite;
    Make();
    Connect();
    EXPECT_EQ(a_->sessions, 1);
    EXPECT_EQ(b_->sessions, 1);
    ExpectBothWays();
    EXPECT_EQ(a_->endpoint->rights(0), 2u);
    EXPECT_NE(a_->endpoint->ChannelBinding(0), (std::array<std::uint8_t, 32>{}));
    for (const std::size_t size : {std::size_t{0}, config_a_.max_message_bytes}) {
      EXPECT_TRUE(a_->Send(Message(size, 7), now_));
      EXPECT_EQ(a_->sent.back().bytes.size(), size + kRecordOverhead);
      Exchange(*a_, *b_, now_);
      EXPECT_EQ(b_->messages.back(), Message(size, 7));
    }
    EXPECT_FALSE(a_->Send(Message(config_a_.max_message_bytes + 1), now_));
    EXPECT_TRUE(a_->sent.empty());
  }
}

TEST_F(SecureChannel, DeliversEachRecordOnceInAnyOrder) {
  Connect();
  for (std::uint8_t i = 0; i < 100; ++i) a_->Send({i}, now_);
  std::vector<TestPacket> packets = a_->TakeSent();
  std::reverse(packets.begin(), packets.end());
  for (const TestPacket& packet : packets) EXPECT_EQ(b_->Input(packet, now_), ChannelStatus::kMessage);
  for (const TestPacket& packet : packets) EXPECT_EQ(b_->Input(packet, now_), ChannelStatus::kReplayed);
  EXPECT_EQ(b_->messages.size(), 100u);
}

TEST_F(SecureChannel, RefusesAnyChangedBitOfARecord) {
  Connect();
  a_->Send({1, 2, 3}, now_);
  const TestPacket genuine = a_->TakeSent()[0];
  for (std::size_t bit = 0; bit < 8 * genuine.bytes.size(); ++bit) {
    TestPacket changed = genuine;
    changed.bytes[bit / 8] = static_cast<std::uint8_t>(changed.bytes[bit / 8] ^ 1u << bit % 8);
    EXPECT_FALSE(IsTaken(b_->Input(changed, now_))) << bit;
  }
  for (std::size_t size = 0; size < genuine.bytes.size(); ++size) {
    TestPacket shorter = genuine;
    shorter.bytes.resize(size);
    EXPECT_FALSE(IsTaken(b_->Input(shorter, now_))) << size;
  }
  TestPacket longer = genuine;
  longer.bytes.push_back(0);
  EXPECT_EQ(b_->Input(longer, now_), ChannelStatus::kForged);
  longer.bytes.resize(config_b_.max_message_bytes + kRecordOverhead + 1);
  EXPECT_EQ(b_->Input(longer, now_), ChannelStatus::kTruncated);
  EXPECT_TRUE(b_->messages.empty());
  EXPECT_EQ(b_->Input(genuine, now_), ChannelStatus::kMessage);
}

TEST_F(SecureChannel, RefusesAnyChangedBitOfAHandshake) {
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  const TestPacket init = a_->TakeSent()[0];
  for (std::size_t bit = 0; bit < 8 * init.bytes.size(); ++bit) {
    TestPacket changed = init;
    changed.bytes[bit / 8] = static_cast<std::uint8_t>(changed.bytes[bit / 8] ^ 1u << bit % 8);
    if (bit / 8 >= init.bytes.size() - 16) continue;  // the second MAC means nothing without load
    EXPECT_FALSE(IsTaken(b_->Input(changed, now_))) << bit;
  }
  EXPECT_TRUE(b_->sent.empty());
  ASSERT_EQ(b_->Input(init, now_), ChannelStatus::kHandshakeInit);
  const TestPacket reply = b_->TakeSent()[0];
  for (std::size_t bit = 0; bit < 8 * reply.bytes.size(); ++bit) {
    TestPacket changed = reply;
    changed.bytes[bit / 8] = static_cast<std::uint8_t>(changed.bytes[bit / 8] ^ 1u << bit % 8);
    EXPECT_FALSE(IsTaken(a_->Input(changed, now_))) << bit;
  }
  EXPECT_EQ(a_->Input(reply, now_), ChannelStatus::kHandshakeReply);
  EXPECT_EQ(a_->Input(reply, now_), ChannelStatus::kUnknownSession);
}

TEST_F(SecureChannel, RefusesStrangersAndSaysSo) {
  // Someone whom b does not know, someone who takes b for another, another application, a lesser suite.
  TestEnd stranger(TestConfig(3, {2}), 3, TestAddress(3));
  stranger.endpoint->Connect(0, b_->address, now_, stranger);
  EXPECT_EQ(b_->Input(stranger.TakeSent()[0], now_), ChannelStatus::kUnknownPeer);

  TestEnd mistaken(TestConfig(1, {4}), 4, TestAddress(1));
  mistaken.endpoint->Connect(0, b_->address, now_, mistaken);
  EXPECT_EQ(b_->Input(mistaken.TakeSent()[0], now_), ChannelStatus::kNotForUs);

  ChannelConfig other = config_a_;
  other.application = "other";
  TestEnd elsewhere(other, 5, TestAddress(1));
  elsewhere.endpoint->Connect(0, b_->address, now_, elsewhere);
  EXPECT_EQ(b_->Input(elsewhere.TakeSent()[0], now_), ChannelStatus::kHandshakeForged);

  config_b_.accepted = NoiseSuites().With(NoiseSuite::kAesGcmSha256);
  Make();
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  EXPECT_EQ(b_->Input(a_->TakeSent()[0], now_), ChannelStatus::kSuiteRefused);
  EXPECT_TRUE(b_->sent.empty());
  EXPECT_EQ(b_->endpoint->NextTick(), Nanos(INT64_MAX)) << "nothing is kept";
}

// The suite in message 1 is changed on its way to one that both ends know.
TEST_F(SecureChannel, RefusesADowngrade) {
  config_a_.suite = NoiseSuite::kAesGcmSha256;
  Make();
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  TestPacket init = a_->TakeSent()[0];
  for (int suite = 0; suite < 256; ++suite) {
    if (suite == static_cast<int>(NoiseSuite::kAesGcmSha256)) continue;
    init.bytes[2] = static_cast<std::uint8_t>(suite);
    EXPECT_EQ(b_->Input(init, now_), ChannelStatus::kNotForUs);
    // With the right MAC, which anyone who knows b's public key can make.
    const Mac128 mac = HandshakeMacs(PublicKeyOf(TestSecret(2)))
                           .First({init.bytes.data(), init.bytes.size() - 2 * kMacBytes});
    std::copy(mac.begin(), mac.end(), init.bytes.end() - 2 * static_cast<int>(kMacBytes));
    EXPECT_EQ(b_->Input(init, now_), NoiseSuites::All().Has(static_cast<std::uint8_t>(suite))
                                         ? ChannelStatus::kHandshakeForged
                                         : ChannelStatus::kSuiteRefused);
  }
}

TEST_F(SecureChannel, HandshakeReplayedChangesNothing) {
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  const TestPacket init = a_->sent[0];
  Exchange(*a_, *b_, now_);
  ExpectBothWays();
  const auto binding = b_->endpoint->ChannelBinding(0);
  EXPECT_EQ(b_->Input(init, now_), ChannelStatus::kHandshakeReplayed);
  EXPECT_TRUE(b_->sent.empty());
  // After a restart b has forgotten: the replay gets an answer that nobody can use, and no session.
  b_->Restart(77);
  EXPECT_EQ(b_->Input(init, now_), ChannelStatus::kHandshakeInit);
  EXPECT_FALSE(b_->endpoint->HasSession(0));
  for (const TestPacket& packet : b_->TakeSent())
    EXPECT_EQ(a_->Input(packet, now_), ChannelStatus::kUnknownSession);
  EXPECT_EQ(a_->endpoint->ChannelBinding(0), binding);
  Pass(config_b_.dead_after);
  EXPECT_TRUE(b_->ends.empty());
}

TEST_F(SecureChannel, EitherEndRestarts) {
  Connect();
  ExpectBothWays();
  // The responder: what the initiator sends is not answered, so it begins anew.
  b_->Restart(22);
  a_->Send({9}, now_);
  Exchange(*a_, *b_, now_);
  EXPECT_EQ(b_->Count(ChannelStatus::kUnknownSession), 1u);
  Pass(config_a_.dead_after + Seconds(1));
  EXPECT_EQ(b_->sessions, 2);
  ExpectBothWays();
  // The initiator: connects again; the old session lives on until the new one is up.
  a_->Restart(11);
  now_ += Seconds(1);
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  const TestPacket init = a_->TakeSent()[0];
  EXPECT_EQ(b_->Input(init, now_), ChannelStatus::kHandshakeInit);
  EXPECT_TRUE(b_->endpoint->HasSession(0));
  EXPECT_EQ(b_->sessions, 2);
  Exchange(*a_, *b_, now_);
  EXPECT_EQ(b_->sessions, 3);
  ExpectBothWays();
}

TEST_F(SecureChannel, MakesNewKeysByTimeRecordsAndBytes) {
  Connect();
  Pass(config_a_.rekey_after * 10);
  EXPECT_GE(a_->sessions, 10);
  EXPECT_EQ(a_->sessions, b_->sessions);
  EXPECT_TRUE(a_->ends.empty());
  ExpectBothWays();

  config_a_.rekey_after_records = 100;
  Make();
  Connect();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(a_->Send({1}, now_)) << i;
    Exchange(*a_, *b_, now_);
    Pass(Micros(1));
  }
  EXPECT_EQ(b_->messages.size(), 1000u);
  EXPECT_GE(a_->sessions, 10);

  config_a_.rekey_after_records = 1000;
  config_a_.rekey_after_bytes = 10'000;
  Make();
  Connect();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(b_->Send(Message(1000), now_)) << i;
    Exchange(*a_, *b_, now_);
    Pass(Micros(1));
  }
  EXPECT_EQ(a_->messages.size(), 100u);
  EXPECT_GE(a_->sessions, 10);
}

TEST_F(SecureChannel, KeysDieAtTwiceTheirLimitWhateverHappens) {
  config_a_.rekey_after_records = 100;
  Make();
  Connect();
  // Nothing ticks, so no new keys come. One record, the confirmation, was sent before.
  for (int i = 0; i < 199; ++i) ASSERT_TRUE(a_->Send({1}, now_)) << i;
  EXPECT_FALSE(a_->Send({1}, now_));
  const std::vector<TestPacket> packets = a_->TakeSent();
  now_ += config_b_.rekey_after * 2;
  EXPECT_EQ(b_->Input(packets[0], now_), ChannelStatus::kExpired);
}

// Two epochs: what is under way under the old keys arrives beside the new, for replay_time.
TEST_F(SecureChannel, OldKeysLiveForAWhile) {
  Connect();
  a_->Send({1}, now_);
  a_->Send({2}, now_);
  const std::vector<TestPacket> late = a_->TakeSent();
  now_ += config_a_.rekey_after;
  a_->endpoint->Tick(now_, *a_);
  Exchange(*a_, *b_, now_);
  EXPECT_EQ(b_->sessions, 2);
  EXPECT_EQ(b_->Input(late[0], now_), ChannelStatus::kMessage);
  EXPECT_EQ(b_->Input(late[0], now_), ChannelStatus::kReplayed);
  ExpectBothWays();
  now_ += config_b_.replay_time;
  b_->endpoint->Tick(now_, *b_);
  EXPECT_EQ(b_->Input(late[1], now_), ChannelStatus::kUnknownSession) << "the keys are gone";
  EXPECT_EQ(b_->messages.size(), 2u);
}

TEST_F(SecureChannel, WithheldRecordComesTooLate) {
  Connect();
  a_->Send({1}, now_);
  const TestPacket withheld = a_->TakeSent()[0];
  ExpectBothWays();
  now_ += config_b_.replay_time * 2;
  EXPECT_EQ(b_->Input(withheld, now_), ChannelStatus::kStale);
}

TEST_F(SecureChannel, BothEndsConnectAtOnce) {
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  b_->endpoint->Connect(0, a_->address, now_, *b_);
  Exchange(*a_, *b_, now_);
  EXPECT_EQ(a_->Count(ChannelStatus::kCollision) + b_->Count(ChannelStatus::kCollision), 1u);
  EXPECT_EQ(a_->sessions, 1);
  EXPECT_EQ(b_->sessions, 1);
  Pass(Seconds(60));
  EXPECT_EQ(a_->sessions, 1);
  ExpectBothWays();
}

// b answers a's handshake, does not hear that a has the keys, and ends a handshake of its own: what a sent by
// the keys of the first arrives.
TEST_F(SecureChannel, HandshakesCross) {
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  b_->Input(a_->TakeSent()[0], now_);
  a_->Input(b_->TakeSent()[0], now_);
  a_->Send({1}, now_);
  const std::vector<TestPacket> late = a_->TakeSent();  // the confirmation and the message
  b_->endpoint->Connect(0, a_->address, now_, *b_);
  Exchange(*a_, *b_, now_);
  EXPECT_EQ(b_->Input(late[1], now_), ChannelStatus::kMessage);
  EXPECT_EQ(b_->Input(late[0], now_), ChannelStatus::kKeepalive);
  ExpectBothWays();
  Pass(Seconds(60));
  ExpectBothWays();
}

TEST_F(SecureChannel, Closes) {
  Connect();
  b_->endpoint->Close(0, now_, *b_);
  EXPECT_FALSE(b_->endpoint->HasSession(0));
  Exchange(*a_, *b_, now_);
  EXPECT_EQ(a_->ends, std::vector<ChannelEnd>{ChannelEnd::kClosedByPeer});
  EXPECT_FALSE(a_->endpoint->HasSession(0));
  EXPECT_FALSE(a_->Send({1}, now_));
  Pass(Seconds(1000));
  EXPECT_EQ(a_->sessions, 1) << "nobody asked for another";
  EXPECT_EQ(a_->endpoint->ChannelBinding(0), (std::array<std::uint8_t, 32>{}));
}

// A farewell that arrives after the next session began does not end that one.
TEST_F(SecureChannel, LateCloseEndsItsOwnSessionOnly) {
  Connect();
  a_->endpoint->Close(0, now_, *a_);
  const TestPacket late = a_->TakeSent()[0];
  now_ += Millis(1);
  Connect();
  EXPECT_EQ(b_->Input(late, now_), ChannelStatus::kClosed);
  EXPECT_TRUE(b_->ends.empty());
  ExpectBothWays();
}

TEST_F(SecureChannel, GivesUpOnSilence) {
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  std::vector<Nanos> times = {now_};
  a_->sent.clear();
  while (a_->ends.empty()) {
    const Nanos next = a_->endpoint->NextTick();
    ASSERT_GT(next, now_);
    now_ = next;
    a_->endpoint->Tick(now_, *a_);
    if (!a_->TakeSent().empty()) times.push_back(now_);
  }
  EXPECT_EQ(a_->ends[0], ChannelEnd::kUnreachable);
  EXPECT_GE(now_ - times[0], config_a_.give_up);
  EXPECT_LT(now_ - times[0], config_a_.give_up + config_a_.retry * 20);
  // 0.5, 1, 2, 4, 8, 8... s and up to a quarter more.
  EXPECT_LE(times.size(), 16u);
  EXPECT_GE(times.size(), 11u);
  EXPECT_EQ(a_->endpoint->NextTick(), Nanos(INT64_MAX));
}

TEST_F(SecureChannel, ConfirmationIsRepeatedUntilHeard) {
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  b_->Input(a_->TakeSent()[0], now_);
  a_->Input(b_->TakeSent()[0], now_);
  ASSERT_TRUE(a_->endpoint->HasSession(0));
  EXPECT_FALSE(b_->Send({1}, now_)) << "b does not know yet that a has the keys";
  a_->sent.clear();  // lost
  Pass(config_a_.retry);
  EXPECT_TRUE(b_->endpoint->HasSession(0));
  EXPECT_EQ(a_->Count(ChannelStatus::kKeepalive), 1u);
  Pass(Seconds(20));
  EXPECT_EQ(a_->Count(ChannelStatus::kKeepalive), 1u) << "an idle channel is silent";
}

TEST_F(SecureChannel, FollowsThePeersAddress) {
  Connect();
  a_->address = TestAddress(9, 4242);
  a_->Send({1}, now_);
  Exchange(*a_, *b_, now_);
  b_->Send({2}, now_);
  EXPECT_EQ(b_->sent.back().to, a_->address);
  // A forgery or repetition from elsewhere moves nothing.
  a_->Send({3}, now_);
  TestPacket packet = a_->TakeSent()[0];
  b_->Input(packet, now_);
  packet.from = TestAddress(66);
  b_->Input(packet, now_);
  packet.bytes.back() ^= 1;
  b_->Input(packet, now_);
  b_->Send({4}, now_);
  EXPECT_EQ(b_->sent.back().to, a_->address);
  // Nor does a genuine record that is not the newest.
  a_->Send({5}, now_);
  a_->Send({6}, now_);
  std::vector<TestPacket> packets = a_->TakeSent();
  packets[0].from = TestAddress(66);
  EXPECT_EQ(b_->Input(packets[1], now_), ChannelStatus::kMessage);
  EXPECT_EQ(b_->Input(packets[0], now_), ChannelStatus::kMessage);
  b_->Send({7}, now_);
  EXPECT_EQ(b_->sent.back().to, a_->address);
}

// First messages by the thousand, genuine in form, from made-up addresses.
TEST_F(SecureChannel, FloodGetsCookiesAndHonestPeerGetsIn) {
  config_b_.handshakes_per_second = 50;
  config_b_.peers.push_back({PublicKeyOf(TestSecret(3)), 0});
  Make();
  TestEnd attacker(TestConfig(9, {2}), 9, TestAddress(9));
  std::vector<TestPacket> flood;
  for (int i = 0; i < 40; ++i) {
    attacker.endpoint->Connect(0, b_->address, now_, attacker);
    flood.push_back(attacker.TakeSent()[0]);
    attacker.endpoint->Close(0, now_, attacker);
  }
  TestEnd honest(TestConfig(3, {2}), 3, TestAddress(3));
  bool connecting = false;
  std::uint64_t answered = 0;
  const auto pour = [&](int packets) {
    for (int i = 0; i < packets; ++i) {
      TestPacket packet = flood[static_cast<std::size_t>(i) % flood.size()];
      packet.from = TestAddress(static_cast<std::uint8_t>(10 + i % 200), static_cast<std::uint16_t>(i));
      b_->Input(packet, now_);
      for (const TestPacket& answer : b_->TakeSent()) {
        EXPECT_LE(answer.bytes.size(), packet.bytes.size()) << "amplification";
        EXPECT_EQ(answer.to, packet.from);
        ++answered;
      }
      if (i % 10 == 0) now_ += Micros(1000);
    }
  };
  pour(5000);
  // 0.5 s: a burst of 50 and 25 more cost an agreement on keys, the others a MAC and a cookie.
  EXPECT_NEAR(static_cast<double>(b_->Count(ChannelStatus::kUnknownPeer)), 75, 2);
  EXPECT_EQ(b_->Count(ChannelStatus::kUnknownPeer) + b_->Count(ChannelStatus::kCookieDemanded), 5000u);
  EXPECT_EQ(answered, b_->Count(ChannelStatus::kCookieDemanded));

  honest.endpoint->Connect(0, b_->address, now_, honest);
  connecting = true;
  for (int round = 0; round < 5 && connecting; ++round) {
    pour(100);
    Exchange(honest, *b_, now_);
    connecting = !honest.endpoint->HasSession(0);
  }
  EXPECT_FALSE(connecting) << "within one retry";
  EXPECT_EQ(honest.Count(ChannelStatus::kCookie), 1u);
  EXPECT_TRUE(b_->endpoint->HasSession(1));

  // An attacker with a true address gets its share and no more.
  const std::uint64_t before = b_->Count(ChannelStatus::kUnknownPeer);
  for (int i = 0; i < 300; ++i) {
    pour(1);
    attacker.endpoint->Connect(0, b_->address, now_, attacker);
    Exchange(attacker, *b_, now_);
    attacker.endpoint->Close(0, now_, attacker);
    pour(50);
  }
  EXPECT_GT(b_->Count(ChannelStatus::kFlooded), 0u);
  EXPECT_LT(b_->Count(ChannelStatus::kUnknownPeer) - before, 300u);
  EXPECT_TRUE(b_->endpoint->HasSession(1));
}

TEST_F(SecureChannel, CookieIsForOneAddress) {
  config_b_.handshakes_per_second = 0;  // always under load
  Make();
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  EXPECT_EQ(b_->Input(a_->TakeSent()[0], now_), ChannelStatus::kCookieDemanded);
  EXPECT_EQ(a_->Input(b_->TakeSent()[0], now_), ChannelStatus::kCookie);
  TestPacket second = a_->TakeSent()[0];
  const ChannelAddress own = second.from;
  second.from = TestAddress(66);
  EXPECT_EQ(b_->Input(second, now_), ChannelStatus::kCookieDemanded);
  second.from = TestAddress(1, 1001);
  EXPECT_EQ(b_->Input(second, now_), ChannelStatus::kCookieDemanded);
  second.from = own;
  EXPECT_EQ(b_->Input(second, now_ + Seconds(121)), ChannelStatus::kCookieDemanded)
      << "the secret has changed";
  EXPECT_EQ(b_->Input(second, now_ + Seconds(59)), ChannelStatus::kHandshakeInit);
}

TEST_F(SecureChannel, WorksOverAStream) {
  StreamFrames to_a(MaxPacketBytes(config_a_.max_message_bytes));
  StreamFrames to_b(MaxPacketBytes(config_b_.max_message_bytes));
  const auto carry = [&](TestEnd& from, TestEnd& to, StreamFrames& frames) {
    Message stream;
    for (const TestPacket& packet : from.TakeSent()) {
      const auto header = FrameHeader(packet.bytes.size());
      stream.insert(stream.end(), header.begin(), header.end());
      stream.insert(stream.end(), packet.bytes.begin(), packet.bytes.end());
    }
    for (BytesView rest{stream.data(), stream.size()}; rest.size > 0;) {
      BytesView piece = rest.First(7);
      rest = rest.From(piece.size);
      MutableBytes packet;
      while (frames.Next(piece, packet)) to.endpoint->Input(packet, from.address, now_, to);
    }
  };
  a_->endpoint->Connect(0, b_->address, now_, *a_);
  for (int i = 0; i < 4; ++i) {
    carry(*a_, *b_, to_b);
    carry(*b_, *a_, to_a);
  }
  for (std::uint8_t i = 0; i < 50; ++i) EXPECT_TRUE(a_->Send(Message(i * 100u, i), now_));
  carry(*a_, *b_, to_b);
  ASSERT_EQ(b_->messages.size(), 50u);
  for (std::uint8_t i = 0; i < 50; ++i) EXPECT_EQ(b_->messages[i], Message(i * 100u, i));
}

TEST_F(SecureChannel, RefusesConfigurations) {
  const auto refusal = [](const ChannelConfig& config) -> std::string {
    try {
      SecureEndpoint endpoint(config, TestSeed(1));
    } catch (const Refusal& refused) {
      return refused.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(config_a_), "");
  ChannelConfig bad = config_a_;
  bad.application.clear();
  EXPECT_EQ(refusal(bad), "secure channel: application, in bytes, is 0, allowed: 1..32");
  bad = config_a_;
  bad.peers.clear();
  EXPECT_EQ(refusal(bad), "secure channel: number of peers is 0, allowed: 1..4096");
  bad = config_a_;
  bad.peers.push_back(bad.peers[0]);
  EXPECT_EQ(refusal(bad),
            "secure channel: public key of peer 1 is that of another peer, allowed: a public key that only "
            "this peer "
            "has");
  bad = config_a_;
  bad.peers[0].key = {};
  EXPECT_NE(refusal(bad).find("a point of small order"), std::string::npos);
  bad = config_a_;
  bad.peers[0].key = PublicKeyOf(bad.static_key);
  EXPECT_NE(refusal(bad).find("our own"), std::string::npos);
  bad = config_a_;
  bad.replay_records = 1000;
  EXPECT_EQ(refusal(bad), "secure channel: replay_records is 1000, allowed: a power of two");
  bad = config_a_;
  bad.max_message_bytes = kMaxMessageBytes + 1;
  EXPECT_EQ(refusal(bad), "secure channel: max_message_bytes is 65476, allowed: 1..65475");
  bad = config_a_;
  bad.retry = Nanos(0);
  EXPECT_NE(refusal(bad).find("retry, in ns, is 0"), std::string::npos);
  bad = config_a_;
  bad.suite = static_cast<NoiseSuite>(9);
  EXPECT_EQ(refusal(bad), "secure channel: suite is 9, allowed: 1..4");
}

// Each packet to the bit, as a second implementation makes it from the same keys and seeds.
TEST(SecureChannelVectors, AgreesWithASecondImplementation) {
  const auto lines = VectorLines("channel.txt", "channel");
  ASSERT_EQ(lines.size(), 4u);
  for (const auto& words : lines) {
    const auto suite = static_cast<NoiseSuite>(std::stoul(words[1]));
    SCOPED_TRACE(Name(suite));
    std::vector<std::unique_ptr<TestEnd>> ends;
    for (std::size_t i = 0; i < 2; ++i) {
      ChannelConfig config;
      config.application = "vectors";
      config.suite = suite;
      config.static_key = SecretKey(ArrayFromHex<32>(words[2 + i]));
      config.peers.push_back({PublicKeyOf(SecretKey(ArrayFromHex<32>(words[3 - i]))), 0});
      ends.push_back(std::make_unique<TestEnd>(config, 0, TestAddress(static_cast<std::uint8_t>(i))));
      ends[i]->endpoint = std::make_unique<SecureEndpoint>(config, ArrayFromHex<32>(words[4 + i]));
    }
    TestEnd& a = *ends[0];
    TestEnd& b = *ends[1];
    // The packet that one end has to send is the vector's; the other takes it.
    std::size_t packet = 7;
    const auto hand_over = [&](TestEnd& from, TestEnd& to) {
      ASSERT_EQ(from.sent.size(), 1u);
      const TestPacket sent = from.TakeSent()[0];
      EXPECT_EQ(Hex(View(sent.bytes)), words[packet++]);
      EXPECT_TRUE(IsTaken(to.Input(sent, kStart)));
    };
    a.endpoint->Connect(0, b.address, kStart, a);
    hand_over(a, b);
    hand_over(b, a);
    hand_over(a, b);
    hand_over(b, a);
    const std::string there = "there";
    const std::string back = "and back";
    a.Send({there.begin(), there.end()}, kStart);
    hand_over(a, b);
    b.Send({back.begin(), back.end()}, kStart);
    hand_over(b, a);
    EXPECT_EQ(Hex(View(a.endpoint->ChannelBinding(0))), words[6]);
    EXPECT_EQ(Hex(View(b.endpoint->ChannelBinding(0))), words[6]);
  }
}

TEST(ChannelStatus, HasNames) {
  EXPECT_STREQ(Name(ChannelStatus::kMessage), "message");
  EXPECT_STREQ(Name(ChannelStatus::kForged), "forged");
  EXPECT_STREQ(Name(ChannelStatus::kCollision), "collision");
  EXPECT_EQ(Name(ChannelStatus::kCount), nullptr);
}

TEST(SecureEndpoint, TheReadmesExample) {
  ChannelConfig of_peer = TestConfig(2, {1});
  of_peer.application = "foreflow control 1";
  TestEnd peer(of_peer, 2, TestAddress(2));
  TestEnd sink(TestConfig(1, {2}), 1, TestAddress(1));  // takes what the endpoint gives
  const SecretKey own = TestSecret(1);
  const PublicKey peer_key = PublicKeyOf(TestSecret(2));
  const std::uint32_t rights = 1;
  const std::array<std::uint8_t, 32> seed = TestSeed(1);
  const ChannelAddress address = peer.address;
  const Nanos now = kStart;
  const Message hello = {1, 2, 3};
  const BytesView message{hello.data(), hello.size()};
  Message answer;
  const auto received = [&]() -> MutableBytes {
    for (const TestPacket& packet : sink.TakeSent()) peer.Input(packet, now);
    answer = peer.TakeSent().at(0).bytes;
    return {answer.data(), answer.size()};
  };
  crypto::ChannelConfig config;
  config.static_key = own;  // 32 secret bytes; PublicKeyOf(own) is told to the peer, out of band
  config.application = "foreflow control 1";
  config.peers = {{peer_key, rights}};
  crypto::SecureEndpoint endpoint(config, seed);   // 32 secret bytes of the system's, new at every start
  endpoint.Connect(0, address, now, sink);         // sink.OnPacket sends, sink.OnSession says when it is up
  endpoint.Input(received(), address, now, sink);  // every packet that comes in; sink.OnMessage delivers
  endpoint.Send(0, message, now, sink);
  if (endpoint.NextTick() <= now) endpoint.Tick(now, sink);
  for (const TestPacket& packet : sink.TakeSent()) peer.Input(packet, now);
  ASSERT_EQ(peer.messages.size(), 1u);
  EXPECT_EQ(peer.messages[0], hello);
}

}  // namespace
}  // namespace foreflow::crypto
