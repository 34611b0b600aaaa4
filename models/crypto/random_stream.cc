// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/random_stream.h"

#include <sodium.h>

#include <cstring>

namespace foreflow::crypto {

void RandomStream::Fill(MutableBytes out) {
  std::array<std::uint8_t, 32 + kLongest> block;
  static constexpr std::uint8_t kNonce[crypto_stream_chacha20_ietf_NONCEBYTES] = {};
  crypto_stream_chacha20_ietf(block.data(), block.size(), kNonce, key_.data());
  std::memcpy(key_.data(), block.data(), SecretKey::size());
  std::memcpy(out.data, block.data() + SecretKey::size(), out.size);
  sodium_memzero(block.data(), block.size());
}

SecretKey RandomStream::Secret() {
  SecretKey secret;
  Fill({secret.data(), SecretKey::size()});
  return secret;
}

std::uint32_t RandomStream::Next32() {
  std::uint8_t bytes[4];
  Fill({bytes, sizeof(bytes)});
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         bytes[3];
}

}  // namespace foreflow::crypto
