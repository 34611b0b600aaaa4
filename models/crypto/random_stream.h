// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_RANDOM_STREAM_H_
#define FOREFLOW_MODELS_CRYPTO_RANDOM_STREAM_H_

#include <array>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/crypto/key_agreement.h"

namespace foreflow::crypto {

// Unpredictable bytes from a secret seed: ChaCha20, whose key is replaced by its own output at each call
// (Bernstein, "Fast-key-erasure random-number generators", 2017), so that what it gave before cannot be found
// out later. The same seed gives the same bytes.
class RandomStream {
 public:
  explicit RandomStream(const std::array<std::uint8_t, 32>& seed) : key_(seed) {}
  // At most kLongest bytes.
  void Fill(MutableBytes out);
  static constexpr std::size_t kLongest = 64;

  // One Fill each.
  SecretKey Secret();
  std::uint32_t Next32();

 private:
  SecretKey key_;
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_RANDOM_STREAM_H_
