// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/hash.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "models/crypto/test_vectors.h"

namespace foreflow::crypto {
namespace {

// FIPS 180-4's and RFC 7693's (appendix B) "abc"; RFC 4231, test case 2.
TEST(Hash, AgreesWithPublishedVectors) {
  const std::string abc = "abc";
  EXPECT_EQ(Hex(View(HashOf(HashAlgorithm::kSha256, {View(abc)}))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(View(HashOf(HashAlgorithm::kBlake2s, {View(abc)}))),
            "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
  const std::string key = "Jefe";
  const std::string text = "what do ya want for nothing?";
  EXPECT_EQ(Hex(View(Hmac(HashAlgorithm::kSha256, View(key), {View(text)}))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hash, AgreesWithHashlib) {
  for (const auto& words : VectorLines("vectors.txt", "hash")) {
    const ByteVector message = Pattern(std::stoul(words[1]), 5, 3);
    EXPECT_EQ(Hex(View(HashOf(HashAlgorithm::kSha256, {View(message)}))), words[2]);
    EXPECT_EQ(Hex(View(HashOf(HashAlgorithm::kBlake2s, {View(message)}))), words[3]);
    for (std::size_t cut = 0; cut <= message.size(); cut += 13) {
      const BytesView whole = View(message);
      EXPECT_EQ(Hex(View(HashOf(HashAlgorithm::kBlake2s, {whole.First(cut), whole.From(cut)}))), words[3]);
    }
  }
  for (const auto& words : VectorLines("vectors.txt", "hmac")) {
    const ByteVector key = Pattern(std::stoul(words[1]), 6, 11);
    const ByteVector message = Pattern(std::stoul(words[2]), 5, 3);
    EXPECT_EQ(Hex(View(Hmac(HashAlgorithm::kSha256, View(key), {View(message)}))), words[3]);
    EXPECT_EQ(Hex(View(Hmac(HashAlgorithm::kBlake2s, View(key), {View(message)}))), words[4]);
  }
}

TEST(Hash, DerivesKeysAsRfc5869) {
  for (const auto& words : VectorLines("vectors.txt", "hkdf")) {
    const ByteVector input = Pattern(std::stoul(words[1]), 5, 3);
    SecretKey chaining, second;
    std::memcpy(chaining.data(), Pattern(32, 6, 11).data(), 32);
    Hkdf(HashAlgorithm::kSha256, chaining, View(input), chaining, second);
    EXPECT_EQ(Hex({chaining.data(), 32}) + Hex({second.data(), 32}), words[2]);
  }
}

}  // namespace
}  // namespace foreflow::crypto
