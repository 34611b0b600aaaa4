// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/fragment.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "models/base/rng.h"
#include "models/wire/test_vectors.h"

namespace foreflow::wire {
namespace {

using Raw = std::vector<std::uint8_t>;

template <typename Struct>
void Append(Raw& to, const Struct& value) {
  Raw bytes(Struct::kBytes);
  ASSERT_EQ(Encode(bytes.data(), bytes.data() + bytes.size() - 1, value), nullptr);
  ASSERT_EQ(Encode(bytes.data(), bytes.data() + bytes.size(), value), bytes.data() + bytes.size());
  to.insert(to.end(), bytes.begin(), bytes.end());
}

ShardHeader Header(ShardType type, bool has_uuid = false) {
  ShardHeader header;
  header.type = type;
  header.has_uuid = has_uuid;
  header.epoch = 0x7b;
  header.session = 0x01020304;
  header.number = 0x1112131415161718;
  return header;
}

// Fragment `index` of 4 of a packet of 1401 bytes, each byte of text its index.
Raw Fragment(ShardType type, bool has_uuid, std::uint8_t index) {
  FragmentHeader fragment;
  fragment.base_delta = 0x010203;
  fragment.index = index;
  fragment.total = 4;
  fragment.length = 1401;
  fragment.sent_us = 0xabcdef;
  Raw bytes;
  Append(bytes, Header(type, has_uuid));
  Append(bytes, fragment);
  if (has_uuid) Append(bytes, UuidOf(0x01020304, 0x1112131415161718 - 0x010203));
  bytes.resize(bytes.size() + FragmentBytes(1401, 4, index), 0x55);
  bytes.resize(bytes.size() + kShardTagBytes, 0xaa);
  return bytes;
}

// Fragment 2 of that packet, by the last but six of 16 paths.
Raw FragmentByPath() {
  FragmentHeader fragment;
  fragment.base_delta = 0x010203;
  fragment.index = 2;
  fragment.total = 4;
  fragment.length = 1401;
  fragment.sent_us = 0xabcdef;
  ShardHeader header = Header(ShardType::kData);
  header.has_path = true;
  Raw bytes;
  Append(bytes, header);
  Append(bytes, fragment);
  Append(bytes, PathHeader{9, 0x8000005});
  bytes.resize(bytes.size() + FragmentBytes(1401, 4, 2), 0x55);
  bytes.resize(bytes.size() + kShardTagBytes, 0xaa);
  return bytes;
}

Raw Feedback(bool has_paths = false) {
  ShardFeedback feedback;
  feedback.highest = 1000;
  feedback.received = 995;
  feedback.received_bytes = 348'250;
  feedback.marked = 3;
  feedback.spurious = 1;
  feedback.held_us = 25;
  feedback.sent_us = 0x123456;
  feedback.words = 2;
  feedback.gaps = 1;
  feedback.paths = has_paths ? 2 : 0;
  Raw bytes;
  Append(bytes, feedback);
  Append(bytes, ReceivedWord{0xffffffffffff7fff});
  Append(bytes, ReceivedWord{0x7fffffffffffffff});
  Append(bytes, FragmentGap{985, 1});
  if (has_paths) {
    Append(bytes, PathCounts{0, 25, 1000, 500, 174'125, 3});
    Append(bytes, PathCounts{15, 0x010203, 999, 495, 174'125, 0});
  }
  return bytes;
}

ShardFault Read(const Raw& bytes) {
  ShardMessage message;
  return ReadShardMessage({bytes.data(), bytes.size()}, message);
}

TEST(Fragment, EncodesTheVectors) {
  auto vectors = ReadVectors("fragment.txt");
  ASSERT_EQ(vectors.size(), 7u);
  EXPECT_EQ(Fragment(ShardType::kData, false, 0), vectors["data_compact"]);
  EXPECT_EQ(Fragment(ShardType::kData, true, 3), vectors["data_explicit"]);
  EXPECT_EQ(Fragment(ShardType::kRepair, false, 0), vectors["repair"]);
  EXPECT_EQ(Feedback(), vectors["feedback"]);
  EXPECT_EQ(FragmentByPath(), vectors["data_path"]);
  EXPECT_EQ(Feedback(true), vectors["feedback_paths"]);
  Raw probe;
  Append(probe, Header(ShardType::kProbe));
  Append(probe, ShardProbe{0xabcdef});
  EXPECT_EQ(probe, vectors["probe"]);
}

TEST(Fragment, TakesADatagramApart) {
  const Raw bytes = Fragment(ShardType::kData, true, 3);
  ShardMessage message;
  ASSERT_EQ(ReadShardMessage({bytes.data(), bytes.size()}, message), ShardFault::kNone);
  EXPECT_EQ(message.header.session, 0x01020304u);
  EXPECT_EQ(message.header.number, 0x1112131415161718u);
  EXPECT_EQ(message.base(), 0x1112131415161718u - 0x010203);
  EXPECT_EQ(message.fragment.sent_us, 0xabcdefu);
  EXPECT_EQ(message.associated.size, 40u);
  EXPECT_EQ(message.sealed.size, 1401u - 3 * 351);
  EXPECT_EQ(message.tag, bytes.data() + bytes.size() - kShardTagBytes);
  EXPECT_EQ(ShardClearBytes(ShardType::kData, false), 24u);
}

TEST(Fragment, SaysByWhichPathItWent) {
  const Raw bytes = FragmentByPath();
  ShardMessage message;
  ASSERT_EQ(ReadShardMessage({bytes.data(), bytes.size()}, message), ShardFault::kNone);
  EXPECT_EQ(message.path.path, 9);
  EXPECT_EQ(message.path.same, 0x8000005u);
  EXPECT_EQ(message.associated.size, 28u);
  EXPECT_EQ(message.sealed.size, 351u);
  EXPECT_EQ(ShardClearBytes(ShardType::kData, true, true), 44u);
  EXPECT_EQ(ShardClearBytes(ShardType::kProbe, false, true), 18u);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Raw cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(Read(cut), size < 44 ? ShardFault::kShort : ShardFault::kSize) << size;
  }
  Raw probe;
  ShardHeader header = Header(ShardType::kProbe);
  header.has_path = true;
  Append(probe, header);
  Append(probe, PathHeader{15, PathHeader::kAll});
  Append(probe, ShardProbe{1});
  EXPECT_EQ(Read(probe), ShardFault::kShort);
  probe.resize(probe.size() + kShardTagBytes);
  ASSERT_EQ(ReadShardMessage({probe.data(), probe.size()}, message), ShardFault::kNone);
  EXPECT_EQ(message.path.path, 15);
  EXPECT_EQ(message.path.same, PathHeader::kAll);
  EXPECT_EQ(message.sealed.size, ShardProbe::kBytes);
}

TEST(Fragment, EveryFaultIsTold) {
  const Raw good = Fragment(ShardType::kData, true, 2);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Raw bytes = good;
    bytes[at] = value;
    return Read(bytes);
  };
  EXPECT_EQ(Read(good), ShardFault::kNone);
  EXPECT_EQ(with(0, 0x29), ShardFault::kVersion);
  EXPECT_EQ(with(0, 0x18), ShardFault::kType);
  EXPECT_EQ(with(0, 0x1d), ShardFault::kType);
  EXPECT_EQ(with(0, 0x1b), ShardFault::kType) << "feedback has no UUID";
  EXPECT_EQ(with(18, 0), ShardFault::kTotal);
  EXPECT_EQ(with(18, 65), ShardFault::kTotal);
  EXPECT_EQ(with(17, 4), ShardFault::kIndex);
  EXPECT_EQ(with(0, 0x1a), ShardFault::kIndex) << "a repair has index 0";
  EXPECT_EQ(with(30, 1), ShardFault::kUuid);
  EXPECT_EQ(with(20, 0x7d), ShardFault::kSize);
  Raw tiny = good;
  tiny[19] = 0;
  tiny[20] = 3;
  EXPECT_EQ(Read(tiny), ShardFault::kTotal) << "3 bytes make no 4 fragments";
  Raw early = good;
  for (std::size_t at = 6; at < 14; ++at) early[at] = 0;
  EXPECT_EQ(Read(early), ShardFault::kNumber);
  Raw near = good;
  near[14] = near[15] = 0;
  near[16] = 1;
  EXPECT_EQ(Read(near), ShardFault::kNumber) << "fragment 2 comes two numbers after the base or later";
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Raw cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(Read(cut), size < 56 ? ShardFault::kShort : ShardFault::kSize) << size;
  }
  Raw longer = good;
  longer.push_back(0);
  EXPECT_EQ(Read(longer), ShardFault::kSize);
  for (std::size_t fault = 0; fault < kShardFaults; ++fault)
    EXPECT_NE(Name(static_cast<ShardFault>(fault)), nullptr);
  EXPECT_EQ(Name(static_cast<ShardFault>(kShardFaults)), nullptr);
}

TEST(Fragment, FeedbackIsExactlyItsRows) {
  const Raw good = Feedback();
  FeedbackRows rows;
  ASSERT_TRUE(ReadFeedback({good.data(), good.size()}, rows));
  EXPECT_EQ(rows.feedback.highest, 1000u);
  EXPECT_EQ(rows.feedback.sent_us, 0x123456u);
  EXPECT_EQ(rows.Word(1), 0x7fffffffffffffffu);
  EXPECT_EQ(rows.Gap(0).first, 985u);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(ReadFeedback({good.data(), size}, rows)) << size;
  const auto with_gap = [&](std::uint64_t first, std::uint16_t count) {
    Raw bytes = good;
    Store64(bytes.data() + 60, first);
    Store16(bytes.data() + 68, count);
    return ReadFeedback({bytes.data(), bytes.size()}, rows);
  };
  EXPECT_FALSE(with_gap(985, 0));
  EXPECT_TRUE(with_gap(1001, 64)) << "the others of a packet that is under way";
  EXPECT_FALSE(with_gap(1001, 65));
  EXPECT_FALSE(with_gap(~std::uint64_t{0}, 2)) << "past the last number";
  const Raw by_path = Feedback(true);
  ASSERT_TRUE(ReadFeedback({by_path.data(), by_path.size()}, rows));
  EXPECT_EQ(rows.Path(1).path, 15);
  EXPECT_EQ(rows.Path(1).held_us, 0x010203u);
  EXPECT_EQ(rows.Path(0).received_bytes, 174'125u);
  const auto with_path = [&](std::size_t at, std::uint8_t value) {
    Raw bytes = by_path;
    bytes[at] = value;
    return ReadFeedback({bytes.data(), bytes.size()}, rows);
  };
  EXPECT_FALSE(with_path(70, 16)) << "no such path";
  EXPECT_FALSE(with_path(80, 4)) << "more than the greatest number of all";
  EXPECT_FALSE(with_path(41, 1)) << "a row too many";
  Raw reserved = good;
  reserved[42] = 1;
  EXPECT_FALSE(ReadFeedback({reserved.data(), reserved.size()}, rows));
}

// Every split of every length into its grid: parts that have bytes, lie side by side and make the whole.
TEST(Fragment, AGridCoversThePacketOnce) {
  std::size_t grids = 0;
  for (std::size_t length = 1; length <= 300; ++length) {
    for (std::size_t total = 0; total <= kMostFragments + 1; ++total) {
      if (!IsGrid(length, total)) continue;
      ++grids;
      std::size_t bytes = 0;
      for (std::size_t index = 0; index < total; ++index) {
        ASSERT_EQ(bytes, index * FragmentUnit(length, total));
        ASSERT_GT(FragmentBytes(length, total, index), 0u);
        bytes += FragmentBytes(length, total, index);
      }
      ASSERT_EQ(bytes, length);
    }
  }
  EXPECT_GT(grids, 5000u);
  for (std::size_t length = 1; length <= 65'535; length += 7) {
    for (std::size_t total = 1; total <= kMostFragments; ++total)
      ASSERT_EQ(FragmentUnit(length, total), (length + total - 1) / total) << length << " " << total;
  }
  EXPECT_FALSE(IsGrid(0, 1));
  EXPECT_FALSE(IsGrid(5, 4)) << "two bytes each: the fourth would have none";
}

TEST(Fragment, AUuidIsOfVersion8AndItsPacketsAlone) {
  const PacketUuid uuid = UuidOf(0xffffffff, 0x123456789abcdef0);
  EXPECT_EQ(uuid.bytes[6] >> 4, 8);
  EXPECT_EQ(uuid.bytes[8] >> 6, 2);
  std::map<std::array<std::uint8_t, 16>, int> seen;
  for (const std::uint32_t session : {0u, 1u, 0x80000000u})
    for (int bit = 0; bit < 64; ++bit) ++seen[UuidOf(session, std::uint64_t{1} << bit).bytes];
  EXPECT_EQ(seen.size(), 3u * 64);
}

// What is accepted has one spelling: any byte changed is refused or told.
TEST(Fragment, WhatIsReadIsWrittenAsItWas) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  Rng rng(seed, "fragment_test");
  std::size_t accepted = 0, refused = 0;
  for (int round = 0; round < 40'000; ++round) {
    Raw bytes = Fragment(rng.Below(2) == 0 ? ShardType::kData : ShardType::kRepair, rng.Below(2) == 0, 0);
    if (rng.Below(3) == 0) bytes = FragmentByPath();
    bytes[rng.Below(40)] = static_cast<std::uint8_t>(rng.Below(256));
    ShardMessage message;
    if (ReadShardMessage({bytes.data(), bytes.size()}, message) != ShardFault::kNone) {
      ++refused;
      continue;
    }
    ++accepted;
    Raw again;
    Append(again, message.header);
    if (message.fragment.total > 0) Append(again, message.fragment);
    if (message.header.has_uuid) Append(again, UuidOf(message.header.session, message.base()));
    if (message.header.has_path) Append(again, message.path);
    again.insert(again.end(), message.sealed.begin(), message.sealed.end());
    again.insert(again.end(), message.tag, message.tag + kShardTagBytes);
    ASSERT_EQ(again, bytes);
  }
  EXPECT_GT(accepted, 5'000u);
  EXPECT_GT(refused, 5'000u);
}

}  // namespace
}  // namespace foreflow::wire
