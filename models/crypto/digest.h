// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_DIGEST_H_
#define FOREFLOW_MODELS_CRYPTO_DIGEST_H_

#include <array>
#include <cstdint>
#include <string>

#include "models/base/bytes.h"

namespace foreflow::crypto {

// SHA-256 (FIPS 180-4) of a stream, by libsodium: the fingerprint of a run. A copy goes on on its own.
class Sha256 {
 public:
  Sha256();
  void Update(BytesView bytes);
  // Ends the stream; the object may not be used afterwards.
  std::array<std::uint8_t, 32> Finish();

 private:
  alignas(8) std::array<std::uint8_t, 104> state_;  // libsodium's state, whose header stays out of this one
};

// Two lower-case hexadecimal digits a byte.
std::string Hex(BytesView bytes);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_DIGEST_H_
