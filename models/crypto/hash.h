// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_HASH_H_
#define FOREFLOW_MODELS_CRYPTO_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "models/base/bytes.h"
#include "models/crypto/key_agreement.h"

namespace foreflow::crypto {

// The hashes of Noise with 32 bytes of result and blocks of 64: SHA-256 (FIPS 180-4) by libsodium and BLAKE2s
// (RFC 7693) by libb2.
enum class HashAlgorithm : std::uint8_t { kSha256, kBlake2s };

constexpr std::size_t kHashBytes = 32;
using Hash256 = std::array<std::uint8_t, kHashBytes>;

// Of the parts, one after the other.
Hash256 HashOf(HashAlgorithm algorithm, std::initializer_list<BytesView> parts);
// HMAC (RFC 2104) of the parts; `key` has at most 64 bytes. By BLAKE2s too it is HMAC, not BLAKE2's own keyed
// mode: so Noise wants it.
Hash256 Hmac(HashAlgorithm algorithm, BytesView key, std::initializer_list<BytesView> parts);
// HKDF of Noise, section 4.3 (RFC 5869 with an empty `info`): two keys from the chaining key and what was
// agreed on, of any length. `first` may be `chaining_key`.
void Hkdf(HashAlgorithm algorithm, const SecretKey& chaining_key, BytesView input, SecretKey& first,
          SecretKey& second);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_HASH_H_
