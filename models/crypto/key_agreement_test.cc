// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/key_agreement.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "models/crypto/test_vectors.h"

namespace foreflow::crypto {
namespace {

std::string Agreed(const std::string& own, const std::string& other) {
  SecretKey shared;
  EXPECT_TRUE(AgreeOnKey(SecretKey(ArrayFromHex<32>(own)), ArrayFromHex<32>(other), shared));
  return Hex({shared.data(), SecretKey::size()});
}

// RFC 7748, section 5.2.
TEST(KeyAgreement, AgreesWithRfc7748) {
  EXPECT_EQ(Agreed("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                   "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  EXPECT_EQ(Agreed("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                   "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(KeyAgreement, AgreesWithRfc7748Iterated) {
  SecretKey scalar;
  scalar.data()[0] = 9;
  PublicKey point{};
  point[0] = 9;
  EXPECT_EQ(PublicKeyOf(scalar).size(), 32u);
  for (int i = 1; i <= 1000; ++i) {
    SecretKey next;
    ASSERT_TRUE(AgreeOnKey(scalar, point, next));
    std::memcpy(point.data(), scalar.data(), point.size());
    scalar = next;
    if (i == 1) {
      EXPECT_EQ(Hex({scalar.data(), 32}), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(Hex({scalar.data(), 32}), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(KeyAgreement, BothEndsAgree) {
  for (unsigned start = 0; start < 20; ++start) {
    SecretKey a, b;
    std::memcpy(a.data(), Pattern(32, start, 3).data(), 32);
    std::memcpy(b.data(), Pattern(32, start, 5).data(), 32);
    SecretKey ab, ba;
    ASSERT_TRUE(AgreeOnKey(a, PublicKeyOf(b), ab));
    ASSERT_TRUE(AgreeOnKey(b, PublicKeyOf(a), ba));
    EXPECT_EQ(std::memcmp(ab.data(), ba.data(), 32), 0);
  }
}

// The points whose order divides 8, and their spellings beyond the field's prime.
TEST(KeyAgreement, RefusesPointsOfSmallOrder) {
  const std::string kPoints[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "0000000000000000000000000000000000000000000000000000000000000080",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  };
  SecretKey own;
  std::memcpy(own.data(), Pattern(32, 7, 11).data(), 32);
  for (const std::string& point : kPoints) {
    SecretKey shared;
    EXPECT_FALSE(AgreeOnKey(own, ArrayFromHex<32>(point), shared)) << point;
    EXPECT_EQ(Hex({shared.data(), 32}), std::string(64, '0')) << point;
  }
}

TEST(SecretKey, IsErased) {
  SecretKey key;
  std::memcpy(key.data(), Pattern(32, 1, 1).data(), 32);
  key.Erase();
  EXPECT_EQ(Hex({key.data(), 32}), std::string(64, '0'));
}

}  // namespace
}  // namespace foreflow::crypto
