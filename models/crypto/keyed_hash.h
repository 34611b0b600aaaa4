// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_KEYED_HASH_H_
#define FOREFLOW_MODELS_CRYPTO_KEYED_HASH_H_

#include <array>
#include <cstdint>

#include "models/base/bytes.h"

namespace foreflow::crypto {

using Key128 = std::array<std::uint8_t, 16>;

// SipHash-2-4, 64-bit tag (Aumasson, Bernstein 2012), by libsodium.
std::uint64_t KeyedHash(const Key128& key, BytesView message);

// A key for one purpose, from a master key: BLAKE2b key derivation (libsodium crypto_kdf), `context` 8 chars.
Key128 DeriveKey(const Key128& master, const char* context, std::uint64_t number);

// Comparison in constant time.
bool EqualConstantTime(BytesView a, BytesView b);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_KEYED_HASH_H_
