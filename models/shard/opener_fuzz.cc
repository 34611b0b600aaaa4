// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/opener.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <vector>

#include "models/shard/sharder.h"

namespace {

using namespace foreflow;
using namespace foreflow::shard;

void Require(bool holds) {
  if (!holds) std::abort();
}

struct Datagram {
  std::vector<std::uint8_t> bytes;
  std::uint64_t number = 0;
  std::uint8_t epoch = 0;
};

}  // namespace

// The input is the network between a sharder and an opener, operations of 4 B: it repeats, delays, reorders
// and changes. A number is opened once at most, what was changed never, what is new and in time always.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kSession = 6;
  constexpr auto kCipher = crypto::AeadAlgorithm::kChaCha20Poly1305;
  const std::array<std::uint8_t, 32> keys[] = {{1}, {2}, {3}, {4}};
  OpenerConfig config;
  config.sessions = 2;
  config.replay_records = 128;
  config.replay_time = Millis(50);
  Opener opener(config);
  opener.Begin(kSession);
  Sharder sharder(kSession, false);
  std::uint8_t epoch = 0;
  sharder.keys().Install(epoch, kCipher, keys[0].data());
  opener.keys(kSession)->Install(epoch, kCipher, keys[0].data());
  std::vector<Datagram> sent;
  std::set<std::uint64_t> opened;
  std::uint64_t highest = 0;
  const std::vector<std::uint8_t> packet(40, 9);
  Work work;
  Nanos now;
  for (std::size_t at = 0; at + 4 <= size; at += 4) {
    const std::uint8_t* const operation = data + at;
    switch (operation[0] % 8) {
      case 0:
        now += Micros(operation[1]) * operation[2];
        break;
      case 1:
        ++epoch;
        sharder.keys().Install(epoch, kCipher, keys[epoch % 4].data());
        opener.keys(kSession)->Install(epoch, kCipher, keys[epoch % 4].data());
        break;
      case 2:
      case 3: {
        const PacketCut cut = sharder.Cut(packet.size(), 1u + operation[1] % 40);
        for (std::size_t i = 0; i < cut.total; ++i) {
          Datagram datagram;
          datagram.bytes.resize(200);
          datagram.bytes.resize(sharder.Seal(cut, i, {packet.data(), packet.size()}, now,
                                             {datagram.bytes.data(), datagram.bytes.size()}, work));
          datagram.number = cut.base + i;
          datagram.epoch = epoch;
          sent.push_back(datagram);
        }
        break;
      }
      default: {
        if (sent.empty()) break;
        const std::size_t back = (operation[1] | std::size_t{operation[2]} << 8) % sent.size();
        const Datagram& datagram = sent[sent.size() - 1 - back];
        std::vector<std::uint8_t> bytes = datagram.bytes;
        const bool is_changed = operation[0] % 8 == 7 && operation[3] % 8 != 0;
        if (is_changed) bytes[(operation[2] * 7u + operation[3]) % bytes.size()] ^= operation[3] % 8;
        wire::ShardMessage message;
        const OpenStatus status = opener.Open({bytes.data(), bytes.size()}, now, message, work);
        if (is_changed) {
          Require(status != OpenStatus::kOpened);
          break;
        }
        const bool is_new = opened.count(datagram.number) == 0;
        const bool is_alive = static_cast<std::uint8_t>(epoch - datagram.epoch) < 2;
        if (status == OpenStatus::kOpened) {
          Require(is_new && is_alive);
          opened.insert(datagram.number);
          highest = std::max(highest, datagram.number);
          for (std::size_t i = 0; i < message.sealed.size; ++i) Require(message.sealed.data[i] == 9);
        } else if (!is_alive) {
          Require(status == OpenStatus::kUnknownEpoch);
        } else {
          // Seen, or behind: by the window's length or by its time.
          Require(!is_new || datagram.number < highest);
        }
        break;
      }
    }
  }
  return 0;
}
