// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/control.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "models/base/rng.h"
#include "models/wire/test_vectors.h"

namespace foreflow::wire {
namespace {

using Raw = std::vector<std::uint8_t>;

template <std::size_t kBytes>
std::array<std::uint8_t, kBytes> Counting(std::uint8_t from) {
  std::array<std::uint8_t, kBytes> bytes;
  for (std::size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<std::uint8_t>(from + i);
  return bytes;
}

struct Encoded {
  std::string name;
  Raw bytes;
  // Decodes at least as many bytes as these and encodes again; empty where they are refused.
  Raw (*again)(const Raw&);
};

template <typename Struct>
Encoded Of(const std::string& name, const Struct& value) {
  Raw bytes(Struct::kBytes, 0xcc);
  EXPECT_EQ(Encode(bytes.data(), bytes.data() + bytes.size(), value), bytes.data() + bytes.size()) << name;
  return {name, bytes, [](const Raw& in) -> Raw {
            Struct decoded;
            const std::uint8_t* end = Decode(in.data(), in.data() + in.size(), decoded);
            if (end == nullptr) return {};
            EXPECT_EQ(end, in.data() + Struct::kBytes);
            Raw small(Struct::kBytes - 1, 0xcc);
            EXPECT_EQ(Encode(small.data(), small.data() + small.size(), decoded), nullptr);
            EXPECT_EQ(small, Raw(Struct::kBytes - 1, 0xcc));
            Raw out(Struct::kBytes);
            EXPECT_NE(Encode(out.data(), out.data() + out.size(), decoded), nullptr);
            return out;
          }};
}

std::vector<Encoded> Examples() {
  const auto d = Counting<16>(0), e = Counting<16>(16);
  ControlHeader header;
  header.type = ControlType::kRulePart;
  header.length = 0x140;
  ControlHello hello;
  hello.instance = 0x0102030405060708;
  hello.generation = 77;
  hello.digest = d;
  hello.most_rules = 100'000;
  hello.most_batch_bytes = 1 << 24;
  ControlRulePart part;
  part.generation = 78;
  part.base = 77;
  part.base_digest = d;
  part.digest = e;
  part.part = 2;
  part.parts = 5;
  part.batch_bytes = 4321;
  part.is_whole = true;
  ControlKeyRotation rotation;
  rotation.number = 9;
  rotation.epoch = 3;
  rotation.key = e;
  rotation.overlap_us = 250'000;
  ControlProfile profile;
  profile.number = 10;
  profile.vm = 7;
  profile.rows = 2;
  ControlProfileRow row;
  row.source_address = {10, 0, 0, 7};
  row.destination_address = {10, 0, 0, 9};
  row.source_port = 40'000;
  row.destination_port = 443;
  row.ip_protocol = 6;
  row.l3 = 4;
  row.vlan = 0x3064;
  row.confidence = 0xc000;
  row.type_confidence = 0x8001;
  row.packet_type = 2;
  row.horizon_us = 1500;
  ControlProfileRequest profile_request;
  profile_request.number = 12;
  profile_request.vm = 7;
  ControlStatisticsRequest request;
  request.number = 11;
  request.kind = StatisticsKind::kRules;
  request.first = 4000;
  ControlStatisticsReport report;
  report.number = 11;
  report.generation = 78;
  report.kind = StatisticsKind::kRules;
  report.rows = 3;
  report.next = 4700;
  ControlStatisticsRow statistics;
  statistics.id = 4001;
  statistics.packets = std::uint64_t{1} << 40;
  statistics.bytes = (std::uint64_t{1} << 50) + 1;
  ControlAcknowledgement acknowledgement;
  acknowledgement.instance = 0x0102030405060708;
  acknowledgement.generation = 78;
  acknowledgement.digest = e;
  acknowledgement.number = 11;
  acknowledgement.assembling = 79;
  acknowledgement.missing = 3;
  acknowledgement.received = 0x8000000000000001;
  ControlRefusal refusal;
  refusal.reason = RefusalReason::kRule;
  refusal.text_bytes = 17;
  refusal.generation = 79;
  refusal.rule = 1234;
  return {Of("header", header),
          Of("hello", hello),
          Of("rule_part", part),
          Of("key_rotation", rotation),
          Of("profile", profile),
          Of("profile_row", row),
          Of("profile_request", profile_request),
          Of("statistics_request", request),
          Of("statistics_report", report),
          Of("statistics_row", statistics),
          Of("acknowledgement", acknowledgement),
          Of("refusal", refusal)};
}

TEST(Control, EncodesTheVectors) {
  const auto vectors = ReadVectors("control.txt");
  const auto examples = Examples();
  EXPECT_EQ(vectors.size(), examples.size());
  for (const Encoded& example : examples) {
    ASSERT_EQ(vectors.count(example.name), 1u) << example.name;
    EXPECT_EQ(example.bytes, vectors.at(example.name)) << example.name;
    EXPECT_EQ(example.again(example.bytes), example.bytes) << example.name;
  }
}

TEST(Control, RefusesOneByteTooFew) {
  for (const Encoded& example : Examples()) {
    Raw bytes = example.bytes;
    bytes.pop_back();
    EXPECT_TRUE(example.again(bytes).empty()) << example.name;
  }
}

// What is accepted has one spelling: every byte is told by the struct.
TEST(Control, WhatIsDecodedIsEncodedAsItWas) {
  Rng rng(1, "control_test");
  std::size_t accepted = 0, refused = 0;
  for (const Encoded& example : Examples()) {
    for (int round = 0; round < 2000; ++round) {
      Raw bytes = example.bytes;
      bytes[rng.Below(static_cast<std::uint32_t>(bytes.size()))] = static_cast<std::uint8_t>(rng.Below(256));
      const Raw again = example.again(bytes);
      ++(again.empty() ? refused : accepted);
      if (again.empty()) continue;
      EXPECT_EQ(again, bytes) << example.name;
    }
  }
  EXPECT_GT(accepted, 10'000u);
  EXPECT_GT(refused, 500u);  // reserved bytes and enumerations
}

TEST(Control, AHeaderSpansItsMessage) {
  Raw message = {1, 7, 0, 2, 0xaa, 0xbb};
  ControlHeader header;
  BytesView body;
  bool wrong_version = true;
  ASSERT_TRUE(ReadControlHeader({message.data(), message.size()}, header, body, wrong_version));
  EXPECT_EQ(header.type, ControlType::kAcknowledgement);
  EXPECT_EQ(body.size, 2u);
  EXPECT_FALSE(wrong_version);
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(ReadControlHeader({message.data(), size}, header, body, wrong_version)) << size;
    EXPECT_FALSE(wrong_version);
  }
  message.push_back(0);
  EXPECT_FALSE(ReadControlHeader({message.data(), message.size()}, header, body, wrong_version));
  message[0] = 2;
  EXPECT_FALSE(ReadControlHeader({message.data(), message.size()}, header, body, wrong_version));
  EXPECT_TRUE(wrong_version);
}

TEST(Control, EveryRefusalHasAName) {
  for (int reason = 1; reason <= kLastRefusalReason; ++reason) {
    EXPECT_NE(Name(static_cast<RefusalReason>(reason)), nullptr) << reason;
  }
  EXPECT_EQ(Name(static_cast<RefusalReason>(0)), nullptr);
  EXPECT_EQ(Name(static_cast<RefusalReason>(kLastRefusalReason + 1)), nullptr);
}

}  // namespace
}  // namespace foreflow::wire
