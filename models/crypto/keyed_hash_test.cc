// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/keyed_hash.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/base/rng.h"
#include "models/crypto/digest.h"
#include "models/crypto/keyed_hash_lanes.h"

namespace foreflow::crypto {
namespace {

// 00 01 02 ... of the given length, as the published vectors use it.
std::vector<std::uint8_t> Counting(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return bytes;
}

Key128 CountingKey() {
  Key128 key;
  std::memcpy(key.data(), Counting(key.size()).data(), key.size());
  return key;
}

// 15 bytes: Aumasson and Bernstein 2012, appendix A. The others: vectors.h of the authors' reference code.
TEST(KeyedHash, AgreesWithSipHash24) {
  struct Vector {
    std::size_t size;
    std::uint64_t tag;
  };
  const Vector kVectors[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd},  {7, 0xab0200f58b01d137},
                             {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}, {63, 0x958a324ceb064572}};
  for (const Vector& v : kVectors) {
    SCOPED_TRACE(v.size);
    const std::vector<std::uint8_t> message = Counting(v.size);
    EXPECT_EQ(KeyedHash(CountingKey(), {message.data(), message.size()}), v.tag);
  }
}

// Against libsodium.
TEST(KeyedHashLanes, AgreesWithOneAtATime) {
  const std::uint64_t seed = 17;
  SCOPED_TRACE(seed);
  Rng rng(seed, "keyed_hash_test");
  for (std::size_t words = 0; words < 32; ++words) {
    std::array<LaneWords, 2> key;
    std::array<LaneWords, 32> message;
    for (LaneWords& word : key) {
      for (std::uint64_t& lane : word.lane) lane = rng.Next64();
    }
    for (LaneWords& word : message) {
      for (std::uint64_t& lane : word.lane) lane = rng.Next64();
    }
    LaneWords tag;
    KeyedHashLanes(key.data(), message.data(), words, tag);
    for (std::size_t lane = 0; lane < kHashLanes; ++lane) {
      std::array<std::uint64_t, 32> own;
      for (std::size_t word = 0; word < words; ++word) own[word] = message[word].lane[lane];
      Key128 own_key;
      std::memcpy(own_key.data(), &key[0].lane[lane], 8);
      std::memcpy(own_key.data() + 8, &key[1].lane[lane], 8);
      EXPECT_EQ(tag.lane[lane],
                KeyedHash(own_key, {reinterpret_cast<const std::uint8_t*>(own.data()), words * 8}))
          << words << " words, lane " << lane;
    }
  }
}

// BLAKE2b (RFC 7693) by Python's hashlib: blake2b(digest_size=16, key=master, salt=<u64 number, zeros>,
// person=<context, zeros>).
TEST(DeriveKey, AgreesWithHashlib) {
  Key128 ones;
  ones.fill(0xff);
  struct Vector {
    Key128 master;
    const char* context;
    std::uint64_t number;
    const char* derived;
  };
  const Vector kVectors[] = {
      {CountingKey(), "foreflow", 0, "5abe807a0d745eaed515a28a03b6c157"},
      {CountingKey(), "foreflow", 1, "2d842d21885a06b14738d2410d97b8b2"},
      {CountingKey(), "tag_keys", 1, "fa792f93156c49f33c52caa7998ce349"},
      {ones, "tag_keys", ~std::uint64_t{0}, "5d9e4b5501d0ffe2682fcf9416679a07"},
  };
  for (const Vector& v : kVectors) {
    const Key128 derived = DeriveKey(v.master, v.context, v.number);
    EXPECT_EQ(Hex({derived.data(), derived.size()}), v.derived);
  }
}

TEST(DeriveKey, RefusesContextOfAnotherLength) {
  for (const char* context : {"", "tag_key", "tag_keys1"}) {
    EXPECT_THROW(DeriveKey(CountingKey(), context, 0), Refusal) << context;
  }
}

TEST(EqualConstantTime, ComparesContentsAndSizes) {
  const std::vector<std::uint8_t> a = Counting(33);
  std::vector<std::uint8_t> b = a;
  EXPECT_TRUE(EqualConstantTime({a.data(), 33}, {b.data(), 33}));
  EXPECT_FALSE(EqualConstantTime({a.data(), 33}, {b.data(), 32}));
  EXPECT_TRUE(EqualConstantTime({a.data(), 0}, {b.data(), 0}));
  for (std::size_t i = 0; i < b.size(); ++i) {
    b[i] ^= 0x80;
    EXPECT_FALSE(EqualConstantTime({a.data(), 33}, {b.data(), 33})) << i;
    b[i] ^= 0x80;
  }
}

}  // namespace
}  // namespace foreflow::crypto
