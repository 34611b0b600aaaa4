// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_KEY_LOG_H_
#define FOREFLOW_MODELS_SHARD_KEY_LOG_H_

#include <array>
#include <cstdint>
#include <string>

#include "models/crypto/aead.h"

namespace foreflow::shard {

// A line of a key log, with which Wireshark decrypts a session's messages (bindings/wireshark):
//
//   SHARD_KEY 01020304 7b aes_256_gcm 000102..1f\n
//
// session, epoch, cipher and key, numbers in hexadecimal. Whoever has it reads all that the key sealed, so it
// is written only where that was asked for. `key` has AeadKeyBytes(cipher) bytes.
inline std::string KeyLogLine(std::uint32_t session, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                              const std::uint8_t* key) {
  static constexpr std::array<const char*, 3> kNames = {"aes_128_gcm", "aes_256_gcm", "chacha20_poly1305"};
  const auto digits = [](std::uint64_t value, unsigned count) {
    std::string text;
    while (count-- > 0) text += "0123456789abcdef"[value >> 4 * count & 15];
    return text;
  };
  std::string line = "SHARD_KEY " + digits(session, 8) + " " + digits(epoch, 2) + " " +
                     kNames[static_cast<std::size_t>(cipher)] + " ";
  for (std::size_t i = 0; i < crypto::AeadKeyBytes(cipher); ++i) line += digits(key[i], 2);
  return line + "\n";
}

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_KEY_LOG_H_
