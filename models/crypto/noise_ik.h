// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_NOISE_IK_H_
#define FOREFLOW_MODELS_CRYPTO_NOISE_IK_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/crypto/aead.h"
#include "models/crypto/hash.h"
#include "models/crypto/key_agreement.h"
#include "models/crypto/noise_suite.h"

namespace foreflow::crypto {

// The IK handshake of the Noise Protocol Framework, revision 34:
//     <- s
//     ...
//     -> e, es, s, ss      message 1: the initiator, who knows the responder's static key
//     <- e, ee, se         message 2
// Message 1's payload may be replayed and is secret only as long as the responder's static key is; after
// message 2 both ends are authenticated, with forward secrecy. Randomness comes in as the ephemeral secrets:
// one of its own for each handshake. Each step may be made once, in order; a step that fails ends the
// handshake, and its object is of no further use.

constexpr AeadAlgorithm CipherOf(NoiseSuite suite) {
  return suite == NoiseSuite::kAesGcmBlake2s || suite == NoiseSuite::kAesGcmSha256
             ? AeadAlgorithm::kAes256Gcm
             : AeadAlgorithm::kChaCha20Poly1305;
}
constexpr HashAlgorithm HashOf(NoiseSuite suite) {
  return suite == NoiseSuite::kChaChaPolySha256 || suite == NoiseSuite::kAesGcmSha256
             ? HashAlgorithm::kSha256
             : HashAlgorithm::kBlake2s;
}
// The nonce that Noise makes of a counter: four zeros, then the counter, in the byte order of the cipher.
inline AeadNonce NoiseNonce(AeadAlgorithm cipher, std::uint64_t counter) {
  // The words are little-endian, as StoreWords' machine is.
  const std::uint64_t ordered =
      cipher == AeadAlgorithm::kChaCha20Poly1305 ? counter : __builtin_bswap64(counter);
  AeadNonce nonce;
  StoreWords(nonce.bytes.data(), ordered << 32, ordered >> 32);
  return nonce;
}

// What the messages add to their payloads.
constexpr std::size_t kNoiseInitOverhead = kKeyAgreementBytes + kKeyAgreementBytes + 2 * kAeadTagBytes;
constexpr std::size_t kNoiseReplyOverhead = kKeyAgreementBytes + kAeadTagBytes;

// What a handshake ends in: a key for each direction, to be used with NoiseNonce from 0 on, and the hash of
// all that was said, which is the same at both ends and in no other handshake (channel binding).
struct NoiseKeys {
  SecretKey send;
  SecretKey receive;
  Hash256 hash{};
};

// Chaining key and transcript hash (section 5.2). Each key encrypts one text, so the counter of section 5.1
// is always 0.
class NoiseTranscript {
 public:
  // Protocol name, prologue and the responder's static key, which both ends know beforehand.
  void Begin(NoiseSuite suite, BytesView prologue, const PublicKey& responder);
  void MixHash(BytesView data);
  // Must have happened, by MixAgreement or here, before anything is encrypted.
  void MixKey(BytesView input);
  // False where the two do not agree on a key (AgreeOnKey).
  bool MixAgreement(const SecretKey& own, const PublicKey& other);
  // text.size bytes and a tag; `out` may be text.data.
  void EncryptAndHash(BytesView text, std::uint8_t* out);
  // `sealed` ends in the tag; `out` takes sealed.size - kAeadTagBytes, which are zeros where the result is
  // false.
  bool DecryptAndHash(BytesView sealed, std::uint8_t* out);
  // The initiator's sending key is the first; erases the chaining key.
  void Split(bool initiator, NoiseKeys& keys);
  void Erase();

 private:
  NoiseSuite suite_ = NoiseSuite::kChaChaPolySha256;
  SecretKey chaining_key_;
  SecretKey key_;
  Hash256 hash_{};
};

// The initiator's end: WriteInit, then ReadReply. Keeps both secrets until the reply has come or Erase.
class NoiseIkInitiator {
 public:
  // Writes message 1, payload.size + kNoiseInitOverhead bytes; `own_public` is PublicKeyOf(own). False where
  // the responder's key is no good.
  bool WriteInit(NoiseSuite suite, BytesView prologue, const SecretKey& own, const PublicKey& own_public,
                 const PublicKey& responder, const SecretKey& ephemeral, BytesView payload,
                 std::uint8_t* message);
  // Reads message 2; `payload` takes message.size - kNoiseReplyOverhead. False where it is not genuine: the
  // handshake is as before and waits for the one that is. True: it is over.
  bool ReadReply(BytesView message, std::uint8_t* payload, NoiseKeys& keys);
  void Erase();

 private:
  NoiseTranscript transcript_;
  SecretKey static_;
  SecretKey ephemeral_;
};

// The responder's end: ReadInitiator, ReadPayload, WriteReply.
class NoiseIkResponder {
 public:
  // Reads the first part of message 1: who claims to have sent it. That is proved by ReadPayload only;
  // whoever is not on the list need not be asked. False where it is too short or does not verify.
  bool ReadInitiator(NoiseSuite suite, BytesView prologue, const SecretKey& own, const PublicKey& own_public,
                     BytesView message, PublicKey& initiator);
  // The same `own` and `message`; `payload` takes message.size - kNoiseInitOverhead. True: the initiator has
  // its static key.
  bool ReadPayload(const SecretKey& own, BytesView message, std::uint8_t* payload);
  // Writes message 2, payload.size + kNoiseReplyOverhead bytes; the handshake is over. False where one of the
  // initiator's keys is no good.
  bool WriteReply(const SecretKey& ephemeral, BytesView payload, std::uint8_t* message, NoiseKeys& keys);

 private:
  NoiseTranscript transcript_;
  PublicKey initiator_static_{};
  PublicKey initiator_ephemeral_{};
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_NOISE_IK_H_
