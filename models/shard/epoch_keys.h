// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_EPOCH_KEYS_H_
#define FOREFLOW_MODELS_SHARD_EPOCH_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/crypto/aead.h"

namespace foreflow::shard {

// The keys of one direction of a session: the newest, and the one before until it is retired. An epoch is
// told by its last 8 bits, of which the two that live differ.
class EpochKeys {
 public:
  // From now on `epoch` is the newest. The one before lives on; the one before that is erased. `key` has
  // AeadKeyBytes(algorithm) bytes. False, and nothing changes: the epoch lives already.
  bool Install(std::uint8_t epoch, crypto::AeadAlgorithm algorithm, const std::uint8_t* key) {
    if (Find(epoch) != nullptr) return false;
    newest_ ^= 1;
    epochs_[newest_] = epoch;
    keys_[newest_].Set(algorithm, key);
    return true;
  }
  // Erases the one before the newest: packets that are under way with it are lost.
  void Retire() { keys_[newest_ ^ 1].Erase(); }
  void Clear() {
    for (crypto::AeadKey& key : keys_) key.Erase();
  }

  // The key of a live epoch, or nullptr.
  const crypto::AeadKey* Find(std::uint8_t epoch) const {
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (epochs_[i] == epoch && keys_[i].IsSet()) return &keys_[i];
    return nullptr;
  }
  // Of the newest; undefined before the first.
  std::uint8_t epoch() const { return epochs_[newest_]; }
  bool IsReady() const { return keys_[newest_].IsSet(); }

 private:
  std::array<crypto::AeadKey, 2> keys_;
  std::array<std::uint8_t, 2> epochs_{};
  std::size_t newest_ = 0;
};

// Session and number, in network byte order: 12 bytes that no other message under any key of the session has.
inline crypto::AeadNonce ShardNonce(std::uint32_t session, std::uint64_t number) {
  crypto::AeadNonce nonce;
  StoreWords(nonce.bytes.data(), __builtin_bswap64(std::uint64_t{session} << 32 | number >> 32),
             __builtin_bswap64(number << 32));
  return nonce;
}

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_EPOCH_KEYS_H_
