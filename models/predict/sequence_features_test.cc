// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/sequence_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "models/base/rng.h"

namespace foreflow::predict {
namespace {

constexpr std::uint8_t kSyn = 0x02, kSynAck = 0x12, kFinAck = 0x11, kReset = 0x04, kAck = 0x10, kPush = 0x18;

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
PacketSummary Group() {
  PacketSummary packet = Packet(17, 300, 0, 5353, 5353);
  packet.is_group_addressed = true;
  return packet;
}
PacketSummary AtTime(PacketSummary packet, Nanos time) {
  packet.arrival = time;
  return packet;
}

constexpr float kGreatest = 131071.0F / 131072;  // LogInput saturated

constexpr int kAsker = 4, kAnswerer = 65;

TEST(SequenceFeatures, SymbolsOfAFirstPacket) {
  struct Row {
    const char* what;
    PacketSummary packet;
    int symbol;
  };
  const Row rows[] = {
      {"group", Group(), 1},
      {"ping", Packet(1, 56, 0, 0, 0x0800), 3},
      {"empty UDP", Packet(17, 0, 0, 9, 9), 3},
      {"SYN", Packet(6, 0, kSyn, 40000, 80), kAsker + 55},
      {"SYN from a low port", Packet(6, 0, kSyn, 80, 40000), kAsker + 55},
      {"SYN+ACK", Packet(6, 0, kSynAck, 80, 40000), kAnswerer + 55},
      {"RST", Packet(6, 0, kReset, 40000, 80), kAsker + 56},
      {"RST with a diagnostic", Packet(6, 9, kReset, 40000, 80), kAsker + 56},
      {"FIN", Packet(6, 0, kFinAck, 40000, 80), kAsker + 57},
      {"ACK of a client", Packet(6, 0, kAck, 40000, 80), kAsker + 60},
      {"ACK of a server", Packet(6, 0, kAck, 5432, 40000), kAnswerer + 60},
      {"first data asks", Packet(6, 63, kAck, 80, 40000), kAsker + 16},
      {"PSH", Packet(6, 63, kPush, 80, 40000), kAsker + 17},
      {"64 B", Packet(6, 64, kAck, 40000, 80), kAsker + 18},
      {"511 B", Packet(17, 511, 0, 40000, 5201), kAsker + 18},
      {"512 B", Packet(17, 512, 0, 40000, 5201), kAsker + 20},
      {"1299 B", Packet(17, 1299, 0, 40000, 5201), kAsker + 20},
      {"1300 B", Packet(17, 1300, 0, 40000, 5201), kAsker + 22},
      {"flags of no TCP", Packet(50, 1400, kPush, 0, 0), kAsker + 22},
  };
  for (const Row& row : rows) {
    ConversationState conversation;
    SenderState sender;
    SequenceInputs inputs;
    SequenceStep(row.packet, 0, conversation, sender, inputs);
    EXPECT_EQ(inputs.symbol, row.symbol) << row.what;
    EXPECT_EQ(inputs.value[0], kGreatest) << row.what;  // no gap yet: the greatest
    EXPECT_EQ(inputs.value[1], kGreatest) << row.what;
    EXPECT_EQ(inputs.value[3], 0.0F) << row.what;
  }
}

TEST(SequenceFeatures, AConnectionFromHandshakeToEnd) {
  struct Row {
    Nanos time;
    int direction;
    PacketSummary packet;
    int symbol;
  };
  const PacketSummary up = Packet(6, 100, kAck, 40000, 80), down = Packet(6, 1448, kAck, 80, 40000);
  const PacketSummary last = Packet(6, 700, kPush, 80, 40000), tiny = Packet(6, 9, kPush, 80, 40000);
  std::vector<Row> rows = {
      {Millis(0), 1, Packet(6, 0, kSyn, 40000, 80), kAsker + 55},
      {Micros(50), 0, Packet(6, 0, kSynAck, 80, 40000), kAnswerer + 55},
      {Micros(90), 1, Packet(6, 0, kAck, 40000, 80), kAsker + 58},
      {Micros(99), 1, up, kAsker + 2},
      {Millis(9), 0, down, kAnswerer + 8 + 6},
      {Millis(10), 0, down, kAnswerer + 24 + 4},
      {Millis(11), 0, down, kAnswerer + 24 + 6 + 4},
      {Millis(12), 0, down, kAnswerer + 24 + 12 + 4},
      {Millis(20), 1, Packet(6, 0, kAck, 40000, 80), kAsker + 59},
      {Millis(20), 0, last, kAnswerer + 24 + 12 + 3},
      {Millis(20), 0, tiny, kAnswerer + 24 + 12 + 1},
      {Millis(21), 0, down, kAnswerer + 24 + 12 + 4},
  };
  for (int i = 0; i < 6; ++i) rows.push_back({Millis(21), 0, down, kAnswerer + 24 + (i == 0 ? 12 : 18) + 4});
  rows.push_back({Millis(21), 0, down, kAnswerer + 24 + 24 + 4});
  // A pause: the next request is of the opener still, and of an idle sender.
  rows.push_back({Seconds(2), 1, up, kAsker + 16 + 2});
  rows.push_back({Seconds(3), 0, down, kAnswerer + 16 + 6});
  rows.push_back({Seconds(3), 0, Packet(6, 0, kFinAck, 80, 40000), kAnswerer + 57});

  ConversationState conversation;
  SenderState senders[2];
  SequenceInputs inputs;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    SequenceStep(AtTime(row.packet, row.time), static_cast<std::uint8_t>(row.direction), conversation,
                 senders[row.direction], inputs);
    EXPECT_EQ(inputs.symbol, row.symbol) << "row " << i;
  }
}

// The header's rules again, from all packets seen so far, without any state between steps.
struct Seen {
  PacketSummary packet;
  unsigned direction = 0;
  int sender = 0;
};

bool IsSyn(const Seen& seen) {
  return seen.packet.key.ip_protocol == 6 && (seen.packet.tcp_flags & kSyn) != 0;
}

std::int64_t Units(Nanos time) { return time.count() >> 20; }

std::optional<unsigned> OpenerOf(const std::vector<Seen>& all, std::size_t count) {
  std::optional<unsigned> opener;
  bool handshake = false;
  for (std::size_t i = 0; i < count; ++i) {
    const Seen& seen = all[i];
    if (seen.packet.is_group_addressed) continue;
    if (IsSyn(seen)) {
      opener = (seen.packet.tcp_flags & kAck) != 0 ? 1 - seen.direction : seen.direction;
      handshake = true;
    } else if (CarriesData(seen.packet) && !handshake) {
      bool quiet = true;
      for (std::size_t j = 0; j < i; ++j) {
        quiet = quiet && !(CarriesData(all[j].packet) && !all[j].packet.is_group_addressed &&
                           Units(seen.packet.arrival) - Units(all[j].packet.arrival) <= 190);
      }
      if (quiet) opener = seen.direction;
    }
  }
  return opener;
}

std::uint32_t RunOf(const std::vector<Seen>& all, std::size_t at) {
  std::uint32_t sum = 0;
  std::int64_t end = Units(all[at].packet.arrival);
  for (std::size_t i = at; i-- > 0;) {
    const Seen& seen = all[i];
    if (seen.direction != all[at].direction || !CarriesData(seen.packet) || seen.packet.is_group_addressed)
      continue;
    if (end - Units(seen.packet.arrival) > 190) break;
    end = Units(seen.packet.arrival);
    sum += seen.packet.payload_bytes;
  }
  return sum;
}

int ReferenceSymbol(const std::vector<Seen>& all, std::size_t at) {
  const Seen& now = all[at];
  bool idle = true;
  for (std::size_t i = 0; i < at; ++i) {
    if (all[i].sender == now.sender && now.packet.arrival - all[i].packet.arrival <= Millis(200))
      idle = false;
  }
  const bool silence = at == 0 || now.packet.arrival - all[at - 1].packet.arrival > Millis(5);
  if (now.packet.is_group_addressed) return idle ? 1 : 0;
  const bool data = CarriesData(now.packet);
  if (!data && now.packet.key.ip_protocol != 6) return idle ? 3 : 2;

  const std::uint16_t source = now.packet.key.source_port, destination = now.packet.key.destination_port;
  const std::optional<unsigned> opener = OpenerOf(all, at + 1);
  const bool answers = opener ? *opener != now.direction : source < destination;
  int symbol = answers ? kAnswerer : kAsker;
  if (data) {
    const std::uint32_t size = now.packet.payload_bytes;
    const std::uint32_t run = RunOf(all, at);
    const int push = now.packet.key.ip_protocol == 6 && (now.packet.tcp_flags & 8) != 0 ? 1 : 0;
    const int size_class = size < 64 ? 0 : size < 512 ? 1 : size < 1300 ? 2 : 3;
    if (run == 0) return symbol + 8 * (idle ? 2 : silence ? 1 : 0) + 2 * size_class + push;
    const int run_class = run < 2048 ? 0 : run < 4096 ? 1 : run < 8192 ? 2 : run < 16384 ? 3 : 4;
    return symbol + 24 + 6 * run_class + 2 * (size < 512 ? 0 : size < 1300 ? 1 : 2) + push;
  }
  if (IsSyn(now)) return symbol + 54 + static_cast<int>(idle);
  if ((now.packet.tcp_flags & 4) != 0) return symbol + 56;
  if ((now.packet.tcp_flags & 1) != 0) return symbol + 57;
  return symbol + 58 + (idle ? 2 : silence ? 1 : 0);
}

double LogOf(double x) { return std::log2(1 + x) / 32; }

TEST(SequenceFeatures, AgreesWithARereadingOfTheWholeConversation) {
  constexpr std::uint64_t kSeed = 20261121;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed, "sequence_features_test");
  constexpr std::uint8_t kFlags[] = {kSyn, kSynAck, kFinAck, kReset, kAck, kAck, kAck, kPush, kPush, kPush};
  constexpr std::uint32_t kPayloads[] = {0, 0, 1, 63, 64, 511, 512, 1299, 1300, 1448, 9000, 65000};
  std::vector<bool> met(kSequenceSymbols, false);
  for (int round = 0; round < 400; ++round) {
    const auto protocol = static_cast<std::uint8_t>(round % 8 == 0   ? 1
                                                    : round % 8 == 1 ? 50
                                                    : round % 8 < 4  ? 17
                                                                     : 6);
    const auto client = static_cast<std::uint16_t>(1024 + rng.Below(60000));
    const auto server =
        static_cast<std::uint16_t>(rng.Below(2) == 0 ? 1 + rng.Below(1023) : 1024 + rng.Below(60000));
    const double mean_gap = rng.Below(2) == 0 ? 2e6 : 1e8;
    ConversationState conversation;
    SenderState senders[2];
    std::vector<Seen> all;
    Nanos time = Seconds(static_cast<std::int64_t>(rng.Below(1000)));
    for (int i = 0; i < 60; ++i) {
      Seen seen;
      seen.direction = static_cast<unsigned>(rng.Below(2));
      seen.sender = static_cast<int>(seen.direction);
      const auto from = seen.direction == 0 ? client : server, to = seen.direction == 0 ? server : client;
      seen.packet = Packet(protocol, kPayloads[rng.Below(std::size(kPayloads))],
                           protocol == 6 ? kFlags[rng.Below(std::size(kFlags))] : std::uint8_t{0}, from, to);
      seen.packet.is_group_addressed = rng.Below(20) == 0;
      time += Nanos(static_cast<std::int64_t>(rng.Exponential(mean_gap)));
      seen.packet.arrival = time;
      all.push_back(seen);
      SequenceInputs inputs;
      SequenceStep(seen.packet, static_cast<std::uint8_t>(seen.direction), conversation, senders[seen.sender],
                   inputs);
      ASSERT_EQ(inputs.symbol, ReferenceSymbol(all, all.size() - 1)) << "round " << round << ", packet " << i;
      met[inputs.symbol] = true;
      ASSERT_NEAR(inputs.value[2], LogOf(seen.packet.payload_bytes), 1e-4);
      ASSERT_NEAR(inputs.value[3], LogOf(RunOf(all, all.size() - 1)), 1e-4);
      if (i > 0) {
        const auto gap = (time - all[all.size() - 2].packet.arrival).count();
        ASSERT_NEAR(inputs.value[0], LogOf(static_cast<double>(gap >> 10)), 1e-4);
      }
      for (const float value : inputs.value) ASSERT_TRUE(value >= 0 && value <= 1);
    }
  }
  EXPECT_GT(std::count(met.begin(), met.end(), true), 115);
}

TEST(SequenceFeatures, ExtremesSaturate) {
  ConversationState conversation;
  SenderState sender;
  SequenceInputs inputs;
  const PacketSummary packet = Packet(17, UINT32_MAX, 0, 40000, 53);
  SequenceStep(AtTime(packet, Nanos(INT64_MIN)), 0, conversation, sender, inputs);
  SequenceStep(AtTime(packet, Nanos(INT64_MAX)), 0, conversation, sender, inputs);
  EXPECT_EQ(inputs.value[0], kGreatest);
  SequenceStep(AtTime(packet, Nanos(INT64_MAX)), 0, conversation, sender, inputs);
  SequenceStep(AtTime(packet, Nanos(INT64_MAX)), 0, conversation, sender, inputs);
  EXPECT_EQ(inputs.value[3], kGreatest);
  EXPECT_EQ(inputs.symbol, kAsker + 24 + 24 + 4);
  // Time that runs backwards is no gap.
  SequenceStep(AtTime(packet, Nanos(0)), 1, conversation, sender, inputs);
  EXPECT_EQ(inputs.value[0], 0.0F);
}

}  // namespace
}  // namespace foreflow::predict
