// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/cookie.h"

#include <sodium.h>

#include <cstring>

#include "models/crypto/hash.h"
#include "models/crypto/keyed_hash.h"

namespace foreflow::crypto {
namespace {

static_assert(kCookieNonceBytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kSealedCookieBytes ==
              kCookieNonceBytes + sizeof(Cookie) + crypto_aead_xchacha20poly1305_ietf_ABYTES);

template <std::size_t kSize>
Hash256 LabelledHash(const char (&label)[kSize], const PublicKey& key) {
  return HashOf(HashAlgorithm::kBlake2s,
                {{reinterpret_cast<const std::uint8_t*>(label), kSize - 1}, {key.data(), key.size()}});
}

// Keyed BLAKE2b with 16 bytes of result.
Mac128 Mac(BytesView key, BytesView message) {
  Mac128 mac;
  crypto_generichash(mac.data(), mac.size(), message.data, message.size, key.data, key.size);
  return mac;
}

}  // namespace

HandshakeMacs::HandshakeMacs(const PublicKey& receiver)
    : first_key_(LabelledHash("foreflow mac1", receiver)),
      cookie_key_(LabelledHash("foreflow cookie", receiver)) {}

Mac128 HandshakeMacs::First(BytesView message) const {
  return Mac({first_key_.data(), first_key_.size()}, message);
}

Mac128 HandshakeMacs::Second(const Cookie& cookie, BytesView message) {
  return Mac({cookie.data(), cookie.size()}, message);
}

void HandshakeMacs::SealCookie(const Cookie& cookie, const Mac128& first, const std::uint8_t* nonce,
                               std::uint8_t* sealed) const {
  std::memcpy(sealed, nonce, kCookieNonceBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + kCookieNonceBytes, nullptr, cookie.data(),
                                             cookie.size(), first.data(), first.size(), nullptr, nonce,
                                             cookie_key_.data());
}

bool HandshakeMacs::OpenCookie(const std::uint8_t* sealed, const Mac128& first, Cookie& cookie) const {
  return crypto_aead_xchacha20poly1305_ietf_decrypt(cookie.data(), nullptr, nullptr,
                                                    sealed + kCookieNonceBytes,
                                                    kSealedCookieBytes - kCookieNonceBytes, first.data(),
                                                    first.size(), sealed, cookie_key_.data()) == 0;
}

bool CookieMint::Accepts(BytesView address, Nanos now, BytesView message, const Mac128& second) const {
  for (const std::int64_t period : {Period(now), Period(now) - 1}) {
    const Mac128 right = HandshakeMacs::Second(OfPeriod(address, period), message);
    if (EqualConstantTime({right.data(), right.size()}, {second.data(), second.size()})) return true;
  }
  return false;
}

Cookie CookieMint::OfPeriod(BytesView address, std::int64_t period) const {
  std::array<std::uint8_t, 8> number;
  for (std::size_t i = 0; i < 8; ++i) number[i] = static_cast<std::uint8_t>(period >> 8 * i);
  const Mac128 secret = Mac({secret_.data(), SecretKey::size()}, {number.data(), number.size()});
  return Mac({secret.data(), secret.size()}, address);
}

}  // namespace foreflow::crypto
