// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/shard_keys.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

namespace foreflow::wire {
namespace {

// Written by hand from the header's comments.
std::vector<std::uint8_t> Answer() {
  std::vector<std::uint8_t> bytes = {2,    1,    7,    1,    0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
                                     0x07, 0x08, 0xa0, 0xa1, 0xa2, 0xa3, 0xb0, 0xb1, 0xb2, 0xb3};
  for (std::uint8_t i = 0; i < 32; ++i) bytes.push_back(static_cast<std::uint8_t>(100 + i));
  return bytes;
}

TEST(ShardKeys, AreReadAndWrittenByteByByte) {
  const std::vector<std::uint8_t> bytes = Answer();
  ShardKeyMessage message;
  ASSERT_EQ(Decode(bytes.data(), bytes.data() + bytes.size(), message), bytes.data() + bytes.size());
  EXPECT_EQ(message.type, ShardKeyType::kAnswer);
  EXPECT_EQ(message.epoch, 7);
  EXPECT_EQ(message.cipher, 1);
  EXPECT_EQ(message.offer, 0x0102030405060708u);
  EXPECT_EQ(message.receiving, 0xa0a1a2a3u);
  EXPECT_EQ(message.sending, 0xb0b1b2b3u);
  EXPECT_EQ(message.key[31], 131);
  std::array<std::uint8_t, ShardKeyMessage::kBytes> again{};
  ASSERT_EQ(Encode(again.data(), again.data() + again.size(), message), again.data() + again.size());
  EXPECT_EQ(std::memcmp(again.data(), bytes.data(), again.size()), 0);
}

TEST(ShardKeys, WhatIsShortOrUnknownIsRefused) {
  std::vector<std::uint8_t> bytes = Answer();
  ShardKeyMessage message;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Decode(bytes.data(), bytes.data() + size, message), nullptr);
    EXPECT_EQ(Encode(bytes.data(), bytes.data() + size, message), nullptr);
  }
  for (unsigned type = 0; type < 256; ++type) {
    bytes[0] = static_cast<std::uint8_t>(type);
    const bool is_known = type >= 1 && type <= kLastShardKeyType;
    EXPECT_EQ(Decode(bytes.data(), bytes.data() + bytes.size(), message) != nullptr, is_known);
  }
  bytes = Answer();
  bytes[1] = 2;
  EXPECT_EQ(Decode(bytes.data(), bytes.data() + bytes.size(), message), nullptr);
}

}  // namespace
}  // namespace foreflow::wire
