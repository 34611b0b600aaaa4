// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_TEST_UNITS_H_
#define FOREFLOW_MODELS_SHARD_TEST_UNITS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "models/shard/test_pair.h"
#include "models/shard/unit.h"

namespace foreflow::shard {

constexpr std::uint32_t kTestSessions[] = {0x1000, 0x2000};  // that unit 0 and unit 1 receive by

// Two units with one peer each, and a network in virtual time between them, which a function is: it says of
// each datagram when its copies arrive, and may change their bytes.
class TestUnits {
 public:
  struct Datagram {
    int from = 0;
    unsigned path = 0;
    std::uint8_t ecn = 0;
    std::uint16_t flow = 0;
    wire::ShardType type = wire::ShardType::kData;
    Nanos sent;
    Raw bytes;
  };
  // Pushes what arrives, with its time.
  using Arrivals = std::vector<std::pair<Nanos, Datagram>>;
  using Network = std::function<void(const Datagram&, Arrivals&)>;
  struct Packet {
    Nanos at;
    std::uint64_t base = 0;
    std::uint8_t ecn = 0;
    Raw bytes;
  };

  TestUnits(const UnitConfig& config, Network network)
      : units{Unit(config), Unit(config)}, network_(std::move(network)) {}

  // From now on both have these sessions, and keys of epoch 0.
  void Begin() {
    for (int i = 0; i < 2; ++i) Restart(i, kTestSessions[1 - i], kTestSessions[i]);
    for (int i = 0; i < 2; ++i) Rekey(i, 0);
  }
  void Restart(int unit, std::uint32_t sending, std::uint32_t receiving) {
    Ends end(this, unit);
    EXPECT_TRUE(units[static_cast<std::size_t>(unit)].Begin(0, sending, receiving, now, end, work));
  }
  void Rekey(int unit, std::uint8_t epoch) {
    const std::size_t i = static_cast<std::size_t>(unit);
    EXPECT_TRUE(units[i].InstallReceivingKey(0, epoch, kTestCipher, KeyOf(1 - unit, epoch).data()));
    EXPECT_TRUE(units[i].InstallSendingKey(0, epoch, kTestCipher, KeyOf(unit, epoch).data()));
  }
  static std::array<std::uint8_t, 32> KeyOf(int from, std::uint8_t epoch) {
    return TestKey(static_cast<std::uint8_t>(epoch * 2 + from));
  }

  UnitVerdict Send(int unit, const Raw& packet, std::uint8_t ecn = 0, std::uint16_t flow = 0) {
    Ends end(this, unit);
    HostPacket from;
    from.bytes = View(packet);
    from.ecn = ecn;
    from.flow = flow;
    return units[static_cast<std::size_t>(unit)].Send(from, now, end, work);
  }
  // Everything that happens until then.
  void RunUntil(Nanos until) {
    for (;;) {
      const Nanos wire = on_wire.empty() ? until : on_wire.begin()->first;
      const Nanos ticks = std::min(units[0].NextTick(), units[1].NextTick());
      if (std::min(wire, ticks) >= until) break;
      if (wire <= ticks) {
        now = wire;
        Datagram datagram = std::move(on_wire.begin()->second);
        on_wire.erase(on_wire.begin());
        Deliver(std::move(datagram));
      } else {
        now = ticks;
        for (int i = 0; i < 2; ++i) Advance(i);
      }
    }
    now = until;
  }
  void Advance(int unit) {
    Ends end(this, unit);
    units[static_cast<std::size_t>(unit)].Advance(now, end, work);
  }
  void TellLost(int unit, std::uint64_t number) {
    Ends end(this, unit);
    units[static_cast<std::size_t>(unit)].TellLost(0, number, now, end, work);
  }
  Received Deliver(Datagram datagram) {
    const int to = 1 - datagram.from;
    Ends end(this, to);
    return units[static_cast<std::size_t>(to)].Receive({datagram.bytes.data(), datagram.bytes.size()},
                                                       datagram.ecn, now, end, work);
  }
  std::uint64_t Count(int unit, UnitVerdict verdict) const {
    return units[static_cast<std::size_t>(unit)].counts()[static_cast<std::size_t>(verdict)];
  }

  std::array<Unit, 2> units;
  Nanos now;
  UnitWork work;
  std::vector<Packet> delivered[2];  // by each unit to its host
  std::vector<Datagram> sent[2];     // by each unit, where they are kept
  bool keeps_sent = false;
  std::multimap<Nanos, Datagram> on_wire;

 private:
  struct Ends final : UnitSink {
    Ends(TestUnits* of, int which) : all(of), unit(which) {}
    void OnDatagram(const UnitDatagram& out) override {
      Datagram datagram;
      datagram.from = unit;
      datagram.path = out.path;
      datagram.ecn = out.ecn;
      datagram.flow = out.flow;
      datagram.type = out.type;
      datagram.sent = all->now;
      datagram.bytes.assign(out.bytes.begin(), out.bytes.end());
      if (all->keeps_sent) all->sent[unit].push_back(datagram);
      Arrivals arrivals;
      all->network_(datagram, arrivals);
      for (auto& arrival : arrivals) all->on_wire.insert(std::move(arrival));
    }
    void OnPacket(const UnitPacket& packet) override {
      all->delivered[unit].push_back(
          {all->now, packet.base, packet.ecn, Raw(packet.bytes.begin(), packet.bytes.end())});
    }
    TestUnits* all;
    int unit;
  };

  Network network_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_TEST_UNITS_H_
