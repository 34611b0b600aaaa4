// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_KEY_AGREEMENT_H_
#define FOREFLOW_MODELS_CRYPTO_KEY_AGREEMENT_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow::crypto {

constexpr std::size_t kKeyAgreementBytes = 32;

// A point of Curve25519, as RFC 7748 writes it.
using PublicKey = std::array<std::uint8_t, kKeyAgreementBytes>;

// 32 secret bytes that are overwritten when they go.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(const std::array<std::uint8_t, kKeyAgreementBytes>& bytes) : bytes_(bytes) {}
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey() { Erase(); }

  const std::uint8_t* data() const { return bytes_.data(); }
  std::uint8_t* data() { return bytes_.data(); }
  static constexpr std::size_t size() { return kKeyAgreementBytes; }
  void Erase();

 private:
  std::array<std::uint8_t, kKeyAgreementBytes> bytes_{};
};

// X25519 (RFC 7748) by libsodium, in constant time. Any 32 bytes are a secret key.
PublicKey PublicKeyOf(const SecretKey& secret);
// False, and `shared` all zeros, where the other's point has small order: the result would be known to all.
bool AgreeOnKey(const SecretKey& own, const PublicKey& other, SecretKey& shared);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_KEY_AGREEMENT_H_
