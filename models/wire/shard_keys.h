// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_SHARD_KEYS_H_
#define FOREFLOW_MODELS_WIRE_SHARD_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/wire/be.h"

namespace foreflow::wire {

// What the hosts of two packet dynamics units say to each other about the units' keys, version 1: one message
// is one record of a secure channel, which alone makes it secret and genuine. Network byte order.
enum class ShardKeyType : std::uint8_t {
  kOffer = 1,  // of the leading host: "send to me so"; with `sending` 0, both begin anew
  kAnswer,     // of the other one: "I will, and send to me so"
  kDone,       // "I will too"
  kLost,       // of the other one: it knows of no session that the offer is for
  kAsk,        // of the other one: its key has been used for long enough
};
constexpr std::uint8_t kLastShardKeyType = static_cast<std::uint8_t>(ShardKeyType::kAsk);

// One record's plaintext.
struct ShardKeyMessage {
  static constexpr std::size_t kBytes = 52;
  static constexpr std::uint8_t kVersion = 1;
  ShardKeyType type = ShardKeyType::kOffer;
  std::uint8_t epoch = 0;              // of the keys that are spoken of
  std::uint8_t cipher = 0;             // crypto::AeadAlgorithm
  std::uint64_t offer = 0;             // the offer that is spoken of; of one host later ones are greater
  std::uint32_t receiving = 0;         // the session that the speaker receives by
  std::uint32_t sending = 0;           // and that by which it sends; 0: none yet
  std::array<std::uint8_t, 32> key{};  // of offer and answer: of what the speaker receives; others: zeros
};
// nullptr where there are too few bytes (or too little room), or type or version are unknown. The cipher is
// the reader's to check.
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardKeyMessage& message);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardKeyMessage& message);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_SHARD_KEYS_H_
