// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_COOKIE_H_
#define FOREFLOW_MODELS_CRYPTO_COOKIE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/crypto/key_agreement.h"

namespace foreflow::crypto {

// What a responder checks of a message 1 before it computes anything dear or keeps anything: two MACs at its
// end. The first shows that the sender knows the responder's public key; the second, wanted under load alone,
// that the sender receives at its address, by a cookie that the responder sent there (Donenfeld, "WireGuard",
// NDSS 2017, section 5.3; the idea is Photuris's, RFC 2522). The responder remembers nothing of either.
constexpr std::size_t kMacBytes = 16;
using Mac128 = std::array<std::uint8_t, kMacBytes>;
using Cookie = Mac128;

constexpr std::size_t kCookieNonceBytes = 24;
constexpr std::size_t kSealedCookieBytes = kCookieNonceBytes + sizeof(Cookie) + 16;

// For handshake messages to the holder of one public key.
class HandshakeMacs {
 public:
  HandshakeMacs() = default;
  explicit HandshakeMacs(const PublicKey& receiver);

  // Over the message as far as the MAC itself, the second over the first too: keyed BLAKE2b with 16 bytes of
  // result.
  Mac128 First(BytesView message) const;
  static Mac128 Second(const Cookie& cookie, BytesView message);

  // A cookie on its way to the sender of a message with `first`: sealed (XChaCha20-Poly1305) for whoever
  // knows the receiver's public key and saw that message. `nonce` is random, of kCookieNonceBytes; `sealed`
  // takes kSealedCookieBytes.
  void SealCookie(const Cookie& cookie, const Mac128& first, const std::uint8_t* nonce,
                  std::uint8_t* sealed) const;
  // False where `sealed`, of as many bytes, is not one for the message with `first`.
  bool OpenCookie(const std::uint8_t* sealed, const Mac128& first, Cookie& cookie) const;

 private:
  std::array<std::uint8_t, 32> first_key_{};
  std::array<std::uint8_t, 32> cookie_key_{};
};

// Makes cookies, and knows its own again: an address's cookie is a MAC of it by a secret that changes every
// kPeriod. Those of this period and of the one before are good.
class CookieMint {
 public:
  static constexpr Nanos kPeriod = Seconds(60);

  // `now` below is the same clock in all calls; `address` is whatever tells senders apart, of any length.
  explicit CookieMint(const SecretKey& secret) : secret_(secret) {}
  Cookie For(BytesView address, Nanos now) const { return OfPeriod(address, Period(now)); }
  // Whether `second` is the MAC of `message` by a good cookie of the address.
  bool Accepts(BytesView address, Nanos now, BytesView message, const Mac128& second) const;

 private:
  static std::int64_t Period(Nanos now) { return now / kPeriod; }
  Cookie OfPeriod(BytesView address, std::int64_t period) const;

  SecretKey secret_;
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_COOKIE_H_
