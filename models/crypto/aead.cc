// SPDX-License-Identifier: BSD-3-Clause
#include "models/crypto/aead.h"

#include <sodium.h>

#include <cstring>
#include <new>

#ifdef FOREFLOW_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

namespace foreflow::crypto {
namespace {

// A length of 0 comes with any pointer, but the libraries refuse or dislike nullptr.
constexpr std::uint8_t kNothing[1] = {};
const std::uint8_t* NotNull(BytesView bytes) { return bytes.size == 0 ? kNothing : bytes.data; }

#ifdef FOREFLOW_IPSEC_MB
using GcmKey = gcm_key_data;

// Function pointers of the library for this processor; nullptr where it has none. Never freed: it is used to
// the end of the program, and what it does holds no state.
IMB_MGR* Manager() {
  static IMB_MGR* const manager = [] {
    IMB_MGR* made = alloc_mb_mgr(0);
    if (made == nullptr) return made;
    init_mb_mgr_auto(made, nullptr);
    return imb_get_errno(made) == 0 ? made : nullptr;
  }();
  return manager;
}

bool HasManager() { return Manager() != nullptr; }

// In time that depends on nothing.
bool IsSameTag(const std::array<std::uint8_t, kAeadTagBytes>& right, const std::uint8_t* tag) {
  return ((LoadWord(right.data()) ^ LoadWord(tag)) | (LoadWord(right.data(), 1) ^ LoadWord(tag, 1))) == 0;
}

void MbChaCha(bool is_seal, const std::uint8_t* key, const AeadNonce& nonce, BytesView associated,
              BytesView from, std::uint8_t* to, std::uint8_t* tag) {
  chacha20_poly1305_context_data context;
  IMB_CHACHA20_POLY1305_INIT(Manager(), key, &context, nonce.data(), NotNull(associated), associated.size);
  if (from.size > 0 && is_seal) {
    IMB_CHACHA20_POLY1305_ENC_UPDATE(Manager(), key, &context, to, from.data, from.size);
  } else if (from.size > 0) {
    IMB_CHACHA20_POLY1305_DEC_UPDATE(Manager(), key, &context, to, from.data, from.size);
  }
  IMB_CHACHA20_POLY1305_ENC_FINALIZE(Manager(), &context, tag, kAeadTagBytes);
  sodium_memzero(&context, sizeof(context));  // holds the one-time key
}
#else
bool HasManager() { return false; }
#endif

using SodiumAes = crypto_aead_aes256gcm_state;

bool Computes(AeadAlgorithm algorithm, AeadBackEnd back_end) {
  if (sodium_init() < 0) return false;
  if (back_end == AeadBackEnd::kIpsecMb && !HasManager()) return false;
  if (back_end == AeadBackEnd::kSodium && algorithm == AeadAlgorithm::kAes128Gcm) return false;
  if (back_end == AeadBackEnd::kSodium && algorithm == AeadAlgorithm::kAes256Gcm &&
      crypto_aead_aes256gcm_is_available() == 0) {
    return false;
  }
  // Sixteen zeros under a key and nonce of zeros. AES: test cases 2 and 14 of the GCM specification (McGrew,
  // Viega 2005). ChaCha20: the second block of the key stream, RFC 8439, appendix A.1, test vector 2.
  static constexpr std::uint8_t kExpected[][16] = {
      {0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92, 0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78},
      {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18},
      {0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a, 0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d}};
  const std::array<std::uint8_t, 32> zeros{};
  std::array<std::uint8_t, 16> text{};
  std::array<std::uint8_t, kAeadTagBytes> tag;
  AeadKey key;
  key.Set(algorithm, back_end, zeros.data());
  key.Seal(AeadNonce{}, {}, {text.data(), text.size()}, text.data(), tag.data());
  if (std::memcmp(text.data(), kExpected[static_cast<std::size_t>(algorithm)], text.size()) != 0)
    return false;
  return key.Open(AeadNonce{}, {}, {text.data(), text.size()}, tag.data(), text.data());
}

}  // namespace

bool Runs(AeadAlgorithm algorithm, AeadBackEnd back_end) {
  static const auto kFound = [] {
    std::array<std::array<bool, 2>, 3> found{};
    for (const auto each :
         {AeadAlgorithm::kAes128Gcm, AeadAlgorithm::kAes256Gcm, AeadAlgorithm::kChaCha20Poly1305}) {
      for (const auto with : {AeadBackEnd::kIpsecMb, AeadBackEnd::kSodium}) {
        found[static_cast<std::size_t>(each)][static_cast<std::size_t>(with)] = Computes(each, with);
      }
    }
    return found;
  }();
  return kFound[static_cast<std::size_t>(algorithm)][static_cast<std::size_t>(back_end)];
}

bool Runs(AeadAlgorithm algorithm) {
  return Runs(algorithm, AeadBackEnd::kIpsecMb) || Runs(algorithm, AeadBackEnd::kSodium);
}

AeadBackEnd FastestBackEnd(AeadAlgorithm algorithm) {
  return Runs(algorithm, AeadBackEnd::kIpsecMb) ? AeadBackEnd::kIpsecMb : AeadBackEnd::kSodium;
}

void AeadKey::Erase() {
  if (kind_ != Kind::kNone) sodium_memzero(prepared_.data(), prepared_.size());
  kind_ = Kind::kNone;
}

void AeadKey::Set(AeadAlgorithm algorithm, [[maybe_unused]] AeadBackEnd back_end, const std::uint8_t* key) {
  Erase();
#ifdef FOREFLOW_IPSEC_MB
  static_assert(sizeof(GcmKey) <= sizeof(prepared_) && alignof(GcmKey) <= 64);
  if (back_end == AeadBackEnd::kIpsecMb) {
    switch (algorithm) {
      case AeadAlgorithm::kAes128Gcm:
        IMB_AES128_GCM_PRE(Manager(), key, new (prepared_.data()) GcmKey);
        kind_ = Kind::kMbAes128;
        return;
      case AeadAlgorithm::kAes256Gcm:
        IMB_AES256_GCM_PRE(Manager(), key, new (prepared_.data()) GcmKey);
        kind_ = Kind::kMbAes256;
        return;
      case AeadAlgorithm::kChaCha20Poly1305:
        std::memcpy(prepared_.data(), key, 32);
        kind_ = Kind::kMbChaCha;
        return;
    }
  }
#endif
  static_assert(sizeof(SodiumAes) <= sizeof(prepared_) && alignof(SodiumAes) <= 64);
  if (algorithm == AeadAlgorithm::kAes256Gcm) {
    crypto_aead_aes256gcm_beforenm(new (prepared_.data()) SodiumAes, key);
    kind_ = Kind::kSodiumAes256;
  } else {
    std::memcpy(prepared_.data(), key, 32);
    kind_ = Kind::kSodiumChaCha;
  }
}

void AeadKey::Seal(const AeadNonce& nonce, BytesView associated, BytesView plaintext,
                   std::uint8_t* ciphertext, std::uint8_t* tag) const {
  // Where there is nothing to encrypt, the libraries still want a place.
  std::uint8_t nowhere[1];
  std::uint8_t* const to = plaintext.size == 0 ? nowhere : ciphertext;
  switch (kind_) {
#ifdef FOREFLOW_IPSEC_MB
    case Kind::kMbAes128:
    case Kind::kMbAes256: {
      gcm_context_data context;
      const auto* const key = std::launder(reinterpret_cast<const GcmKey*>(prepared_.data()));
      if (kind_ == Kind::kMbAes128) {
        IMB_AES128_GCM_ENC(Manager(), key, &context, to, NotNull(plaintext), plaintext.size, nonce.data(),
                           NotNull(associated), associated.size, tag, kAeadTagBytes);
      } else {
        IMB_AES256_GCM_ENC(Manager(), key, &context, to, NotNull(plaintext), plaintext.size, nonce.data(),
                           NotNull(associated), associated.size, tag, kAeadTagBytes);
      }
      return;
    }
    case Kind::kMbChaCha:
      MbChaCha(true, prepared_.data(), nonce, associated, plaintext, to, tag);
      return;
#endif
    case Kind::kSodiumAes256:
      crypto_aead_aes256gcm_encrypt_detached_afternm(
          to, tag, nullptr, NotNull(plaintext), plaintext.size, NotNull(associated), associated.size, nullptr,
          nonce.data(), std::launder(reinterpret_cast<const SodiumAes*>(prepared_.data())));
      return;
    default:
      crypto_aead_chacha20poly1305_ietf_encrypt_detached(to, tag, nullptr, NotNull(plaintext), plaintext.size,
                                                         NotNull(associated), associated.size, nullptr,
                                                         nonce.data(), prepared_.data());
      return;
  }
}

bool AeadKey::Open(const AeadNonce& nonce, BytesView associated, BytesView ciphertext,
                   const std::uint8_t* tag, std::uint8_t* plaintext) const {
  std::uint8_t nowhere[1];
  std::uint8_t* const to = ciphertext.size == 0 ? nowhere : plaintext;
  bool authentic = false;
  switch (kind_) {
#ifdef FOREFLOW_IPSEC_MB
    case Kind::kMbAes128:
    case Kind::kMbAes256: {
      gcm_context_data context;
      const auto* const key = std::launder(reinterpret_cast<const GcmKey*>(prepared_.data()));
      std::array<std::uint8_t, kAeadTagBytes> right;
      if (kind_ == Kind::kMbAes128) {
        IMB_AES128_GCM_DEC(Manager(), key, &context, to, NotNull(ciphertext), ciphertext.size, nonce.data(),
                           NotNull(associated), associated.size, right.data(), kAeadTagBytes);
      } else {
        IMB_AES256_GCM_DEC(Manager(), key, &context, to, NotNull(ciphertext), ciphertext.size, nonce.data(),
                           NotNull(associated), associated.size, right.data(), kAeadTagBytes);
      }
      authentic = IsSameTag(right, tag);
      break;
    }
    case Kind::kMbChaCha: {
      std::array<std::uint8_t, kAeadTagBytes> right;
      MbChaCha(false, prepared_.data(), nonce, associated, ciphertext, to, right.data());
      authentic = IsSameTag(right, tag);
      break;
    }
#endif
    case Kind::kSodiumAes256:
      authentic =
          crypto_aead_aes256gcm_decrypt_detached_afternm(
              to, nullptr, NotNull(ciphertext), ciphertext.size, tag, NotNull(associated), associated.size,
              nonce.data(), std::launder(reinterpret_cast<const SodiumAes*>(prepared_.data()))) == 0;
      break;
    default:
      authentic = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                      to, nullptr, NotNull(ciphertext), ciphertext.size, tag, NotNull(associated),
                      associated.size, nonce.data(), prepared_.data()) == 0;
      break;
  }
  if (!authentic) std::memset(to, 0, ciphertext.size);
  return authentic;
}

}  // namespace foreflow::crypto
