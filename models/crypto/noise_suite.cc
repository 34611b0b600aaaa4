// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/noise_suite.h"

namespace foreflow::crypto {

const char* Name(NoiseSuite suite) {
  switch (suite) {
    case NoiseSuite::kChaChaPolyBlake2s:
      return "Noise_IK_25519_ChaChaPoly_BLAKE2s";
    case NoiseSuite::kChaChaPolySha256:
      return "Noise_IK_25519_ChaChaPoly_SHA256";
    case NoiseSuite::kAesGcmBlake2s:
      return "Noise_IK_25519_AESGCM_BLAKE2s";
    case NoiseSuite::kAesGcmSha256:
      return "Noise_IK_25519_AESGCM_SHA256";
  }
  return nullptr;
}

}  // namespace foreflow::crypto
