// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_STREAM_FRAMES_H_
#define FOREFLOW_MODELS_CRYPTO_STREAM_FRAMES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "models/base/bytes.h"

namespace foreflow::crypto {

// Packets of a secure channel in a byte stream: each has its length before it, 2 bytes in network order.
constexpr std::size_t kFrameHeaderBytes = 2;

// What goes before a packet of 1..65 535 bytes.
inline std::array<std::uint8_t, kFrameHeaderBytes> FrameHeader(std::size_t packet_bytes) {
  return {static_cast<std::uint8_t>(packet_bytes >> 8), static_cast<std::uint8_t>(packet_bytes)};
}

// Takes a stream apart. Memory for one frame is taken at construction.
class StreamFrames {
 public:
  // Packets of 1..max_packet_bytes (at most 65 535).
  explicit StreamFrames(std::size_t max_packet_bytes) : buffer_(max_packet_bytes) {}

  // Takes bytes from the front of `stream` until a packet is whole or the bytes are used up. True: `packet`
  // is one, valid until the next call; call again, as there may be more. Once IsBroken, nothing is taken.
  bool Next(BytesView& stream, MutableBytes& packet) {
    while (stream.size > 0 && !broken_) {
      if (header_seen_ < kFrameHeaderBytes) {
        length_ = length_ << 8 | stream.data[0];
        stream = stream.From(1);
        if (++header_seen_ < kFrameHeaderBytes) continue;
        broken_ = length_ == 0 || length_ > buffer_.size();
        continue;
      }
      const std::size_t taken = std::min(stream.size, length_ - filled_);
      std::memcpy(buffer_.data() + filled_, stream.data, taken);
      filled_ += taken;
      stream = stream.From(taken);
      if (filled_ < length_) continue;
      packet = {buffer_.data(), length_};
      header_seen_ = length_ = filled_ = 0;
      return true;
    }
    return false;
  }
  // A length that no packet has came by: the rest means nothing, close the connection.
  bool IsBroken() const { return broken_; }

 private:
  std::vector<std::uint8_t> buffer_;
  std::size_t header_seen_ = 0;
  std::size_t length_ = 0;
  std::size_t filled_ = 0;
  bool broken_ = false;
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_STREAM_FRAMES_H_
