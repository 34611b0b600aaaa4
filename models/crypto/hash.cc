// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/hash.h"

#include <blake2.h>
#include <sodium.h>

#include <cstring>

namespace foreflow::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;
using Block = std::array<std::uint8_t, kBlockBytes>;

class Stream {
 public:
  explicit Stream(HashAlgorithm algorithm) : is_sha256_(algorithm == HashAlgorithm::kSha256) {
    if (is_sha256_) {
      crypto_hash_sha256_init(&sha256_);
    } else {
      blake2s_init(&blake2s_, kHashBytes);
    }
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    sodium_memzero(&sha256_, sizeof(sha256_));
    sodium_memzero(&blake2s_, sizeof(blake2s_));
  }

  void Update(BytesView bytes) {
    if (bytes.size == 0) return;
    if (is_sha256_) {
      crypto_hash_sha256_update(&sha256_, bytes.data, bytes.size);
    } else {
      blake2s_update(&blake2s_, bytes.data, bytes.size);
    }
  }
  void Finish(Hash256& hash) {
    if (is_sha256_) {
      crypto_hash_sha256_final(&sha256_, hash.data());
    } else {
      blake2s_final(&blake2s_, hash.data(), hash.size());
    }
  }

 private:
  bool is_sha256_;
  crypto_hash_sha256_state sha256_;
  blake2s_state blake2s_;
};

}  // namespace

Hash256 HashOf(HashAlgorithm algorithm, std::initializer_list<BytesView> parts) {
  Stream stream(algorithm);
  for (const BytesView& part : parts) stream.Update(part);
  Hash256 hash;
  stream.Finish(hash);
  return hash;
}

Hash256 Hmac(HashAlgorithm algorithm, BytesView key, std::initializer_list<BytesView> parts) {
  Block inner{};
  Block outer{};
  if (key.size > 0) std::memcpy(inner.data(), key.data, key.size);
  for (std::size_t i = 0; i < kBlockBytes; ++i) {
    outer[i] = inner[i] ^ 0x5c;
    inner[i] = inner[i] ^ 0x36;
  }
  Hash256 hash;
  Stream stream(algorithm);
  stream.Update({inner.data(), inner.size()});
  for (const BytesView& part : parts) stream.Update(part);
  stream.Finish(hash);
  hash = HashOf(algorithm, {{outer.data(), outer.size()}, {hash.data(), hash.size()}});
  sodium_memzero(inner.data(), inner.size());
  sodium_memzero(outer.data(), outer.size());
  return hash;
}

void Hkdf(HashAlgorithm algorithm, const SecretKey& chaining_key, BytesView input, SecretKey& first,
          SecretKey& second) {
  static constexpr std::uint8_t kOne = 1;
  static constexpr std::uint8_t kTwo = 2;
  Hash256 temporary = Hmac(algorithm, {chaining_key.data(), SecretKey::size()}, {input});
  const BytesView key{temporary.data(), temporary.size()};
  Hash256 output = Hmac(algorithm, key, {{&kOne, 1}});
  std::memcpy(first.data(), output.data(), kHashBytes);
  output = Hmac(algorithm, key, {{output.data(), output.size()}, {&kTwo, 1}});
  std::memcpy(second.data(), output.data(), kHashBytes);
  sodium_memzero(temporary.data(), temporary.size());
  sodium_memzero(output.data(), output.size());
}

}  // namespace foreflow::crypto
