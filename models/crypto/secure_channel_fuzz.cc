// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <vector>

#include "models/crypto/cookie.h"
#include "models/crypto/secure_channel.h"
#include "models/crypto/test_channel.h"

namespace {

using namespace foreflow;
using namespace foreflow::crypto;

// The input as a stream of choices; zeros once it is used up.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : rest_{data, size} {}
  bool IsEnd() const { return rest_.size == 0; }
  std::uint8_t Byte() {
    if (rest_.size == 0) return 0;
    const std::uint8_t byte = rest_.data[0];
    rest_ = rest_.From(1);
    return byte;
  }
  std::size_t Below(std::size_t bound) { return (Byte() | std::size_t{Byte()} << 8) % bound; }
  std::vector<std::uint8_t> Bytes(std::size_t most) {
    const BytesView taken = rest_.First(std::min(most, std::size_t{Byte()}));
    rest_ = rest_.From(taken.size);
    return {taken.begin(), taken.end()};
  }

 private:
  BytesView rest_;
};

[[noreturn]] void Fail() { std::abort(); }

// What `to` was given: said by the other, as numbered, and never before.
void Check(TestEnd& to, std::uint8_t from, std::size_t said, std::set<std::uint8_t>& delivered) {
  for (const auto& message : to.messages) {
    if (message.size() != 2 || message[0] != from || message[1] >= said) Fail();
    if (!delivered.insert(message[1]).second) Fail();
  }
  to.messages.clear();
}

}  // namespace

// Two honest ends; the input is the network between them. It delivers, repeats, drops, changes and splices
// what they send, makes up packets, with the MAC that gets them past the first check too, lets time pass, and
// restarts an end. What is delivered was said, once; a packet made up is taken by nobody; every packet is
// counted.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices choices(data, size);
  Nanos now = Seconds(1000);
  std::vector<std::unique_ptr<TestEnd>> ends;
  for (std::uint8_t i = 0; i < 2; ++i) {
    ChannelConfig config = TestConfig(static_cast<std::uint8_t>(i + 1), {static_cast<std::uint8_t>(2 - i)});
    config.suite = static_cast<NoiseSuite>(1 + choices.Byte() % 4);
    config.rekey_after_records = 1 + choices.Byte() % 20;
    config.handshakes_per_second = choices.Byte() % 2;
    config.replay_records = 128;
    config.max_message_bytes = 200;
    ends.push_back(std::make_unique<TestEnd>(config, i, TestAddress(static_cast<std::uint8_t>(i + 1))));
  }
  std::vector<TestPacket> seen;
  std::size_t said[2] = {};
  std::set<std::uint8_t> delivered[2];
  std::uint64_t seed = 100;

  while (!choices.IsEnd()) {
    const std::uint8_t choice = choices.Byte();
    const std::size_t i = choice & 1;
    TestEnd& end = *ends[i];
    TestPacket packet;
    if (!seen.empty()) packet = seen[seen.size() - 1 - choices.Below(seen.size())];
    packet.from = TestAddress(static_cast<std::uint8_t>(2 - i));
    bool is_made_up = false;
    switch (choice >> 1 & 7) {
      case 0:
        end.endpoint->Connect(0, TestAddress(static_cast<std::uint8_t>(2 - i)), now, end);
        break;
      case 1:
        if (said[i] < 250) {
          const std::vector<std::uint8_t> message = {static_cast<std::uint8_t>(i),
                                                     static_cast<std::uint8_t>(said[i])};
          said[i] += end.Send(message, now);
        }
        break;
      case 2:  // as it was
        end.Input(packet, now);
        break;
      case 3: {  // with bytes of the input over it
        const std::vector<std::uint8_t> over = choices.Bytes(packet.bytes.size());
        const std::size_t at = over.empty() ? 0 : choices.Below(packet.bytes.size() - over.size() + 1);
        std::copy(over.begin(), over.end(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(at));
        end.Input(packet, now);
        break;
      }
      case 4:  // cut, or the head of one before the body of another
        if (!seen.empty()) {
          const std::vector<std::uint8_t>& other = seen[choices.Below(seen.size())].bytes;
          const std::size_t cut = choices.Below(packet.bytes.size() + 1);
          packet.bytes.resize(cut);
          if (choices.Byte() % 2 == 0 && cut < other.size()) {
            packet.bytes.insert(packet.bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(cut),
                                other.end());
          }
          end.Input(packet, now);
        }
        break;
      case 5:  // made up; a handshake message gets its first MAC
        packet.bytes = choices.Bytes(255);
        is_made_up = packet.bytes.size() >= 8;
        if (packet.bytes.size() > 32 && packet.bytes[0] <= 2) {
          packet.bytes.resize(packet.bytes[0] == 1 ? 144 : 76);
          packet.bytes[1] = 1;
          packet.bytes[3] = 0;
          const std::size_t behind = packet.bytes[0] == 1 ? 2 * kMacBytes : kMacBytes;
          const Mac128 mac = HandshakeMacs(PublicKeyOf(TestSecret(static_cast<std::uint8_t>(i + 1))))
                                 .First({packet.bytes.data(), packet.bytes.size() - behind});
          std::copy(mac.begin(), mac.end(), packet.bytes.end() - static_cast<std::ptrdiff_t>(behind));
        }
        if (const ChannelStatus status = end.Input(packet, now); is_made_up && IsTaken(status)) {
          // Unless the input knows a packet by heart.
          const auto same = [&](const TestPacket& other) { return other.bytes == packet.bytes; };
          if (std::none_of(seen.begin(), seen.end(), same)) Fail();
        }
        break;
      case 6:
        now += Millis(choices.Byte() * (choice >> 4));
        end.endpoint->Tick(now, end);
        if (end.endpoint->NextTick() <= now) Fail();
        break;
      default:
        if (choice >> 4 == 0) {
          end.Restart(++seed);
          end.inputs = 0;
        } else if (choice >> 4 == 1) {
          end.endpoint->Close(0, now, end);
        }
    }
    for (std::size_t k = 0; k < 2; ++k) {
      Check(*ends[k], static_cast<std::uint8_t>(1 - k), said[1 - k], delivered[k]);
      for (TestPacket& sent : ends[k]->TakeSent()) {
        if (sent.bytes.size() > MaxPacketBytes(200)) Fail();
        if (seen.size() < 1000) seen.push_back(std::move(sent));
      }
    }
  }
  for (const auto& end : ends) {
    std::uint64_t counted = 0;
    for (const std::uint64_t count : end->endpoint->counts()) counted += count;
    if (counted != end->inputs) Fail();
  }
  return 0;
}
