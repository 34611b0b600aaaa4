// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "models/crypto/secure_channel.h"
#include "models/crypto/test_channel.h"

namespace foreflow::crypto {
namespace {

using Message = std::vector<std::uint8_t>;

// Two ends in virtual time, and between them somebody who sees, keeps and changes all packets: drops, repeats
// (at once or much later, from any address), delays and so reorders, truncates, lengthens, flips bits, puts
// the head of one packet before the body of another, makes packets up, and restarts either end.
class Adversary {
 public:
  Adversary(std::uint64_t seed, int strength)
      : rng_(seed, "secure_channel_link_test"), strength_(strength), seed_(seed) {
    for (std::uint8_t i = 0; i < 2; ++i) {
      ChannelConfig config = TestConfig(static_cast<std::uint8_t>(i + 1), {static_cast<std::uint8_t>(2 - i)});
      config.suite = kSuites[rng_.Below(4)];
      // Keys change often, by each of the limits.
      config.rekey_after = Seconds(5 + rng_.Below(30));
      config.rekey_after_records = 20 + rng_.Below(500);
      config.rekey_after_bytes = 5'000 + rng_.Below(100'000);
      config.replay_records = 128u << rng_.Below(4);
      config.replay_time = Millis(500 + rng_.Below(5'000));
      config.handshakes_per_second = rng_.Below(3);
      config.max_message_bytes = 600;
      ends_.push_back(
          std::make_unique<TestEnd>(config, 2 * seed + i, TestAddress(static_cast<std::uint8_t>(i + 1))));
    }
  }

  // For a while: messages at random, the adversary at work while `hostile`.
  void Run(Nanos time, bool hostile) {
    const Nanos until = now_ + time;
    hostile_ = hostile;
    for (;;) {
      Collect();
      Nanos next = next_message_;
      if (!flying_.empty()) next = std::min(next, flying_.begin()->first);
      for (const auto& end : ends_) next = std::min(next, end->endpoint->NextTick());
      next = std::max(next, now_);
      if (next > until) break;
      now_ = next;
      for (std::size_t i = 0; i < 2; ++i) {
        if (ends_[i]->endpoint->NextTick() <= now_) {
          ends_[i]->endpoint->Tick(now_, *ends_[i]);
          ASSERT_TRUE(ends_[i]->endpoint->NextTick() > now_) << "a tick that changes nothing";
        }
      }
      while (!flying_.empty() && flying_.begin()->first <= now_) {
        Flight flight = std::move(flying_.begin()->second);
        flying_.erase(flying_.begin());
        ends_[flight.to]->Input(flight.packet, now_);
        Check(flight.to);
      }
      if (next_message_ <= now_) {
        const std::size_t from = rng_.Below(2);
        Say(from);
        if (hostile_ && rng_.Below(400) == 0) Restart(rng_.Below(2));
        if (hostile_ && rng_.Below(300) == 0) {
          TestEnd& end = *ends_[rng_.Below(2)];
          end.endpoint->Close(0, now_, end);
        }
        if (rng_.Below(100) == 0) Connect(rng_.Below(2));
        next_message_ = now_ + Micros(rng_.Below(100'000));
      }
    }
    now_ = until;
  }
  void Connect(std::size_t i) { ends_[i]->endpoint->Connect(0, ends_[1 - i]->address, now_, *ends_[i]); }

  // The link is whole again: both ends find each other, and what is said arrives.
  void ExpectHealed() {
    Connect(rng_.Below(2));
    Run(Seconds(40), false);
    ASSERT_TRUE(ends_[0]->endpoint->HasSession(0));
    ASSERT_TRUE(ends_[1]->endpoint->HasSession(0));
    const std::array<std::size_t, 2> before = {delivered_[0].size(), delivered_[1].size()};
    const std::array<std::size_t, 2> said = {said_[0].size(), said_[1].size()};
    Run(Seconds(60), false);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_GT(delivered_[1 - i].size(), before[1 - i]);
      // All but those under way at either end of the minute.
      EXPECT_NEAR(static_cast<double>(delivered_[1 - i].size() - before[1 - i]),
                  static_cast<double>(said_[i].size() - said[i]), 5);
    }
    for (const auto& end : ends_) {
      const auto& counts = end->endpoint->counts();
      EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), end->inputs);
    }
  }

  std::size_t delivered() const { return delivered_[0].size() + delivered_[1].size(); }
  std::uint64_t Count(ChannelStatus status) const {
    return past_counts_[static_cast<std::size_t>(status)] + ends_[0]->Count(status) + ends_[1]->Count(status);
  }

 private:
  struct Flight {
    std::size_t to;
    TestPacket packet;
  };

  void Restart(std::size_t i) {
    for (std::size_t s = 0; s < past_counts_.size(); ++s) past_counts_[s] += ends_[i]->endpoint->counts()[s];
    ends_[i]->Restart(1'000'000 + 1000 * seed_ + restarts_++);
    ends_[i]->inputs = 0;
  }

  void Say(std::size_t from) {
    // Its number, its author, and bytes that follow from them.
    const std::uint32_t number = static_cast<std::uint32_t>(said_[from].size());
    Message message(5 + rng_.Below(500));
    for (std::size_t i = 0; i < 4; ++i) message[i] = static_cast<std::uint8_t>(number >> 8 * i);
    message[4] = static_cast<std::uint8_t>(from);
    for (std::size_t i = 5; i < message.size(); ++i)
      message[i] = static_cast<std::uint8_t>(number * 7 + i * from);
    if (ends_[from]->Send(message, now_)) said_[from].push_back(message);
  }

