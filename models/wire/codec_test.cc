// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "models/wire/arp.h"
#include "models/wire/cooked.h"
#include "models/wire/ethernet.h"
#include "models/wire/icmp.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"
#include "models/wire/tcp.h"
#include "models/wire/udp.h"

namespace foreflow::wire {
namespace {

using Raw = std::vector<std::uint8_t>;

template <typename Header>
class Codec : public ::testing::Test {};

using Headers =
    ::testing::Types<EthernetHeader, VlanTag, SllHeader, Sll2Header, NullHeader, ArpHeader, ArpAddresses,
                     Ipv4Header, Ipv6Header, Ipv6Extension, Ipv6Fragment, IcmpHeader, UdpHeader, TcpHeader>;
struct Numbered {
  template <typename Header>
  static std::string GetName(int number) {
    return std::to_string(number);
  }
};
TYPED_TEST_SUITE(Codec, Headers, Numbered);

// Bits that the format reserves, which decoding forgets.
template <typename Header>
void ClearReserved(Raw&) {}
template <>
void ClearReserved<Sll2Header>(Raw& bytes) {
  bytes[2] = bytes[3] = 0;
}
template <>
void ClearReserved<Ipv6Fragment>(Raw& bytes) {
  bytes[1] = 0;
  bytes[3] &= 0xf9;
}
template <>
void ClearReserved<NullHeader>(Raw& bytes) {
  bytes[0] = bytes[1] = 0;  // families of the other byte order are put right
}

TYPED_TEST(Codec, EncodesWhatItDecoded) {
  EXPECT_TRUE(rc::check([] {
    Raw bytes = *rc::gen::container<Raw>(TypeParam::kBytes, rc::gen::arbitrary<std::uint8_t>());
    ClearReserved<TypeParam>(bytes);
    TypeParam header;
    RC_ASSERT(Decode(bytes.data(), bytes.data() + bytes.size(), header) == bytes.data() + bytes.size());
    Raw again(bytes.size(), 0xcc);
    RC_ASSERT(Encode(again.data(), again.data() + again.size(), header) == again.data() + again.size());
    RC_ASSERT(again == bytes);
  }));
}

TYPED_TEST(Codec, RefusesOneByteTooFew) {
  Raw bytes(TypeParam::kBytes - 1, 0xcc);
  TypeParam header;
  EXPECT_EQ(Decode(bytes.data(), bytes.data() + bytes.size(), header), nullptr);
  EXPECT_EQ(Encode(bytes.data(), bytes.data() + bytes.size(), header), nullptr);
  EXPECT_EQ(bytes, Raw(TypeParam::kBytes - 1, 0xcc));
  EXPECT_EQ(Encode(static_cast<std::uint8_t*>(nullptr), nullptr, header), nullptr);
}

rc::Gen<TcpOptions> AnyTcpOptions() {
  return rc::gen::exec([] {
    TcpOptions options;
    options.has_mss = *rc::gen::arbitrary<bool>();
    if (options.has_mss) options.mss = *rc::gen::arbitrary<std::uint16_t>();
    options.sack_permitted = *rc::gen::arbitrary<bool>();
    options.has_window_scale = *rc::gen::arbitrary<bool>();
    if (options.has_window_scale) options.window_scale = *rc::gen::arbitrary<std::uint8_t>();
    options.has_timestamps = *rc::gen::arbitrary<bool>();
    if (options.has_timestamps) {
      options.timestamp_value = *rc::gen::arbitrary<std::uint32_t>();
      options.timestamp_echo = *rc::gen::arbitrary<std::uint32_t>();
    }
    options.sack_blocks = *rc::gen::inRange<std::uint8_t>(0, 5);
    for (std::size_t i = 0; i < options.sack_blocks; ++i) {
      options.sack[i] = {*rc::gen::arbitrary<std::uint32_t>(), *rc::gen::arbitrary<std::uint32_t>()};
    }
    return options;
  });
}

RC_GTEST_PROP(TcpOptionsProperty, DecodeWhatWasEncoded, ()) {
  const TcpOptions options = *AnyTcpOptions();
  std::uint8_t bytes[64];
  const std::uint8_t* end = Encode(bytes, bytes + sizeof(bytes), options);
  RC_ASSERT(end != nullptr);
  RC_ASSERT((end - bytes) % 4 == 0);
  TcpOptions again;
  RC_ASSERT(Decode(bytes, end, again) == end);
  RC_ASSERT(again.has_mss == options.has_mss);
  RC_ASSERT(again.mss == options.mss);
  RC_ASSERT(again.has_window_scale == options.has_window_scale);
  RC_ASSERT(again.window_scale == options.window_scale);
  RC_ASSERT(again.sack_permitted == options.sack_permitted);
  RC_ASSERT(again.has_timestamps == options.has_timestamps);
  RC_ASSERT(again.timestamp_value == options.timestamp_value);
  RC_ASSERT(again.timestamp_echo == options.timestamp_echo);
  RC_ASSERT(again.sack_blocks == options.sack_blocks);
  for (std::size_t i = 0; i < options.sack_blocks; ++i) {
    RC_ASSERT(again.sack[i].left == options.sack[i].left);
    RC_ASSERT(again.sack[i].right == options.sack[i].right);
  }
  if (end != bytes) {
    std::uint8_t small[64];
    RC_ASSERT(Encode(small, small + (end - bytes) - 1, options) == nullptr);
  }
}

TEST(TcpOptions, Rows) {
  struct Row {
    const char* what;
    Raw bytes;
    std::ptrdiff_t consumed;  // -1: refused
  };
  const std::vector<Row> rows = {
      {"none", {}, 0},
      {"no-operations", {1, 1, 1, 1}, 4},
      {"the list's end stops before rubbish", {0, 2, 99, 0}, 1},
      {"an unknown kind is skipped", {254, 4, 0xff, 0xff, 3, 3, 7}, 7},
      {"MSS", {2, 4, 5, 0xb4}, 4},
      {"a kind without its length", {1, 2}, -1},
      {"length 0", {254, 0, 0, 0}, -1},
      {"length 1", {254, 1, 0, 0}, -1},
      {"length past the end", {254, 5, 0, 0}, -1},
      {"MSS of 3 bytes", {2, 3, 5}, -1},
      {"window scale of 4 bytes", {3, 4, 7, 0}, -1},
      {"SACK-permitted of 3 bytes", {4, 3, 0}, -1},
      {"timestamps of 9 bytes", {8, 9, 0, 0, 0, 0, 0, 0, 0}, -1},
      {"SACK without a block", {5, 2}, -1},
      {"SACK of half a block", {5, 6, 0, 0, 0, 0}, -1},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    TcpOptions options;
    const std::uint8_t no_options = 0;  // a place, where the vector has none
    const std::uint8_t* at = row.bytes.empty() ? &no_options : row.bytes.data();
    const std::uint8_t* stopped = Decode(at, at + row.bytes.size(), options);
    EXPECT_EQ(stopped == nullptr ? -1 : stopped - at, row.consumed);
  }
}

TEST(TcpOptions, TooManyBlocksAreRefused) {
  TcpOptions options;
  options.sack_blocks = 5;
  std::uint8_t bytes[64];
  EXPECT_EQ(Encode(bytes, bytes + sizeof(bytes), options), nullptr);
}

}  // namespace
}  // namespace foreflow::wire
