// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/tcp.h"

namespace foreflow::wire {
namespace {

enum Kind : std::uint8_t {
  kEnd = 0,
  kNoOperation = 1,
  kMss = 2,
  kWindowScale = 3,
  kSackPermitted = 4,
  kSack = 5,
  kTimestamps = 8,
};
constexpr std::size_t kMssBytes = 4;
constexpr std::size_t kWindowScaleBytes = 3;
constexpr std::size_t kSackPermittedBytes = 2;
constexpr std::size_t kSackBlockBytes = 8;
constexpr std::size_t kTimestampsBytes = 10;

// Takes the option of `kind` and `size` bytes at `at`; false where the size is not the kind's.
bool Take(std::uint8_t kind, const std::uint8_t* at, std::size_t size, TcpOptions& options) {
  switch (kind) {
    case kMss:
      if (size != kMssBytes) return false;
      options.has_mss = true;
      options.mss = Load16(at + 2);
      return true;
    case kWindowScale:
      if (size != kWindowScaleBytes) return false;
      options.has_window_scale = true;
      options.window_scale = at[2];
      return true;
    case kSackPermitted:
      options.sack_permitted = size == kSackPermittedBytes;
      return options.sack_permitted;
    case kSack: {
      const std::size_t blocks = (size - 2) / kSackBlockBytes;
      if (size != 2 + blocks * kSackBlockBytes || blocks < 1 || blocks > TcpOptions::kMaxSackBlocks)
        return false;
      options.sack_blocks = static_cast<std::uint8_t>(blocks);
      for (std::size_t i = 0; i < blocks; ++i) {
        options.sack[i] = {Load32(at + 2 + i * kSackBlockBytes), Load32(at + 6 + i * kSackBlockBytes)};
      }
      return true;
    }
    case kTimestamps:
      if (size != kTimestampsBytes) return false;
      options.has_timestamps = true;
      options.timestamp_value = Load32(at + 2);
      options.timestamp_echo = Load32(at + 6);
      return true;
    default:
      return true;
  }
}

std::size_t EncodedBytes(const TcpOptions& options) {
  std::size_t size = 0;
  if (options.has_mss) size += kMssBytes;
  if (options.sack_permitted) size += kSackPermittedBytes;
  if (options.has_timestamps) size += kTimestampsBytes;
  if (options.has_window_scale) size += kWindowScaleBytes;
  if (options.sack_blocks > 0) size += 2 + options.sack_blocks * kSackBlockBytes;
  return size;
}

}  // namespace

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, TcpOptions& options) {
  options = TcpOptions{};
  while (at != end) {
    const std::uint8_t kind = at[0];
    if (kind == kEnd) return at + 1;
    if (kind == kNoOperation) {
      ++at;
      continue;
    }
    if (!Holds(at, end, 2)) return nullptr;
    const std::size_t size = at[1];
    if (size < 2 || !Holds(at, end, size)) return nullptr;
    if (!Take(kind, at, size, options)) return nullptr;
    at += size;
  }
  return at;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const TcpOptions& options) {
  if (options.sack_blocks > TcpOptions::kMaxSackBlocks) return nullptr;
  const std::size_t size = EncodedBytes(options);
  const std::size_t padding = (4 - size % 4) % 4;
  if (!Holds(at, end, size + padding)) return nullptr;
  if (options.has_mss) {
    at[0] = kMss;
    at[1] = kMssBytes;
    Store16(at + 2, options.mss);
    at += kMssBytes;
  }
  if (options.sack_permitted) {
    at[0] = kSackPermitted;
    at[1] = kSackPermittedBytes;
    at += kSackPermittedBytes;
  }
  if (options.has_timestamps) {
    at[0] = kTimestamps;
    at[1] = kTimestampsBytes;
    Store32(at + 2, options.timestamp_value);
    Store32(at + 6, options.timestamp_echo);
    at += kTimestampsBytes;
  }
  if (options.has_window_scale) {
    at[0] = kWindowScale;
    at[1] = kWindowScaleBytes;
    at[2] = options.window_scale;
    at += kWindowScaleBytes;
  }
  if (options.sack_blocks > 0) {
    at[0] = kSack;
    at[1] = static_cast<std::uint8_t>(2 + options.sack_blocks * kSackBlockBytes);
    at += 2;
    for (std::size_t i = 0; i < options.sack_blocks; ++i) {
      Store32(at, options.sack[i].left);
      Store32(at + 4, options.sack[i].right);
      at += kSackBlockBytes;
    }
  }
  for (std::size_t i = 0; i < padding; ++i) *at++ = kNoOperation;
  return at;
}

}  // namespace foreflow::wire