  // What was delivered to `to` was said by the other, word for word, and is delivered for the first time.
  void Check(std::size_t to) {
    for (const Message& message : ends_[to]->messages) {
      ASSERT_GE(message.size(), 5u);
      std::uint32_t number = 0;
      for (std::size_t i = 0; i < 4; ++i) number |= std::uint32_t{message[i]} << 8 * i;
      ASSERT_LT(number, said_[1 - to].size());
      ASSERT_EQ(message, said_[1 - to][number]);
      ASSERT_TRUE(delivered_[to].insert(number).second) << "twice";
    }
    ends_[to]->messages.clear();
  }

  bool Chance(int percent) {
    return hostile_ && rng_.Below(100) < static_cast<std::uint32_t>(percent * strength_);
  }

  void Collect() {
    for (std::size_t i = 0; i < 2; ++i) {
      for (TestPacket& packet : ends_[i]->TakeSent()) {
        EXPECT_LE(packet.bytes.size(), MaxPacketBytes(600));
        seen_.push_back(packet);
        if (Chance(2)) Invent();
        if (Chance(2))
          Fly(rng_.Below(2), seen_[rng_.Below(static_cast<std::uint32_t>(seen_.size()))], 20'000);
        if (Chance(5)) continue;
        if (Chance(3)) Fly(1 - i, packet, 100);
        if (Chance(5)) Spoil(packet);
        Fly(1 - i, packet, Chance(5) ? 8'000 : 20);
      }
    }
  }
  void Fly(std::size_t to, TestPacket packet, std::uint32_t most_millis) {
    if (Chance(2)) packet.from = TestAddress(static_cast<std::uint8_t>(rng_.Below(256)));
    flying_.emplace(now_ + Micros(1 + rng_.Below(most_millis * 1000)), Flight{to, std::move(packet)});
  }
  void Spoil(TestPacket& packet) {
    switch (rng_.Below(4)) {
      case 0:
        packet.bytes.resize(rng_.Below(static_cast<std::uint32_t>(packet.bytes.size() + 1)));
        break;
      case 1:
        packet.bytes.resize(packet.bytes.size() + 1 + rng_.Below(20));
        break;
      case 2:
        for (std::uint32_t flips = 1 + rng_.Below(3); flips > 0; --flips) {
          std::uint8_t& byte = packet.bytes[rng_.Below(static_cast<std::uint32_t>(packet.bytes.size()))];
          byte = static_cast<std::uint8_t>(byte ^ 1u << rng_.Below(8));
        }
        break;
      default: {
        const Message& other = seen_[rng_.Below(static_cast<std::uint32_t>(seen_.size()))].bytes;
        const std::size_t cut =
            rng_.Below(static_cast<std::uint32_t>(std::min(other.size(), packet.bytes.size()) + 1));
        std::copy_n(other.begin(), cut, packet.bytes.begin());
      }
    }
  }
  void Invent() {
    TestPacket packet{TestAddress(static_cast<std::uint8_t>(rng_.Below(256))), {}, Message(rng_.Below(300))};
    for (std::uint8_t& byte : packet.bytes) byte = static_cast<std::uint8_t>(rng_.Next32());
    if (packet.bytes.size() > 4) {
      packet.bytes[0] = static_cast<std::uint8_t>(rng_.Below(6));
      packet.bytes[1] = 1;
      packet.bytes[2] = static_cast<std::uint8_t>(rng_.Below(5));
      packet.bytes[3] = 0;
    }
    Fly(rng_.Below(2), packet, 10);
  }

  Rng rng_;
  int strength_;
  std::uint64_t seed_;
  bool hostile_ = true;
  std::vector<std::unique_ptr<TestEnd>> ends_;
  Nanos now_ = Seconds(1'800'000'000);
  Nanos next_message_ = now_;
  std::multimap<Nanos, Flight> flying_;
  std::vector<TestPacket> seen_;
  std::array<std::vector<Message>, 2> said_;
  std::array<std::set<std::uint32_t>, 2> delivered_;
  SecureEndpoint::Counts past_counts_{};
  std::uint64_t restarts_ = 0;
};

TEST(SecureChannelLink, DeliversAtMostOnceWhatWasSaidAndHeals) {
  std::size_t delivered = 0;
  SecureEndpoint::Counts counts{};
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Adversary adversary(seed, 1 + static_cast<int>(seed % 4));
    adversary.Connect(seed % 2);
    for (int round = 0; round < 2; ++round) {
      adversary.Run(Seconds(60), true);
      adversary.ExpectHealed();
      if (HasFatalFailure()) return;
    }
    delivered += adversary.delivered();
    for (std::size_t s = 0; s < counts.size(); ++s)
      counts[s] += adversary.Count(static_cast<ChannelStatus>(s));
  }
  EXPECT_GT(delivered, 100'000u);
  // The adversary has met all that it can: it lacks the keys of strangers.
  for (std::size_t s = 0; s < counts.size(); ++s) {
    const auto status = static_cast<ChannelStatus>(s);
    if (status == ChannelStatus::kUnknownPeer) {
      EXPECT_EQ(counts[s], 0u);
    } else if (status != ChannelStatus::kFlooded && status != ChannelStatus::kExpired &&
               status != ChannelStatus::kSuiteRefused && status != ChannelStatus::kHandshakeForged) {
      EXPECT_GT(counts[s], 0u) << Name(status);
    }
  }
}

}  // namespace
}  // namespace foreflow::crypto
