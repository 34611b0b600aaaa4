// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_AEAD_H_
#define FOREFLOW_MODELS_CRYPTO_AEAD_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"

namespace foreflow::crypto {

// Authenticated encryption with associated data: NIST SP 800-38D with nonces of 96 bits, and RFC 8439.
enum class AeadAlgorithm : std::uint8_t { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };

// Whose code computes it. The bytes are the same.
enum class AeadBackEnd : std::uint8_t {
  kIpsecMb,  // intel-ipsec-mb, x86-64 only: all three; without AES instructions too, in constant time
  kSodium,   // libsodium: ChaCha20-Poly1305, and AES-256-GCM where the processor has its instructions
};

constexpr std::size_t kAeadNonceBytes = 12;
constexpr std::size_t kAeadTagBytes = 16;
// kAeadNonceBytes, and four that mean nothing: written by one store, since a cipher that reads what several
// stores wrote waits for all of them, for as long as it takes to encrypt 64 bytes.
struct alignas(16) AeadNonce {
  std::array<std::uint8_t, 16> bytes{};
  const std::uint8_t* data() const { return bytes.data(); }
};

constexpr std::size_t AeadKeyBytes(AeadAlgorithm algorithm) {
  return algorithm == AeadAlgorithm::kAes128Gcm ? 16 : 32;
}

// Whether a back end computes an algorithm on this machine: found once, at the first question, by executing
// it and comparing with a known result. Takes memory then, and never later.
bool Runs(AeadAlgorithm algorithm, AeadBackEnd back_end);
// Whether any does.
bool Runs(AeadAlgorithm algorithm);
// The fastest that does: kIpsecMb before kSodium. Runs(algorithm) must hold.
AeadBackEnd FastestBackEnd(AeadAlgorithm algorithm);

// A key, made ready for use. Erased when it is replaced or goes. No allocation; may be used by several
// threads at once as long as none sets it.
class AeadKey {
 public:
  AeadKey() = default;
  AeadKey(const AeadKey&) = delete;
  AeadKey& operator=(const AeadKey&) = delete;
  ~AeadKey() { Erase(); }

  // `key` has AeadKeyBytes(algorithm) bytes, and Runs(algorithm, back_end) holds.
  void Set(AeadAlgorithm algorithm, AeadBackEnd back_end, const std::uint8_t* key);
  void Set(AeadAlgorithm algorithm, const std::uint8_t* key) {
    Set(algorithm, FastestBackEnd(algorithm), key);
  }
  void Erase();
  // Must hold for Seal and Open.
  bool IsSet() const { return kind_ != Kind::kNone; }

  // Writes plaintext.size bytes of ciphertext and, wherever it is wanted, the tag of kAeadTagBytes.
  // `ciphertext` may be plaintext.data, and overlaps it in no other way. One nonce seals once under a key.
  void Seal(const AeadNonce& nonce, BytesView associated, BytesView plaintext, std::uint8_t* ciphertext,
            std::uint8_t* tag) const;
  // True, and the plaintext is written, where the tag is right. False: ciphertext.size zeros are.
  bool Open(const AeadNonce& nonce, BytesView associated, BytesView ciphertext, const std::uint8_t* tag,
            std::uint8_t* plaintext) const;

 private:
  enum class Kind : std::uint8_t { kNone, kMbAes128, kMbAes256, kMbChaCha, kSodiumAes256, kSodiumChaCha };

  alignas(
      64) std::array<std::uint8_t, 1088> prepared_;  // of the back end, whose headers stay out of this one
  Kind kind_ = Kind::kNone;
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_AEAD_H_
