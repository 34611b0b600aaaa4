// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/noise_ik.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "models/crypto/test_channel.h"
#include "models/crypto/test_vectors.h"

namespace foreflow::crypto {
namespace {

std::string Word(const std::string& name) { return VectorLines("noise_ik.txt", name).at(0).at(1); }
SecretKey Secret(const std::string& name) { return SecretKey(ArrayFromHex<32>(Word(name))); }

// The messages of a handshake with the vectors' keys, of which any may be changed before it is read.
class Handshake {
 public:
  explicit Handshake(NoiseSuite suite) : read_suite(suite), suite_(suite) {}

  bool WriteInit(const ByteVector& payload) {
    message_.resize(payload.size() + kNoiseInitOverhead);
    return initiator_.WriteInit(suite_, View(prologue), init_static, PublicKeyOf(init_static), responder,
                                Secret("init_ephemeral"), View(payload), message_.data());
  }
  bool ReadInit() {
    if (!responder_.ReadInitiator(read_suite, View(read_prologue), resp_static, PublicKeyOf(resp_static),
                                  View(message_), claimed)) {
      return false;
    }
    received.resize(message_.size() - kNoiseInitOverhead);
    return responder_.ReadPayload(resp_static, View(message_), received.data());
  }
  bool WriteReply(const ByteVector& payload) {
    message_.resize(payload.size() + kNoiseReplyOverhead);
    return responder_.WriteReply(Secret("resp_ephemeral"), View(payload), message_.data(), responder_keys);
  }
  bool ReadReply() {
    received.resize(message_.size() - std::min(message_.size(), kNoiseReplyOverhead));
    return initiator_.ReadReply(View(message_), received.data(), initiator_keys);
  }
  ByteVector& message() { return message_; }

  ByteVector prologue = FromHex(Word("prologue"));
  ByteVector read_prologue = prologue;
  NoiseSuite read_suite;
  SecretKey init_static = Secret("init_static");
  SecretKey resp_static = Secret("resp_static");
  PublicKey responder = ArrayFromHex<32>(Word("init_remote_static"));
  PublicKey claimed{};
  ByteVector received;
  NoiseKeys initiator_keys, responder_keys;

