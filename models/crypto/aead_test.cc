// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/aead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "models/base/rng.h"
#include "models/crypto/test_vectors.h"

namespace foreflow::crypto {
namespace {

constexpr AeadAlgorithm kAlgorithms[] = {AeadAlgorithm::kAes128Gcm, AeadAlgorithm::kAes256Gcm,
                                         AeadAlgorithm::kChaCha20Poly1305};
constexpr AeadBackEnd kBackEnds[] = {AeadBackEnd::kIpsecMb, AeadBackEnd::kSodium};

// Calls check(back end) for each that this machine runs.
template <typename Check>
void WithEach(AeadAlgorithm algorithm, Check check) {
  if (!Runs(algorithm)) {
    std::fprintf(stderr, "skipped: no back end runs algorithm %d on this machine\n",
                 static_cast<int>(algorithm));
    return;
  }
  int ran = 0;
  for (const AeadBackEnd back_end : kBackEnds) {
    if (!Runs(algorithm, back_end)) continue;
    SCOPED_TRACE("back end " + std::to_string(static_cast<int>(back_end)));
    ++ran;
    check(back_end);
  }
  EXPECT_GT(ran, 0);
}

struct Sealed {
  ByteVector text;
  std::array<std::uint8_t, kAeadTagBytes> tag{};
};

Sealed SealApart(const AeadKey& key, const AeadNonce& nonce, BytesView associated, BytesView text) {
  Sealed sealed;
  sealed.text.resize(text.size);
  key.Seal(nonce, associated, text, sealed.text.data(), sealed.tag.data());
  return sealed;
}

// What was sealed, apart and in place, is as published and opens again, apart and in place.
void ExpectSealed(AeadAlgorithm algorithm, const ByteVector& key_bytes, const AeadNonce& nonce,
                  const ByteVector& associated, const ByteVector& text, const std::string& digest,
                  const std::string& tag) {
  ASSERT_EQ(key_bytes.size(), AeadKeyBytes(algorithm));
  WithEach(algorithm, [&](AeadBackEnd back_end) {
    AeadKey key;
    key.Set(algorithm, back_end, key_bytes.data());
    const Sealed apart = SealApart(key, nonce, View(associated), View(text));
    EXPECT_EQ(Sha256Hex(View(apart.text)), digest);
    EXPECT_EQ(Hex(View(apart.tag)), tag);

    ByteVector place = text;
    std::array<std::uint8_t, kAeadTagBytes> place_tag;
    key.Seal(nonce, View(associated), View(place), place.data(), place_tag.data());
    EXPECT_EQ(place, apart.text);
    EXPECT_EQ(place_tag, apart.tag);

    ByteVector opened(text.size(), 0xee);
    EXPECT_TRUE(key.Open(nonce, View(associated), View(apart.text), apart.tag.data(), opened.data()));
    EXPECT_EQ(opened, text);
    EXPECT_TRUE(key.Open(nonce, View(associated), View(place), place_tag.data(), place.data()));
    EXPECT_EQ(place, text);
  });
}

TEST(Aead, RunsWhatItSays) {
  EXPECT_TRUE(Runs(AeadAlgorithm::kChaCha20Poly1305, AeadBackEnd::kSodium));
  EXPECT_FALSE(Runs(AeadAlgorithm::kAes128Gcm, AeadBackEnd::kSodium));
  for (const AeadAlgorithm algorithm : kAlgorithms) {
    EXPECT_EQ(Runs(algorithm), Runs(algorithm, FastestBackEnd(algorithm)));
  }
}

TEST(Aead, AgreesWithOpenSsl) {
  std::size_t checked = 0;
  for (const auto& words : VectorLines("vectors.txt", "aead")) {
    SCOPED_TRACE(words[1] + " " + words[2]);
    const AeadAlgorithm algorithm = kAlgorithms[std::stoul(words[1])];
    const unsigned step = static_cast<unsigned>(std::stoul(words[2]));
    AeadNonce nonce;
    std::copy_n(Pattern(kAeadNonceBytes, 2, step).begin(), kAeadNonceBytes, nonce.bytes.begin());
    ExpectSealed(algorithm, Pattern(AeadKeyBytes(algorithm), 1, step), nonce,
                 Pattern(std::stoul(words[3]), 4, 5), Pattern(std::stoul(words[4]), 3, 7), words[5],
                 words[6]);
    ++checked;
  }
  for (const auto& words : VectorLines("vectors.txt", "fill")) {
    SCOPED_TRACE(words[1] + " of " + words[2]);
    const AeadAlgorithm algorithm = kAlgorithms[std::stoul(words[1])];
    const unsigned value = static_cast<unsigned>(std::stoul(words[2]));
    AeadNonce nonce;
    nonce.bytes.fill(static_cast<std::uint8_t>(value));
    ExpectSealed(algorithm, Pattern(AeadKeyBytes(algorithm), value, 0), nonce, Pattern(16, value, 0),
                 Pattern(std::stoul(words[3]), value, 0), words[4], words[5]);
    ++checked;
  }
  EXPECT_EQ(checked, 3u * (58 + 15));
}

// Test cases 1 to 4 and 13 to 16 of McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", 2005,
// which NIST publishes; RFC 8439, section 2.8.2.
TEST(Aead, AgreesWithPublishedVectors) {
  struct Vector {
    AeadAlgorithm algorithm;
    std::string key, nonce, associated, text, sealed, tag;
  };
  const std::string kText =
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
      "b16aedf5aa0de657ba637b391aafd255";
  const std::string kKey = "feffe9928665731c6d6a8f9467308308";
  const std::string kAssociated = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
  const std::string kNonce = "cafebabefacedbaddecaf888";
  const std::string kSealed128 =
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05"
      "1ba30b396a0aac973d58e091473f5985";
  const std::string kSealed256 =
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
      "c5f61e6393ba7a0abcc9f662898015ad";
  const std::string kZeros(64, '0');
  const Vector kVectors[] = {
      {AeadAlgorithm::kAes128Gcm, kZeros.substr(0, 32), kZeros.substr(0, 24), "", "", "",
       "58e2fccefa7e3061367f1d57a4e7455a"},
      {AeadAlgorithm::kAes128Gcm, kZeros.substr(0, 32), kZeros.substr(0, 24), "", kZeros.substr(0, 32),
       "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
      {AeadAlgorithm::kAes128Gcm, kKey, kNonce, "", kText, kSealed128, "4d5c2af327cd64a62cf35abd2ba6fab4"},
      {AeadAlgorithm::kAes128Gcm, kKey, kNonce, kAssociated, kText.substr(0, 120), kSealed128.substr(0, 120),
       "5bc94fbc3221a5db94fae95ae7121a47"},
      {AeadAlgorithm::kAes256Gcm, kZeros, kZeros.substr(0, 24), "", "", "",
       "530f8afbc74536b9a963b4f1c4cb738b"},
      {AeadAlgorithm::kAes256Gcm, kZeros, kZeros.substr(0, 24), "", kZeros.substr(0, 32),
       "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
      {AeadAlgorithm::kAes256Gcm, kKey + kKey, kNonce, "", kText, kSealed256,
       "b094dac5d93471bdec1a502270e3cc6c"},
      {AeadAlgorithm::kAes256Gcm, kKey + kKey, kNonce, kAssociated, kText.substr(0, 120),
       kSealed256.substr(0, 120), "76fc6ece0f4e1768cddf8853bb2d551b"},
      {AeadAlgorithm::kChaCha20Poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
       "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
       Hex(View(
           std::string("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
                       "future, sunscreen would be it."))),
       "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
       "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
       "3ff4def08e4b7a9de576d26586cec64b6116",
       "1ae10b594f09e26a7e902ecbd0600691"},
  };
  for (const Vector& v : kVectors) {
    SCOPED_TRACE(v.tag);
    ExpectSealed(v.algorithm, FromHex(v.key), AeadNonce{ArrayFromHex<16>(v.nonce + "ffffffff")},
                 FromHex(v.associated), FromHex(v.text), Sha256Hex(View(FromHex(v.sealed))), v.tag);
  }
}

// Any single bit of tag, ciphertext, associated data or nonce, and any change of length.
TEST(Aead, RefusesWhatIsChangedAndGivesZeros) {
  for (const AeadAlgorithm algorithm : kAlgorithms) {
    WithEach(algorithm, [&](AeadBackEnd back_end) {
      AeadKey key;
      key.Set(algorithm, back_end, Pattern(32, 1, 9).data());
      const ByteVector text = Pattern(37, 3, 7);
      const ByteVector associated = Pattern(21, 4, 5);
      const AeadNonce nonce = {{1, 2, 3}};
      const Sealed sealed = SealApart(key, nonce, View(associated), View(text));
      const auto opens = [&](const AeadNonce& with, const ByteVector& a, const Sealed& s) {
        ByteVector out(s.text.size(), 0xee);
        const bool opened = key.Open(with, View(a), View(s.text), s.tag.data(), out.data());
        if (!opened) {
          EXPECT_EQ(out, ByteVector(s.text.size(), 0)) << "unverified text came out";
        }
        return opened;
      };
      EXPECT_TRUE(opens(nonce, associated, sealed));
      for (std::size_t bit = 0; bit < 8 * kAeadTagBytes; ++bit) {
        Sealed changed = sealed;
        changed.tag[bit / 8] = static_cast<std::uint8_t>(changed.tag[bit / 8] ^ 1u << bit % 8);
        EXPECT_FALSE(opens(nonce, associated, changed)) << bit;
      }
      for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
        Sealed changed = sealed;
        changed.text[bit / 8] = static_cast<std::uint8_t>(changed.text[bit / 8] ^ 1u << bit % 8);
        EXPECT_FALSE(opens(nonce, associated, changed)) << bit;
      }
      for (std::size_t bit = 0; bit < 8 * associated.size(); ++bit) {
        ByteVector changed = associated;
        changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ 1u << bit % 8);
        EXPECT_FALSE(opens(nonce, changed, sealed)) << bit;
      }
      for (std::size_t bit = 0; bit < 8 * kAeadNonceBytes; ++bit) {
        AeadNonce changed = nonce;
        changed.bytes[bit / 8] = static_cast<std::uint8_t>(changed.bytes[bit / 8] ^ 1u << bit % 8);
        EXPECT_FALSE(opens(changed, associated, sealed)) << bit;
      }
      for (std::size_t size = 0; size < text.size(); ++size) {
        Sealed shorter = sealed;
        shorter.text.resize(size);
        EXPECT_FALSE(opens(nonce, associated, shorter)) << size;
      }
      // The boundary between associated data and text moved: the same bytes, read differently.
      Sealed moved = sealed;
      moved.text.erase(moved.text.begin());
      ByteVector longer = associated;
      longer.push_back(sealed.text[0]);
      EXPECT_FALSE(opens(nonce, longer, moved));
      // Tags of all zeros and all ones.
      for (const int value : {0, 255}) {
        Sealed plain = sealed;
        plain.tag.fill(static_cast<std::uint8_t>(value));
        EXPECT_FALSE(opens(nonce, associated, plain));
      }
    });
  }
}

TEST(Aead, BackEndsAgree) {
  const std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  Rng rng(seed, "aead_test");
  for (int round = 0; round < 3000; ++round) {
    const AeadAlgorithm algorithm = kAlgorithms[rng.Below(3)];
    ByteVector key_bytes(32), text(rng.Below(round % 10 == 0 ? 5000 : 300)), associated(rng.Below(100));
    for (ByteVector* bytes : {&key_bytes, &text, &associated}) {
      for (std::uint8_t& byte : *bytes) byte = static_cast<std::uint8_t>(rng.Next32());
    }
    AeadNonce nonce;
    for (std::uint8_t& byte : nonce.bytes) byte = static_cast<std::uint8_t>(rng.Next32());
    std::vector<Sealed> results;
    WithEach(algorithm, [&](AeadBackEnd back_end) {
      AeadKey key;
      key.Set(algorithm, back_end, key_bytes.data());
      results.push_back(SealApart(key, nonce, View(associated), View(text)));
      ByteVector opened(text.size());
      for (const Sealed& result : results) {
        EXPECT_TRUE(key.Open(nonce, View(associated), View(result.text), result.tag.data(), opened.data()));
      }
    });
    for (const Sealed& result : results) {
      ASSERT_EQ(result.text, results[0].text);
      ASSERT_EQ(result.tag, results[0].tag);
    }
  }
}

TEST(Aead, TakesAnotherKey) {
  AeadKey key;
  EXPECT_FALSE(key.IsSet());
  const ByteVector text = Pattern(20, 0, 1);
  key.Set(AeadAlgorithm::kAes256Gcm, Pattern(32, 1, 1).data());
  const Sealed first = SealApart(key, {}, {}, View(text));
  key.Set(AeadAlgorithm::kChaCha20Poly1305, Pattern(32, 2, 1).data());
  EXPECT_NE(SealApart(key, {}, {}, View(text)).text, first.text);
  key.Set(AeadAlgorithm::kAes256Gcm, Pattern(32, 1, 1).data());
  EXPECT_EQ(SealApart(key, {}, {}, View(text)).text, first.text);
  key.Erase();
  EXPECT_FALSE(key.IsSet());
}

TEST(Aead, ErasesItsKey) {
  for (const AeadAlgorithm algorithm : kAlgorithms) {
    WithEach(algorithm, [&](AeadBackEnd back_end) {
      // What the object occupies, before and after.
      alignas(AeadKey) std::array<std::uint8_t, sizeof(AeadKey)> place{};
      auto* const key = new (place.data()) AeadKey;
      key->Set(algorithm, back_end, Pattern(32, 1, 1).data());
      EXPECT_GE(std::count_if(place.begin(), place.end(), [](std::uint8_t byte) { return byte != 0; }), 16);
      key->~AeadKey();
      EXPECT_EQ(std::count_if(place.begin(), place.end(), [](std::uint8_t byte) { return byte != 0; }), 0);
    });
  }
}

}  // namespace
}  // namespace foreflow::crypto
