// SPDX-License-Identifier: BSD-3-Clause
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <vector>

#include "models/shard/unit.h"

namespace {

using namespace foreflow;
using namespace foreflow::shard;

using Raw = std::vector<std::uint8_t>;

void Require(bool holds) {
  if (!holds) std::abort();
}

struct End final : UnitSink {
  void OnDatagram(const UnitDatagram& datagram) override {
    if (wire.size() < 256) wire.emplace_back(datagram.bytes.begin(), datagram.bytes.end());
  }
  void OnPacket(const UnitPacket& packet) override {
    // What comes out went in at the other end, once.
    const auto it = other->given.find(Raw(packet.bytes.begin(), packet.bytes.end()));
    Require(it != other->given.end() && it->second > 0);
    --it->second;
  }
  End* other = nullptr;
  std::map<Raw, unsigned> given;  // packets from this end's host
  std::vector<Raw> wire;          // datagrams from this end
};

UnitConfig Config(std::uint8_t choice) {
  UnitConfig config;
  config.most_packet_bytes = 400;
  config.held_packets = 8;
  config.reassembler.slots = 64;
  config.reassembler.held = 24;
  config.reassembler.least_fragment_bytes = 16;
  config.opener.replay_records = 128;
  config.retransmission.numbers = 128;
  config.retransmission.packets = 8;
  config.gaps.numbers = 128;
  config.gaps.gaps = 16;
  config.gaps.rule = static_cast<GapRule>(choice % 5);
  config.feedback.most_bytes = 128;
  config.mtu.base = 200;
  config.mtu.most = 300;
  config.monitor.small_probe = 40;
  config.size.least_bytes = 16;
  config.repair = static_cast<RepairRule>(choice / 5 % 4);
  config.preference = static_cast<Preference>(choice / 20 % 3);
  config.path_weights = {1, 3};
  config.path_rule = static_cast<PathRule>(choice / 60 % 3);
  config.has_uuid = choice >= 180;
  return config;
}

}  // namespace

// Two units and whatever a network can do between them: what comes out went in, once, and memory is bounded.
// The first byte chooses the configuration; operations of 4 B follow.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const UnitConfig config = Config(data[0]);
  std::array<Unit, 2> units{Unit(config), Unit(config)};
  std::array<End, 2> ends;
  ends[0].other = &ends[1];
  ends[1].other = &ends[0];
  UnitWork work;
  Nanos now;
  std::uint8_t epoch = 0;
  std::uint32_t life = 0;
  const auto rekey = [&] {
    for (std::size_t i = 0; i < 2; ++i) {
      std::array<std::uint8_t, 32> mine{}, theirs{};
      mine[0] = theirs[0] = epoch;
      mine[1] = theirs[1] = static_cast<std::uint8_t>(life);
      mine[2] = theirs[2] = static_cast<std::uint8_t>(life >> 8);
      mine[3] = static_cast<std::uint8_t>(i);
      theirs[3] = static_cast<std::uint8_t>(1 - i);
      Require(
          units[i].InstallReceivingKey(0, epoch, crypto::AeadAlgorithm::kChaCha20Poly1305, theirs.data()));
      Require(units[i].InstallSendingKey(0, epoch, crypto::AeadAlgorithm::kChaCha20Poly1305, mine.data()));
    }
  };
  const auto begin = [&] {
    ++life;
    for (std::uint32_t i = 0; i < 2; ++i)
      Require(units[i].Begin(0, life * 2u + 1 - i, life * 2u + i, now, ends[i], work));
    rekey();
  };
  begin();
  std::uint8_t content = 0;
  for (std::size_t at = 1; at + 4 <= size; at += 4) {
    const std::uint8_t* const operation = data + at;
    const std::size_t from = operation[1] & 1;
    End& end = ends[from];
    switch (operation[0] % 8) {
      case 0:
        now += Micros(operation[2]) * operation[3];
        units[from].Advance(now, ends[from], work);
        break;
      case 1:
      case 2: {
        Raw packet(1 + (operation[2] | std::size_t{operation[3]} << 8) % config.most_packet_bytes, ++content);
        ++end.given[packet];
        const UnitVerdict verdict =
            units[from].Send({0, {packet.data(), packet.size()}, operation[0], content}, now, end, work);
        Require(verdict == UnitVerdict::kSent);
        break;
      }
      case 3:
        if (operation[2] < 32) {
          ++epoch;
          rekey();
        } else if (operation[2] < 40) {
          begin();
        } else {
          units[from].SetPreference(0, static_cast<Preference>(operation[3] % kPreferences));
        }
        break;
      default: {
        // One that was sent, perhaps changed, perhaps again.
        if (end.wire.empty()) break;
        const std::size_t which = operation[2] % end.wire.size();
        Raw datagram = end.wire[which];
        const bool is_changed = operation[0] % 8 == 7;
        if (is_changed)
          datagram[operation[3] % datagram.size()] ^= static_cast<std::uint8_t>(operation[3] | 1);
        const Received received = units[1 - from].Receive({datagram.data(), datagram.size()},
                                                          operation[0] / 8 & 3, now, ends[1 - from], work);
        if (is_changed)
          Require(received.verdict >= UnitVerdict::kMalformed && received.verdict <= UnitVerdict::kForged);
        if (operation[0] % 8 == 4) end.wire.erase(end.wire.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
    for (const Unit& unit : units) {
      Require(unit.held_packets() <= config.held_packets);
      Require(unit.held_fragments(0) <= config.reassembler.held);
      Require(unit.held_fragments() == unit.held_fragments(0) && unit.held_packets() == unit.held_packets(0));
      Require(unit.NextTick() > now || unit.NextTick() <= now + Millis(1));
    }
  }
  return 0;
}
