// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/shard_keys.h"

namespace foreflow::wire {

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardKeyMessage& message) {
  if (!Holds(at, end, ShardKeyMessage::kBytes)) return nullptr;
  if (at[0] == 0 || at[0] > kLastShardKeyType || at[1] != ShardKeyMessage::kVersion) return nullptr;
  message.type = static_cast<ShardKeyType>(at[0]);
  message.epoch = at[2];
  message.cipher = at[3];
  message.offer = Load64(at + 4);
  message.receiving = Load32(at + 12);
  message.sending = Load32(at + 16);
  message.key = LoadBytes<32>(at + 20);
  return at + ShardKeyMessage::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardKeyMessage& message) {
  if (!Holds(at, end, ShardKeyMessage::kBytes)) return nullptr;
  at[0] = static_cast<std::uint8_t>(message.type);
  at[1] = ShardKeyMessage::kVersion;
  at[2] = message.epoch;
  at[3] = message.cipher;
  Store64(at + 4, message.offer);
  Store32(at + 12, message.receiving);
  Store32(at + 16, message.sending);
  StoreBytes(at + 20, message.key);
  return at + ShardKeyMessage::kBytes;
}

}  // namespace foreflow::wire
