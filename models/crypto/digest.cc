// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/digest.h"

#include <sodium.h>

#include <new>
#include <type_traits>

namespace foreflow::crypto {
namespace {

using State = crypto_hash_sha256_state;
static_assert(sizeof(State) <= sizeof(Sha256) && alignof(State) <= alignof(Sha256));
static_assert(std::is_trivially_copyable_v<State>, "copying the object copies the state");

State* StateIn(std::array<std::uint8_t, 104>& bytes) {
  return std::launder(reinterpret_cast<State*>(bytes.data()));
}

}  // namespace

// libsodium's SHA-256 is one portable implementation, which needs no initialisation.
Sha256::Sha256() : state_{} { crypto_hash_sha256_init(new (state_.data()) State); }

void Sha256::Update(BytesView bytes) { crypto_hash_sha256_update(StateIn(state_), bytes.data, bytes.size); }

std::array<std::uint8_t, 32> Sha256::Finish() {
  std::array<std::uint8_t, 32> digest;
  crypto_hash_sha256_final(StateIn(state_), digest.data());
  return digest;
}

std::string Hex(BytesView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size);
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace foreflow::crypto