 private:
  NoiseSuite suite_;
  NoiseIkInitiator initiator_;
  NoiseIkResponder responder_;
  ByteVector message_;
};

std::vector<ByteVector> Payloads() {
  std::vector<ByteVector> payloads;
  for (const auto& words : VectorLines("noise_ik.txt", "payload")) payloads.push_back(FromHex(words[1]));
  return payloads;
}

TEST(NoiseIk, AgreesWithPublishedVectors) {
  const std::vector<ByteVector> payloads = Payloads();
  const auto ciphertexts = VectorLines("noise_ik.txt", "ciphertext");
  const auto suites = VectorLines("noise_ik.txt", "suite");
  ASSERT_EQ(suites.size(), 4u);
  ASSERT_EQ(ciphertexts.size(), 4 * payloads.size());
  for (std::size_t s = 0; s < suites.size(); ++s) {
    const NoiseSuite suite = static_cast<NoiseSuite>(std::stoul(suites[s][1]));
    SCOPED_TRACE(suites[s][2]);
    EXPECT_EQ(Name(suite), suites[s][2]);
    const auto expected = [&](std::size_t i) { return ciphertexts[s * payloads.size() + i][1]; };
    Handshake handshake(suite);
    ASSERT_TRUE(handshake.WriteInit(payloads[0]));
    EXPECT_EQ(Hex(View(handshake.message())), expected(0));
    ASSERT_TRUE(handshake.ReadInit());
    EXPECT_EQ(handshake.received, payloads[0]);
    EXPECT_EQ(handshake.claimed, PublicKeyOf(handshake.init_static));
    ASSERT_TRUE(handshake.WriteReply(payloads[1]));
    EXPECT_EQ(Hex(View(handshake.message())), expected(1));
    ASSERT_TRUE(handshake.ReadReply());
    EXPECT_EQ(handshake.received, payloads[1]);
    EXPECT_EQ(handshake.initiator_keys.hash, handshake.responder_keys.hash);

    // The transport messages, in turn.
    for (std::size_t i = 2; i < payloads.size(); ++i) {
      const bool from_initiator = i % 2 == 0;
      const SecretKey& send = from_initiator ? handshake.initiator_keys.send : handshake.responder_keys.send;
      const SecretKey& receive =
          from_initiator ? handshake.responder_keys.receive : handshake.initiator_keys.receive;
      EXPECT_EQ(std::memcmp(send.data(), receive.data(), SecretKey::size()), 0);
      AeadKey key;
      key.Set(CipherOf(suite), send.data());
      ByteVector sealed(payloads[i].size() + kAeadTagBytes);
      key.Seal(NoiseNonce(CipherOf(suite), (i - 2) / 2), {}, View(payloads[i]), sealed.data(),
               sealed.data() + payloads[i].size());
      EXPECT_EQ(Hex(View(sealed)), expected(i));
    }
  }
}

TEST(NoiseIk, RefusesWhatIsChanged) {
  const ByteVector payload = Pattern(5, 1, 1);
  for (const NoiseSuite suite : kSuites) {
    SCOPED_TRACE(Name(suite));
    for (std::size_t at = 0; at < payload.size() + kNoiseInitOverhead; ++at) {
      Handshake handshake(suite);
      ASSERT_TRUE(handshake.WriteInit(payload));
      handshake.message()[at] ^= 0x10;
      EXPECT_FALSE(handshake.ReadInit()) << at;
    }
    for (std::size_t at = 0; at < payload.size() + kNoiseReplyOverhead; ++at) {
      Handshake handshake(suite);
      ASSERT_TRUE(handshake.WriteInit(payload));
      ASSERT_TRUE(handshake.ReadInit());
      ASSERT_TRUE(handshake.WriteReply(payload));
      const ByteVector genuine = handshake.message();
      handshake.message()[at] ^= 0x10;
      EXPECT_FALSE(handshake.ReadReply()) << at;
      // A forgery does not spoil the handshake.
      handshake.message() = genuine;
      EXPECT_TRUE(handshake.ReadReply()) << at;
    }
    Handshake shorter(suite);
    ASSERT_TRUE(shorter.WriteInit({}));
    shorter.message().resize(kNoiseInitOverhead - 1);
    EXPECT_FALSE(shorter.ReadInit());
  }
}

TEST(NoiseIk, RefusesAnotherPrologueSuiteOrResponder) {
  Handshake prologue(NoiseSuite::kChaChaPolySha256);
  prologue.read_prologue.push_back(0);
  ASSERT_TRUE(prologue.WriteInit({}));
  EXPECT_FALSE(prologue.ReadInit());

  for (const NoiseSuite written : kSuites) {
    for (const NoiseSuite read : kSuites) {
      Handshake suite(written);
      suite.read_suite = read;
      ASSERT_TRUE(suite.WriteInit({}));
      EXPECT_EQ(suite.ReadInit(), written == read) << Name(written) << " " << Name(read);
    }
  }

  Handshake responder(NoiseSuite::kChaChaPolySha256);
  responder.resp_static = SecretKey(ArrayFromHex<32>(std::string(64, '5')));
  ASSERT_TRUE(responder.WriteInit({}));
  EXPECT_FALSE(responder.ReadInit());
}

// Someone who knows all public keys, but not the initiator's secret, writes as the initiator: `s` is the
// sender's own to choose and is read; the payload, which takes the secret, is not.
TEST(NoiseIk, ClaimIsNotProof) {
  Handshake handshake(NoiseSuite::kAesGcmSha256);
  ASSERT_TRUE(handshake.WriteInit(Pattern(8, 0, 1)));
  handshake.message().back() ^= 1;
  EXPECT_FALSE(handshake.ReadInit());
  EXPECT_EQ(handshake.claimed, PublicKeyOf(handshake.init_static));
}

TEST(NoiseIk, RefusesPointsOfSmallOrder) {
  Handshake init(NoiseSuite::kChaChaPolySha256);
  ASSERT_TRUE(init.WriteInit({}));
  std::fill_n(init.message().begin(), 32, std::uint8_t{0});
  EXPECT_FALSE(init.ReadInit());

  Handshake responder(NoiseSuite::kChaChaPolySha256);
  responder.responder = {};
  EXPECT_FALSE(responder.WriteInit({}));
}

TEST(NoiseNonce, IsInTheOrderOfTheCipher) {
  EXPECT_EQ(Hex({NoiseNonce(AeadAlgorithm::kAes256Gcm, 0x0102030405060708).data(), kAeadNonceBytes}),
            "000000000102030405060708");
  EXPECT_EQ(Hex({NoiseNonce(AeadAlgorithm::kChaCha20Poly1305, 0x0102030405060708).data(), kAeadNonceBytes}),
            "000000000807060504030201");
}

}  // namespace
}  // namespace foreflow::crypto
