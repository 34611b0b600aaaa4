// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/keyed_hash.h"

#include <sodium.h>

#include <cstring>

#include "models/base/refusal.h"

namespace foreflow::crypto {

std::uint64_t KeyedHash(const Key128& key, BytesView message) {
  static_assert(crypto_shorthash_siphash24_KEYBYTES == sizeof(Key128));
  std::array<std::uint8_t, crypto_shorthash_siphash24_BYTES> tag;
  // Fails never. libsodium has one implementation of SipHash, which needs no initialisation.
  crypto_shorthash_siphash24(tag.data(), message.data, message.size, key.data());
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < tag.size(); ++i) value |= std::uint64_t{tag[i]} << (8 * i);
  return value;
}

Key128 DeriveKey(const Key128& master, const char* context, std::uint64_t number) {
  // Idempotent and safe from several threads; chooses BLAKE2b for this processor.
  if (sodium_init() < 0) throw Refusal("libsodium cannot be initialised on this machine");
  std::array<std::uint8_t, crypto_generichash_blake2b_SALTBYTES> salt{};
  for (std::size_t i = 0; i < 8; ++i) salt[i] = static_cast<std::uint8_t>(number >> (8 * i));
  std::array<std::uint8_t, crypto_generichash_blake2b_PERSONALBYTES> personal{};
  if (std::strlen(context) != kContextChars) {
    throw Refusal("key derivation", "context", context, "8 characters");
  }
  std::memcpy(personal.data(), context, kContextChars);
  Key128 derived;
  crypto_generichash_blake2b_salt_personal(derived.data(), derived.size(), nullptr, 0, master.data(),
                                           master.size(), salt.data(), personal.data());
  return derived;
}

bool EqualConstantTime(BytesView a, BytesView b) {
  return a.size == b.size && sodium_memcmp(a.data, b.data, a.size) == 0;
}

}  // namespace foreflow::crypto
