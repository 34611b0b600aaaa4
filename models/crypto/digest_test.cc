// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace foreflow::crypto {
namespace {

BytesView TextView(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string Digest(Sha256 stream) {
  const auto digest = stream.Finish();
  return Hex({digest.data(), digest.size()});
}

// FIPS 180-4, examples of NIST's cryptographic standards and guidelines; the empty message from the NIST CAVP
// byte vectors.
TEST(Sha256, AgreesWithFips180) {
  struct Vector {
    std::string message;
    const char* digest;
  };
  const Vector kVectors[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const Vector& v : kVectors) {
    Sha256 whole;
    whole.Update(TextView(v.message));
    EXPECT_EQ(Digest(whole), v.digest);
    // The same in pieces that do not fit the block.
    Sha256 pieces;
    for (BytesView rest = TextView(v.message); rest.size > 0; rest = rest.From(37))
      pieces.Update(rest.First(37));
    EXPECT_EQ(Digest(pieces), v.digest);
  }
}

TEST(Sha256, CopyGoesOnOnItsOwn) {
  Sha256 stream;
  stream.Update(TextView("ab"));
  Sha256 copy = stream;
  copy.Update(TextView("x"));
  stream.Update(TextView("c"));
  EXPECT_EQ(Digest(stream), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hex, SpellsBytes) {
  const std::array<std::uint8_t, 4> bytes = {0x00, 0x7f, 0x80, 0xff};
  EXPECT_EQ(Hex({bytes.data(), bytes.size()}), "007f80ff");
  EXPECT_EQ(Hex({}), "");
}

}  // namespace
}  // namespace foreflow::crypto
