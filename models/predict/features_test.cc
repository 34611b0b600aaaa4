// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/features.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace foreflow::predict {
namespace {

static_assert(sizeof(FeatureState) == 528, "the size that the header names");

constexpr std::uint8_t kAck = 0x10;

PacketSummary Packet(std::uint8_t protocol, std::uint32_t payload, std::uint8_t flags,
                     std::uint16_t source_port, std::uint16_t destination_port) {
  PacketSummary packet;
  packet.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  packet.key.ip_protocol = protocol;
  packet.key.source_port = source_port;
  packet.key.destination_port = destination_port;
  packet.payload_bytes = payload;
  packet.tcp_flags = flags;
  return packet;
}
PacketSummary AtTime(PacketSummary packet, Nanos time) {
  packet.arrival = time;
  return packet;
}

constexpr Symbol kLongGap = 3 << 4;

TEST(Features, KindsOfAFirstPacket) {
  PacketSummary group = Packet(17, 300, 0, 5353, 5353);
  group.is_group_addressed = true;
  struct Row {
    const char* what;
    PacketSummary packet;
    int kind;
  };
  const Row rows[] = {
      {"group", group, 0},
      {"ping", Packet(1, 56, 0, 0, 0x0800), 1},
      {"empty UDP", Packet(17, 0, 0, 9, 9), 1},
      {"SYN", Packet(6, 0, 0x02, 40000, 80), 2},
      {"SYN+ACK", Packet(6, 0, 0x12, 80, 40000), 2},
      {"FIN", Packet(6, 0, 0x11, 40000, 80), 2},
      {"RST", Packet(6, 0, 0x04, 40000, 80), 2},
      {"ACK", Packet(6, 0, kAck, 40000, 80), 3},
      {"client, small", Packet(6, 511, kAck, 40000, 80), 4},
      {"client, large", Packet(6, 512, kAck, 40000, 80), 7},
      {"server, small", Packet(6, 1, kAck, 80, 40000), 10},
      {"server, large", Packet(17, 1400, 0, 443, 40000), 13},
      {"equal ports ask", Packet(17, 90, 0, 123, 123), 4},
      {"ESP", Packet(50, 1400, 0, 0, 0), 7},
  };
  for (const Row& row : rows) {
    FeatureState state;
    EXPECT_EQ(SymbolOf(row.packet, state), kLongGap + row.kind) << row.what;
  }
}

TEST(Features, GapsAreTheVms) {
  struct Row {
    Nanos gap;
    int gap_class;
  };
  const Row rows[] = {{Nanos(0), 0},   {Micros(999), 0},     {Millis(1), 1},   {Micros(49'999), 1},
                      {Millis(50), 2}, {Micros(199'999), 2}, {Millis(200), 3}, {Seconds(1'000'000'000), 3},
                      {Nanos(-5), 0}};
  for (const Row& row : rows) {
    FeatureState state;
    SymbolOf(AtTime(Packet(1, 0, 0, 0, 0), Seconds(7)), state);
    EXPECT_EQ(SymbolOf(AtTime(Packet(6, 9, kAck, 40000, 80), Seconds(7) + row.gap), state) >> 4,
              row.gap_class)
        << row.gap.count();
  }
  FeatureState state;
  SymbolOf(AtTime(Packet(1, 0, 0, 0, 0), Nanos(INT64_MIN)), state);
  EXPECT_EQ(SymbolOf(AtTime(Packet(1, 0, 0, 0, 0), Nanos(INT64_MAX)), state) >> 4, 3);
}

TEST(Features, RunsAreTheFlows) {
  const PacketSummary data = Packet(6, 1400, kAck, 40000, 80);
  const PacketSummary pure_ack = Packet(6, 0, kAck, 40000, 80);
  const PacketSummary elsewhere = Packet(6, 1400, kAck, 40001, 80);
  FeatureState state;
  EXPECT_EQ(SymbolOf(AtTime(data, Millis(0)), state) & 15, 7);
  EXPECT_EQ(SymbolOf(AtTime(data, Millis(1)), state) & 15, 8);
  EXPECT_EQ(SymbolOf(AtTime(elsewhere, Millis(2)), state) & 15, 7);
  EXPECT_EQ(SymbolOf(AtTime(pure_ack, Millis(4)), state) & 15, 3);
  EXPECT_EQ(SymbolOf(AtTime(data, Millis(5)), state) & 15, 8);
  EXPECT_EQ(SymbolOf(AtTime(data, Millis(204)), state) & 15, 8);
  EXPECT_EQ(SymbolOf(AtTime(data, Millis(407)), state) & 15, 7);  // a pause: another run
}

TEST(Features, RunsGrowToBulk) {
  const PacketSummary data = Packet(6, 1024, kAck, 40000, 80);
  const PacketSummary tiny = Packet(6, 1, kAck, 40001, 80);
  FeatureState state;
  for (int i = 0; i < 40; ++i) {
    const int run = i == 0 ? 0 : i < 16 ? 1 : 2;  // 16 KiB have been sent before the seventeenth
    EXPECT_EQ(SymbolOf(AtTime(data, Millis(i)), state) & 15, 7 + run) << i;
  }
  EXPECT_EQ(SymbolOf(AtTime(tiny, Millis(40)), state) & 15, 4);
  EXPECT_EQ(SymbolOf(AtTime(tiny, Millis(41)), state) & 15, 5);
}

TEST(Features, HandshakesTellRolesPortsGuessThem) {
  FeatureState state;
  SymbolOf(Packet(6, 0, 0x12, 50000, 40000), state);
  EXPECT_EQ(SymbolOf(Packet(6, 100, kAck, 50000, 40000), state) & 15, 10);
  SymbolOf(Packet(6, 0, 0x02, 20, 40000), state);
  EXPECT_EQ(SymbolOf(Packet(6, 100, kAck, 20, 40000), state) & 15, 4);
}

RC_GTEST_PROP(Features, AnyPacketHasASymbol, ()) {
  FeatureState state;
  for (int i = 0; i < 20; ++i) {
    PacketSummary packet = Packet(*rc::gen::arbitrary<std::uint8_t>(), *rc::gen::arbitrary<std::uint32_t>(),
                                  *rc::gen::arbitrary<std::uint8_t>(), *rc::gen::arbitrary<std::uint16_t>(),
                                  *rc::gen::arbitrary<std::uint16_t>());
    packet.key.l3 = *rc::gen::inRange<std::uint8_t>(0, 4);
    packet.arrival = Nanos(*rc::gen::arbitrary<std::int64_t>());
    RC_ASSERT(SymbolOf(packet, state) < kSymbols);
  }
}

}  // namespace
}  // namespace foreflow::predict
