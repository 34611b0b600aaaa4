// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/packet_type.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "models/predict/oracle.h"

namespace foreflow::predict {
namespace {

TEST(PacketType, NamesAreDistinct) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kPacketTypes; ++i) names.insert(Name(static_cast<PacketType>(i)));
  EXPECT_EQ(names.size(), kPacketTypes);
  EXPECT_STREQ(Name(PacketType::kIdleBurst), "idle_burst");
  EXPECT_EQ(Name(PacketType::kCount), nullptr);
}

TEST(PacketType, DataIsPayloadOfAnApplication) {
  struct Row {
    const char* what;
    wire::Layer3 l3;
    std::uint8_t protocol;
    std::uint32_t payload;
    std::uint8_t tcp_flags;
    bool data;
  };
  const Row rows[] = {
      {"TCP with payload", wire::Layer3::kIpv4, 6, 1, 0x18, true},
      {"TCP over IPv6 with payload", wire::Layer3::kIpv6, 6, 1, 0x10, true},
      {"TCP fast open", wire::Layer3::kIpv4, 6, 100, 0x02, true},
      {"TCP acknowledgement", wire::Layer3::kIpv4, 6, 0, 0x10, false},
      {"TCP reset with a reason", wire::Layer3::kIpv4, 6, 20, 0x14, false},
      {"UDP", wire::Layer3::kIpv4, 17, 512, 0, true},
      {"UDP, flags are not its own", wire::Layer3::kIpv4, 17, 512, 0x04, true},
      {"empty UDP", wire::Layer3::kIpv4, 17, 0, 0, false},
      {"ping", wire::Layer3::kIpv4, 1, 56, 0, false},
      {"ping over IPv6", wire::Layer3::kIpv6, 58, 56, 0, false},
      {"IGMP report", wire::Layer3::kIpv4, 2, 8, 0, false},
      {"ESP", wire::Layer3::kIpv4, 50, 100, 0, true},
      {"ARP", wire::Layer3::kArp, 0, 28, 0, false},
      {"not IP", wire::Layer3::kNone, 0, 1400, 0, false},
  };
  for (const Row& row : rows) {
    PacketSummary packet;
    packet.key.l3 = static_cast<std::uint8_t>(row.l3);
    packet.key.ip_protocol = row.protocol;
    packet.payload_bytes = row.payload;
    packet.tcp_flags = row.tcp_flags;
    EXPECT_EQ(CarriesData(packet), row.data) << row.what;
  }
}

TEST(PacketType, SummaryTakesWhatHeadersSay) {
  wire::Dissection packet;
  packet.payload_bytes = 77;
  packet.tcp_flags = 0x18;
  packet.is_group_addressed = true;
  flow::FlowKey key;
  key.vm = 3;
  const PacketSummary summary = Summarise(packet, key, Micros(5), 131);
  EXPECT_EQ(summary.arrival, Micros(5));
  EXPECT_EQ(summary.key, key);
  EXPECT_EQ(summary.wire_bytes, 131u);
  EXPECT_EQ(summary.payload_bytes, 77u);
  EXPECT_EQ(summary.tcp_flags, 0x18);
  EXPECT_TRUE(summary.is_group_addressed);
}

TEST(Oracle, PutsEverythingOnTheTruth) {
  for (std::size_t i = 0; i < kPacketTypes; ++i) {
    const Prediction prediction = TruePrediction(static_cast<PacketType>(i));
    EXPECT_EQ(static_cast<std::size_t>(prediction.type), i);
    EXPECT_EQ(prediction.confidence, 65535);
    for (std::size_t j = 0; j < kPacketTypes; ++j) EXPECT_EQ(prediction.probability[j], i == j ? 65535 : 0);
  }
}

}  // namespace
}  // namespace foreflow::predict
