// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/session_keys.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/crypto/test_channel.h"

namespace foreflow::shard {
namespace {

using Raw = std::vector<std::uint8_t>;
constexpr crypto::AeadAlgorithm kCipher = crypto::AeadAlgorithm::kChaCha20Poly1305;
constexpr std::size_t kPlaces = 4;
const Nanos kStart = Seconds(1'700'000'000);

// What a unit has been told of one direction: the two newest epochs, by session.
struct Direction {
  std::uint32_t session = 0;
  std::map<std::uint8_t, Raw> keys;
  int newest = -1;

  void Begin(std::uint32_t number) { *this = {number, {}, -1}; }
  void Install(std::uint8_t epoch, const std::uint8_t* key) {
    ASSERT_EQ(keys.count(epoch), 0u);
    if (newest >= 0) {
      const auto before = static_cast<std::uint8_t>(newest);
      const Raw kept = keys[before];
      keys = {{before, kept}};
    }
    keys[epoch] = Raw(key, key + crypto::AeadKeyBytes(kCipher));
    newest = epoch;
  }
};

struct Packet {
  Nanos at;
  Raw bytes;
};

// A host, its unit's keys, and the packets on their way to the other host.
class Host final : public SessionKeysSink {
 public:
  Host(std::uint8_t own, std::uint8_t peer, SessionKeysConfig config) : other_(peer) {
    config.own = crypto::TestSecret(own);
    config.peers = {crypto::PublicKeyOf(crypto::TestSecret(peer))};
    config.cipher = kCipher;
    config_ = config;
  }
  void Restart(std::uint64_t seed, Nanos now) {
    keys = std::make_unique<SessionKeys>(config_, crypto::TestSeed(seed), kPlaces);
    sending = receiving = {};
    keys->Connect(0, crypto::TestAddress(other_), now, *this);
  }
  void Input(Raw bytes, Nanos now) {
    keys->Input({bytes.data(), bytes.size()}, crypto::TestAddress(other_), now, *this);
  }

  void OnPacket(const crypto::ChannelAddress& to, BytesView packet) override {
    EXPECT_EQ(to.host[15], other_);
    sent.emplace_back(packet.begin(), packet.end());
  }
  void OnBegin(std::size_t peer, std::uint32_t sending_session, std::uint32_t receiving_session) override {
    EXPECT_EQ(peer, 0u);
    EXPECT_EQ(receiving_session % kPlaces, 0u);
    EXPECT_TRUE(begun.insert(receiving_session).second) << "a session that was before";
    sending.Begin(sending_session);
    receiving.Begin(receiving_session);
  }
  void OnReceivingKey(std::size_t, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                      const std::uint8_t* key) override {
    EXPECT_EQ(cipher, kCipher);
    receiving.Install(epoch, key);
    EXPECT_TRUE(made.insert(receiving.keys[epoch]).second) << "a key that was before";
  }
  void OnSendingKey(std::size_t, std::uint8_t epoch, crypto::AeadAlgorithm,
                    const std::uint8_t* key) override {
    sending.Install(epoch, key);
    EXPECT_EQ(other->made.count(sending.keys[epoch]), 1u) << "the other one could not open it";
  }
  void OnRetireKeys(std::size_t) override {
    ++retired;
    for (Direction* way : {&sending, &receiving}) {
      const Raw newest = way->keys[static_cast<std::uint8_t>(way->newest)];
      way->keys = {{static_cast<std::uint8_t>(way->newest), newest}};
    }
  }
  void OnSessionEnd(std::size_t) override {
    ++ended;
    sending = receiving = {};
  }

  std::unique_ptr<SessionKeys> keys;
  Host* other = nullptr;
  Direction sending, receiving;
  std::vector<Raw> sent;
  std::set<std::uint32_t> begun;
  std::set<Raw> made;
  std::size_t retired = 0, ended = 0;

 private:
  std::uint8_t other_;
  SessionKeysConfig config_;
};

struct Network {
  double loss = 0, repeated = 0, changed = 0;
  Nanos delay = Millis(1), jitter;
};

class Hosts {
 public:
  explicit Hosts(std::uint64_t seed, const SessionKeysConfig& config = {}, Network network = {})
      : a(1, 2, config), b(2, 1, config), network_(network), rng_(seed, "session_keys_test"), seed_(seed) {
    a.other = &b;
    b.other = &a;
    a.Restart(++seed_, now);
    b.Restart(++seed_, now);
  }
  void Restart(Host& host) { host.Restart(++seed_, now); }
  void Run(Nanos time) {
    for (const Nanos end = now + time; now < end; now += Millis(1)) {
      for (Host* host : {&a, &b}) {
        if (host->keys == nullptr) continue;
        Collect(*host);
        auto& coming = ways_[host == &a ? 1 : 0];
        while (!coming.empty() && coming.begin()->first <= now) {
          const Raw bytes = coming.begin()->second;
          coming.erase(coming.begin());
          seen_.push_back(bytes);
          host->Input(bytes, now);
          Collect(*host);
        }
        host->keys->Tick(now, *host);
        Collect(*host);
      }
    }
  }
  bool AreReady() const { return a.keys->IsReady(0) && b.keys->IsReady(0); }
  // Each sends by keys with which the other opens.
  void ExpectAgreement() const {
    for (const Host* host : {&a, &b}) {
      ASSERT_TRUE(host->keys->IsReady(0));
      ASSERT_GE(host->sending.newest, 0);
      EXPECT_EQ(host->sending.session, host->other->receiving.session);
      const auto epoch = static_cast<std::uint8_t>(host->sending.newest);
      ASSERT_EQ(host->other->receiving.keys.count(epoch), 1u);
      EXPECT_EQ(host->other->receiving.keys.at(epoch), host->sending.keys.at(epoch));
    }
    EXPECT_NE(a.sending.session, b.sending.session);
  }
  const std::vector<Raw>& seen() const { return seen_; }

  Host a, b;
  Nanos now = kStart;

 private:
  void Collect(Host& host) {
    auto& way = ways_[&host == &a ? 0 : 1];
    for (Raw& bytes : host.sent) {
      if (rng_.Real() < network_.loss) continue;
      if (rng_.Real() < network_.changed) bytes[rng_.Below(static_cast<std::uint32_t>(bytes.size()))] ^= 4;
      const unsigned copies = rng_.Real() < network_.repeated ? 2 : 1;
      for (unsigned i = 0; i < copies; ++i) {
        const Nanos more(
            static_cast<std::int64_t>(rng_.Real() * static_cast<double>(network_.jitter.count())));
        way.emplace(now + network_.delay + more, bytes);
      }
    }
    host.sent.clear();
  }

  Network network_;
  Rng rng_;
  std::uint64_t seed_;
  std::array<std::multimap<Nanos, Raw, bool (*)(Nanos, Nanos)>, 2> ways_ = {
      std::multimap<Nanos, Raw, bool (*)(Nanos, Nanos)>([](Nanos x, Nanos y) { return x < y; }),
      std::multimap<Nanos, Raw, bool (*)(Nanos, Nanos)>([](Nanos x, Nanos y) { return x < y; })};
  std::vector<Raw> seen_;
};

TEST(SessionKeys, AgreeWithinAFewRoundTrips) {
  Hosts hosts(1);
  hosts.Run(Millis(30));
  hosts.ExpectAgreement();
  EXPECT_EQ(hosts.a.keys->counts().begun, 1u);
  EXPECT_EQ(hosts.b.keys->counts().begun, 1u);
}

TEST(SessionKeys, AreReplacedByTime) {
  SessionKeysConfig config;
  config.rekey_after = Millis(100);
  config.overlap = Millis(30);
  Hosts hosts(2, config);
  hosts.Run(Seconds(30));  // epochs go round their 8 bits
  hosts.ExpectAgreement();
  for (const Host* host : {&hosts.a, &hosts.b}) {
    EXPECT_GT(host->keys->counts().rekeyed, 270u);
    EXPECT_EQ(host->keys->counts().begun, 1u);
    EXPECT_GE(host->retired + 1, host->keys->counts().rekeyed);
    EXPECT_LE(host->sending.keys.size(), 2u);
  }
}

TEST(SessionKeys, AreReplacedByVolumeOfEither) {
  SessionKeysConfig config;
  config.rekey_after_bytes = 1000;
  Hosts hosts(3, config);
  hosts.Run(Millis(50));
  for (Host* host : {&hosts.a, &hosts.b}) {
    const std::uint64_t before = hosts.a.keys->counts().rekeyed;
    host->keys->OnUse(0, 999);
    hosts.Run(Seconds(1));
    EXPECT_EQ(hosts.a.keys->counts().rekeyed, before);
    host->keys->OnUse(0, 1000);
    hosts.Run(Seconds(1));
    EXPECT_EQ(hosts.a.keys->counts().rekeyed, before + 1);
    hosts.ExpectAgreement();
  }
}

TEST(SessionKeys, EitherMayStartAnew) {
  Hosts hosts(4);
  hosts.Run(Millis(50));
  for (Host* host : {&hosts.a, &hosts.b, &hosts.b, &hosts.a}) {
    const std::uint32_t before = hosts.a.sending.session;
    hosts.Restart(*host);
    hosts.Run(Millis(100));
    hosts.ExpectAgreement();
    EXPECT_NE(hosts.a.sending.session, before);
  }
}

TEST(SessionKeys, AgreeOverABadNetworkWithRestarts) {
  const std::uint64_t seed = 2026;
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (std::uint64_t run = 0; run < 20; ++run) {
    SessionKeysConfig config;
    config.rekey_after = Millis(300);
    config.overlap = Millis(50);
    config.retry = Millis(40);
    Network network;
    network.loss = 0.2;
    network.repeated = 0.2;
    network.changed = 0.05;
    network.jitter = Millis(20);
    Hosts hosts(seed + 1000 * run, config, network);
    Rng rng(seed + run, "restarts");
    for (unsigned part = 0; part < 6; ++part) {
      hosts.Run(Millis(static_cast<std::int64_t>(rng.Below(3000))));
      hosts.Restart(rng.Below(2) == 0 ? hosts.a : hosts.b);
    }
    unsigned waited = 0;
    do {
      hosts.Run(Seconds(1));
    } while (!hosts.AreReady() && ++waited < 60);
    hosts.ExpectAgreement();
    if (testing::Test::HasFailure()) break;
  }
}

TEST(SessionKeys, APeerThatLeavesTakesItsKeysWithIt) {
  Hosts hosts(5);
  hosts.Run(Millis(50));
  hosts.a.keys->Close(hosts.now, hosts.a);
  hosts.Run(Millis(1));
  hosts.a.keys.reset();
  hosts.Run(Millis(20));
  EXPECT_EQ(hosts.b.ended, 1u);
  EXPECT_FALSE(hosts.b.keys->IsReady(0));
  EXPECT_TRUE(hosts.b.receiving.keys.empty());
  hosts.Restart(hosts.a);
  hosts.Run(Seconds(1));
  hosts.ExpectAgreement();
}

// A stranger replays all that was ever said, and says things of its own.
TEST(SessionKeys, StrangersAndReplaysChangeNothing) {
  SessionKeysConfig config;
  config.rekey_after = Millis(200);
  config.overlap = Millis(20);
  Hosts hosts(6, config);
  hosts.Run(Seconds(3));
  const std::vector<Raw> said = hosts.seen();
  ASSERT_GT(said.size(), 30u);
  const auto before = hosts.a.keys->counts();
  const std::uint32_t session = hosts.a.sending.session;
  Rng rng(6, "stranger");
  for (const Raw& bytes : said) {
    hosts.a.Input(bytes, hosts.now);
    hosts.b.Input(bytes, hosts.now);
  }
  for (unsigned i = 0; i < 2000; ++i) {
    Raw bytes(rng.Below(200));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(rng.Next32());
    if (bytes.size() > 2 && i % 2 == 0) {
      bytes[0] = static_cast<std::uint8_t>(1 + rng.Below(4));
      bytes[1] = 1;
    }
    hosts.a.Input(bytes, hosts.now);
  }
  EXPECT_EQ(hosts.a.keys->counts().begun, before.begun);
  EXPECT_EQ(hosts.a.keys->counts().rekeyed, before.rekeyed);
  hosts.Run(Millis(500));
  hosts.ExpectAgreement();
  EXPECT_EQ(hosts.a.sending.session, session);
}

TEST(SessionKeys, AStrangersKeyAgreesOnNothing) {
  Hosts hosts(7);
  Host stranger(9, 2, {});  // knows b's key; b does not know its
  stranger.other = &hosts.b;
  stranger.Restart(70, hosts.now);
  for (unsigned i = 0; i < 100; ++i) {
    for (const Raw& bytes : stranger.sent) hosts.b.Input(bytes, hosts.now);
    stranger.sent.clear();
    stranger.keys->Tick(hosts.now, stranger);
    hosts.Run(Millis(20));
  }
  EXPECT_FALSE(stranger.keys->IsReady(0));
  EXPECT_EQ(hosts.b.keys->counts().begun, 1u);
  const auto unknown = static_cast<std::size_t>(crypto::ChannelStatus::kUnknownPeer);
  EXPECT_GT(hosts.b.keys->channel()[unknown], 0u);
}

TEST(SessionKeys, RefuseWhatCannotBe) {
  SessionKeysConfig good;
  good.own = crypto::TestSecret(1);
  good.peers = {crypto::PublicKeyOf(crypto::TestSecret(2))};
  good.cipher = kCipher;
  const auto seed = crypto::TestSeed(1);
  EXPECT_NO_THROW(SessionKeys(good, seed, 1));
  const auto refused = [&](const auto& change) {
    SessionKeysConfig bad = good;
    change(bad);
    EXPECT_THROW(SessionKeys(bad, seed, 1), Refusal);
  };
  refused([](SessionKeysConfig& bad) { bad.peers.clear(); });
  refused([](SessionKeysConfig& bad) { bad.peers.push_back(bad.peers[0]); });
  refused([](SessionKeysConfig& bad) { bad.peers[0] = crypto::PublicKeyOf(bad.own); });
  refused([](SessionKeysConfig& bad) { bad.rekey_after = Millis(9); });
  refused([](SessionKeysConfig& bad) { bad.rekey_after_bytes = 0; });
  refused([](SessionKeysConfig& bad) { bad.overlap = Nanos(); });
  refused([](SessionKeysConfig& bad) { bad.overlap = bad.rekey_after + Nanos(1); });
  refused([](SessionKeysConfig& bad) { bad.retry = Nanos(); });
}

}  // namespace
}  // namespace foreflow::shard
