// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_KEYED_HASH_H_
#define FOREFLOW_MODELS_CRYPTO_KEYED_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"

namespace foreflow::crypto {

using Key128 = std::array<std::uint8_t, 16>;

// SipHash-2-4, 64-bit tag (Aumasson, Bernstein 2012), by libsodium. The tag's 8 bytes, read as little-endian.
std::uint64_t KeyedHash(const Key128& key, BytesView message);

constexpr std::size_t kContextChars = 8;

// A key for one purpose, from a master key, at set-up: keyed BLAKE2b with `number` as salt and `context` as
// personalisation, which is libsodium's crypto_kdf with a master key of 16 bytes. Throws Refusal unless
// `context` has 8 characters.
Key128 DeriveKey(const Key128& master, const char* context, std::uint64_t number);

// Comparison in time that depends on the sizes only; views of different size are not equal.
bool EqualConstantTime(BytesView a, BytesView b);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_KEYED_HASH_H_
