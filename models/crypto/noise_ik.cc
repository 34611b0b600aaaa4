// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/noise_ik.h"

#include <sodium.h>

#include <cstring>

namespace foreflow::crypto {
namespace {

constexpr std::size_t kSealedStatic = kKeyAgreementBytes + kAeadTagBytes;

BytesView View(const PublicKey& key) { return {key.data(), key.size()}; }

PublicKey KeyAt(const std::uint8_t* at) {
  PublicKey key;
  std::memcpy(key.data(), at, key.size());
  return key;
}

}  // namespace

void NoiseTranscript::Begin(NoiseSuite suite, BytesView prologue, const PublicKey& responder) {
  suite_ = suite;
  const char* const name = Name(suite);
  const BytesView named{reinterpret_cast<const std::uint8_t*>(name), std::strlen(name)};
  hash_ = {};
  if (named.size <= kHashBytes) {
    std::memcpy(hash_.data(), named.data, named.size);
  } else {
    hash_ = HashOf(HashOf(suite), {named});
  }
  std::memcpy(chaining_key_.data(), hash_.data(), kHashBytes);
  MixHash(prologue);
  MixHash(View(responder));
}

void NoiseTranscript::MixHash(BytesView data) {
  hash_ = HashOf(HashOf(suite_), {{hash_.data(), hash_.size()}, data});
}

void NoiseTranscript::MixKey(BytesView input) {
  Hkdf(HashOf(suite_), chaining_key_, input, chaining_key_, key_);
}

bool NoiseTranscript::MixAgreement(const SecretKey& own, const PublicKey& other) {
  SecretKey shared;
  if (!AgreeOnKey(own, other, shared)) return false;
  MixKey({shared.data(), SecretKey::size()});
  return true;
}

void NoiseTranscript::EncryptAndHash(BytesView text, std::uint8_t* out) {
  AeadKey key;
  key.Set(CipherOf(suite_), key_.data());
  key.Seal(NoiseNonce(CipherOf(suite_), 0), {hash_.data(), hash_.size()}, text, out, out + text.size);
  MixHash({out, text.size + kAeadTagBytes});
}

bool NoiseTranscript::DecryptAndHash(BytesView sealed, std::uint8_t* out) {
  const std::size_t bytes = sealed.size - kAeadTagBytes;
  AeadKey key;
  key.Set(CipherOf(suite_), key_.data());
  const Hash256 associated = hash_;
  MixHash(sealed);  // before `out`, which may be the same place, is written
  return key.Open(NoiseNonce(CipherOf(suite_), 0), {associated.data(), associated.size()},
                  sealed.First(bytes), sealed.data + bytes, out);
}

void NoiseTranscript::Split(bool initiator, NoiseKeys& keys) {
  Hkdf(HashOf(suite_), chaining_key_, {}, initiator ? keys.send : keys.receive,
       initiator ? keys.receive : keys.send);
  keys.hash = hash_;
  Erase();
}

void NoiseTranscript::Erase() {
  chaining_key_.Erase();
  key_.Erase();
}

bool NoiseIkInitiator::WriteInit(NoiseSuite suite, BytesView prologue, const SecretKey& own,
                                 const PublicKey& own_public, const PublicKey& responder,
                                 const SecretKey& ephemeral, BytesView payload, std::uint8_t* message) {
  static_ = own;
  ephemeral_ = ephemeral;
  const PublicKey point = PublicKeyOf(ephemeral);
  std::memcpy(message, point.data(), point.size());
  transcript_.Begin(suite, prologue, responder);
  transcript_.MixHash(View(point));
  if (!transcript_.MixAgreement(ephemeral, responder)) return false;
  transcript_.EncryptAndHash(View(own_public), message + kKeyAgreementBytes);
  if (!transcript_.MixAgreement(own, responder)) return false;
  transcript_.EncryptAndHash(payload, message + kKeyAgreementBytes + kSealedStatic);
  return true;
}

bool NoiseIkInitiator::ReadReply(BytesView message, std::uint8_t* payload, NoiseKeys& keys) {
  if (message.size < kNoiseReplyOverhead) return false;
  NoiseTranscript attempt = transcript_;
  const PublicKey point = KeyAt(message.data);
  attempt.MixHash(View(point));
  if (!attempt.MixAgreement(ephemeral_, point) || !attempt.MixAgreement(static_, point)) return false;
  if (!attempt.DecryptAndHash(message.From(kKeyAgreementBytes), payload)) return false;
  attempt.Split(true, keys);
  Erase();
  return true;
}

void NoiseIkInitiator::Erase() {
  transcript_.Erase();
  static_.Erase();
  ephemeral_.Erase();
}

bool NoiseIkResponder::ReadInitiator(NoiseSuite suite, BytesView prologue, const SecretKey& own,
                                     const PublicKey& own_public, BytesView message, PublicKey& initiator) {
  if (message.size < kNoiseInitOverhead) return false;
  initiator_ephemeral_ = KeyAt(message.data);
  transcript_.Begin(suite, prologue, own_public);
  transcript_.MixHash(View(initiator_ephemeral_));
  if (!transcript_.MixAgreement(own, initiator_ephemeral_)) return false;
  if (!transcript_.DecryptAndHash(message.From(kKeyAgreementBytes).First(kSealedStatic),
                                  initiator_static_.data())) {
    return false;
  }
  initiator = initiator_static_;
  return true;
}

bool NoiseIkResponder::ReadPayload(const SecretKey& own, BytesView message, std::uint8_t* payload) {
  return transcript_.MixAgreement(own, initiator_static_) &&
         transcript_.DecryptAndHash(message.From(kKeyAgreementBytes + kSealedStatic), payload);
}

bool NoiseIkResponder::WriteReply(const SecretKey& ephemeral, BytesView payload, std::uint8_t* message,
                                  NoiseKeys& keys) {
  const PublicKey point = PublicKeyOf(ephemeral);
  std::memcpy(message, point.data(), point.size());
  transcript_.MixHash(View(point));
  if (!transcript_.MixAgreement(ephemeral, initiator_ephemeral_) ||
      !transcript_.MixAgreement(ephemeral, initiator_static_)) {
    return false;
  }
  transcript_.EncryptAndHash(payload, message + kKeyAgreementBytes);
  transcript_.Split(false, keys);
  return true;
}

}  // namespace foreflow::crypto
