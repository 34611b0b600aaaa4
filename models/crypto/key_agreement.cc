// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/key_agreement.h"

#include <sodium.h>

namespace foreflow::crypto {

static_assert(crypto_scalarmult_BYTES == kKeyAgreementBytes);
static_assert(crypto_scalarmult_SCALARBYTES == kKeyAgreementBytes);

void SecretKey::Erase() { sodium_memzero(bytes_.data(), bytes_.size()); }

PublicKey PublicKeyOf(const SecretKey& secret) {
  PublicKey key;
  crypto_scalarmult_base(key.data(), secret.data());
  return key;
}

bool AgreeOnKey(const SecretKey& own, const PublicKey& other, SecretKey& shared) {
  return crypto_scalarmult(shared.data(), own.data(), other.data()) == 0;
}

}  // namespace foreflow::crypto
