// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_NOISE_SUITE_H_
#define FOREFLOW_MODELS_CRYPTO_NOISE_SUITE_H_

#include <cstdint>

namespace foreflow::crypto {

// Cipher and hash of a handshake (Noise Protocol Framework, revision 34, section 12), as the wire numbers
// them. AESGCM is AES-256-GCM.
enum class NoiseSuite : std::uint8_t {
  kChaChaPolyBlake2s = 1,
  kChaChaPolySha256 = 2,
  kAesGcmBlake2s = 3,
  kAesGcmSha256 = 4,
};

// A set of suites.
class NoiseSuites {
 public:
  constexpr NoiseSuites() = default;
  static constexpr NoiseSuites All() {
    NoiseSuites all;
    all.bits_ = 0x1e;
    return all;
  }
  constexpr NoiseSuites With(NoiseSuite suite) const {
    NoiseSuites more = *this;
    more.bits_ = static_cast<std::uint8_t>(more.bits_ | 1u << static_cast<unsigned>(suite));
    return more;
  }
  // Of a number from the wire too, which may be no suite at all.
  constexpr bool Has(std::uint8_t suite) const { return suite < 8 && (bits_ >> suite & 1) != 0; }
  constexpr bool Has(NoiseSuite suite) const { return Has(static_cast<std::uint8_t>(suite)); }

 private:
  std::uint8_t bits_ = 0;
};

// "Noise_IK_25519_ChaChaPoly_SHA256" and its like; nullptr where it is no suite.
const char* Name(NoiseSuite suite);

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_NOISE_SUITE_H_
