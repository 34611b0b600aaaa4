// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/shard_keys.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

// What is read is written again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow::wire;
  ShardKeyMessage message;
  const std::uint8_t* end = Decode(data, data + size, message);
  if (end == nullptr) return 0;
  std::uint8_t again[ShardKeyMessage::kBytes];
  const bool is_same = end == data + sizeof(again) &&
                       Encode(again, again + sizeof(again), message) == again + sizeof(again) &&
                       std::memcmp(again, data, sizeof(again)) == 0;
  if (!is_same) std::abort();
  return 0;
}
