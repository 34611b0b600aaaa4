// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_TCP_H_
#define FOREFLOW_MODELS_WIRE_TCP_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/wire/be.h"

namespace foreflow::wire {

constexpr std::uint8_t kTcpFin = 0x01;
constexpr std::uint8_t kTcpSyn = 0x02;
constexpr std::uint8_t kTcpRst = 0x04;
constexpr std::uint8_t kTcpPsh = 0x08;
constexpr std::uint8_t kTcpAck = 0x10;
constexpr std::uint8_t kTcpUrg = 0x20;
constexpr std::uint8_t kTcpEce = 0x40;
constexpr std::uint8_t kTcpCwr = 0x80;

// RFC 9293, the fixed 20 bytes; HeaderBytes() - 20 bytes of options follow.
struct TcpHeader {
  static constexpr std::size_t kBytes = 20;
  static constexpr std::size_t kMaxBytes = 60;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t header_words = 5;  // of 4 bytes: 5..15
  std::uint8_t reserved = 0;      // 4 bits
  std::uint8_t flags = 0;
  std::uint16_t window = 0;  // unscaled
  std::uint16_t checksum = 0;
  std::uint16_t urgent = 0;

  constexpr std::size_t HeaderBytes() const { return std::size_t{4} * header_words; }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, TcpHeader& header) {
  if (!Holds(at, end, TcpHeader::kBytes)) return nullptr;
  header.source_port = Load16(at);
  header.destination_port = Load16(at + 2);
  header.sequence = Load32(at + 4);
  header.acknowledgement = Load32(at + 8);
  header.header_words = at[12] >> 4;
  header.reserved = at[12] & 15;
  header.flags = at[13];
  header.window = Load16(at + 14);
  header.checksum = Load16(at + 16);
  header.urgent = Load16(at + 18);
  return at + TcpHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const TcpHeader& header) {
  if (!Holds(at, end, TcpHeader::kBytes)) return nullptr;
  Store16(at, header.source_port);
  Store16(at + 2, header.destination_port);
  Store32(at + 4, header.sequence);
  Store32(at + 8, header.acknowledgement);
  at[12] = static_cast<std::uint8_t>(header.header_words << 4 | (header.reserved & 15));
  at[13] = header.flags;
  Store16(at + 14, header.window);
  Store16(at + 16, header.checksum);
  Store16(at + 18, header.urgent);
  return at + TcpHeader::kBytes;
}

// The options in use: RFC 9293 (MSS), 7323 (window scale, timestamps), 2018 (SACK). Others are skipped by
// Decode; of a kind that comes twice the last one counts.
struct TcpOptions {
  struct SackBlock {
    std::uint32_t left = 0;
    std::uint32_t right = 0;
  };
  static constexpr std::size_t kMaxSackBlocks = 4;

  bool has_mss = false;
  bool has_window_scale = false;
  bool sack_permitted = false;
  bool has_timestamps = false;
  std::uint16_t mss = 0;
  std::uint8_t window_scale = 0;  // 0..14; larger values are kept as they came
  std::uint8_t sack_blocks = 0;   // 0..4
  std::uint32_t timestamp_value = 0;
  std::uint32_t timestamp_echo = 0;
  std::array<SackBlock, kMaxSackBlocks> sack{};
};

// Reads [at, end), the options of one header, and returns where they stopped: at the end-of-list option or
// at `end`. nullptr: an option's length is not its kind's, below 2, or runs past `end`.
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, TcpOptions& options);

// Writes what is set, in the order Linux uses (MSS, SACK-permitted, timestamps, window scale, SACK), padded
// with no-operations to 4 bytes. nullptr: it does not fit.
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const TcpOptions& options);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_TCP_H_
