// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_FRAGMENT_H_
#define FOREFLOW_MODELS_WIRE_FRAGMENT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/wire/be.h"

namespace foreflow::wire {

// What two packet dynamics units say to each other in UDP datagrams, version 1. Each datagram is one message:
//
//   ShardHeader | of data and repair: FragmentHeader | with has_uuid: PacketUuid | with has_path: PathHeader
//   | sealed text | tag (16 B)
//
// Headers are in clear, so that switches can read them, and authenticated. All numbers are in network byte
// order. Decode and Encode as elsewhere in this room: nullptr where there are too few bytes or no room.

enum class ShardType : std::uint8_t {
  kData = 1,  // sealed: the fragment's bytes of the packet
  kRepair,    // sealed: all fragments of the packet, the last padded by zeros, added without carry (XOR)
  kFeedback,  // sealed: ShardFeedback, then its rows
  kProbe,     // sealed: ShardProbe, then zeros up to the size that is tried
};
constexpr std::uint8_t kLastShardType = static_cast<std::uint8_t>(ShardType::kProbe);

constexpr std::size_t kShardTagBytes = 16;
// Of one packet: what a bitmap of one word can tell.
constexpr std::size_t kMostFragments = 64;
constexpr std::uint32_t kMost24 = 0xffffff;

struct ShardHeader {
  static constexpr std::size_t kBytes = 14;
  static constexpr std::uint8_t kVersion = 1;
  std::uint8_t version = kVersion;
  ShardType type = ShardType::kData;
  bool has_uuid = false;      // explicit mode: of data and repair alone
  bool has_path = false;      // the sender has several paths
  std::uint8_t epoch = 0;     // of the key, its last 8 bits
  std::uint32_t session = 0;  // one direction between two units
  std::uint64_t number = 0;   // of the message in its session: nonce and replay index, never used twice
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardHeader& header);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardHeader& header);

// Which part of which packet. Every fragment says all of it, so any may come first. A packet of `length`
// bytes is cut on a fixed grid: all parts but the last have FragmentUnit bytes, so no two overlap.
struct FragmentHeader {
  static constexpr std::size_t kBytes = 10;
  std::uint32_t base_delta = 0;  // number - base: 24 bits. The base, the number of the packet's first
                                 // fragment when it was sent first, names the packet.
  std::uint8_t index = 0;        // 0 .. total - 1; 0 of a repair
  std::uint8_t total = 0;        // 1 .. kMostFragments, a repair not counted
  std::uint16_t length = 0;      // of the packet, 1 ..
  std::uint32_t sent_us = 0;     // the sender's clock, in us, modulo 2^24
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, FragmentHeader& header);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const FragmentHeader& header);

// 2^32 / total, rounded up: a division costs a third of reading a message.
constexpr std::array<std::uint64_t, kMostFragments + 1> MakeReciprocals() {
  std::array<std::uint64_t, kMostFragments + 1> reciprocals{};
  for (std::size_t total = 1; total <= kMostFragments; ++total)
    reciprocals[total] = ((std::uint64_t{1} << 32) + total - 1) / total;
  return reciprocals;
}
inline constexpr auto kReciprocals = MakeReciprocals();

// Bytes of every fragment but the last: length / total, rounded up. length < 2^25, total 1 .. kMostFragments.
constexpr std::size_t FragmentUnit(std::size_t length, std::size_t total) {
  return ((length + total - 1) * kReciprocals[total]) >> 32;
}
// Whether a packet of `length` bytes can be cut into `total` parts that all have bytes.
constexpr bool IsGrid(std::size_t length, std::size_t total) {
  return total > 0 && total <= kMostFragments && length > 0 &&
         (total - 1) * FragmentUnit(length, total) < length;
}
// Bytes of fragment `index` of a grid.
constexpr std::size_t FragmentBytes(std::size_t length, std::size_t total, std::size_t index) {
  const std::size_t unit = FragmentUnit(length, total);
  return index + 1 < total ? unit : length - (total - 1) * unit;
}

// The packet's name as a UUID of version 8 (RFC 9562): session and base, and nothing else. The compact mode
// leaves it to the reader; the explicit mode repeats it.
struct PacketUuid {
  static constexpr std::size_t kBytes = 16;
  std::array<std::uint8_t, kBytes> bytes{};
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, PacketUuid& uuid);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const PacketUuid& uuid);
PacketUuid UuidOf(std::uint32_t session, std::uint64_t base);

// By which of several paths the message went, and which numbers before it went there too: so the receiver
// knows the path of a number that it misses, and tells loss from unequal delays.
struct PathHeader {
  static constexpr std::size_t kBytes = 4;
  static constexpr unsigned kReach = 28;
  static constexpr std::uint32_t kAll = (std::uint32_t{1} << kReach) - 1;
  std::uint8_t path = 0;   // 0 .. 15
  std::uint32_t same = 0;  // bit i: number - kReach + i went by this path too; 28 bits
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, PathHeader& path);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const PathHeader& path);
constexpr std::size_t kMostPaths = 16;

// What the receiver has, from the receiver to the sender. Counts are since the session began.
struct ShardFeedback {
  static constexpr std::size_t kBytes = 44;
  std::uint64_t highest = 0;         // the greatest number received
  std::uint64_t received = 0;        // messages
  std::uint64_t received_bytes = 0;  // of their datagrams' payload
  std::uint32_t marked = 0;          // messages with the mark congestion experienced
  std::uint32_t spurious = 0;        // numbers asked for that had not been lost
  std::uint32_t held_us = 0;         // from the arrival of `highest` to this message
  std::uint32_t sent_us = 0;         // of `highest`, 24 bits; 0: it has none
  std::uint8_t words = 0;  // rows of 8 B: bit i of row w, number highest - 64 w - i has been received
  std::uint8_t gaps = 0;   // FragmentGap rows, after those
  std::uint8_t paths = 0;  // PathCounts rows, after those: 0 .. kMostPaths
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardFeedback& feedback);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardFeedback& feedback);

struct ReceivedWord {
  static constexpr std::size_t kBytes = 8;
  std::uint64_t bits = 0;
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ReceivedWord& word);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ReceivedWord& word);

// Numbers that are asked for again: `count` of them, from `first` on.
struct FragmentGap {
  static constexpr std::size_t kBytes = 10;
  std::uint64_t first = 0;
  std::uint16_t count = 0;  // 1 ..
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, FragmentGap& gap);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const FragmentGap& gap);

// What came by one of several paths. Counts are since the session began, modulo 2^32.
struct PathCounts {
  static constexpr std::size_t kBytes = 24;
  std::uint8_t path = 0;             // 0 .. 15
  std::uint32_t held_us = 0;         // from the arrival of `highest` to this message, 24 bits
  std::uint64_t highest = 0;         // the greatest number that came by it
  std::uint32_t received = 0;        // messages
  std::uint32_t received_bytes = 0;  // of their datagrams' payload
  std::uint32_t marked = 0;          // messages with the mark congestion experienced
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, PathCounts& counts);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const PathCounts& counts);

struct ShardProbe {
  static constexpr std::size_t kBytes = 4;
  std::uint32_t sent_us = 0;  // as in FragmentHeader
};
const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardProbe& probe);
std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardProbe& probe);

// A datagram's parts. The views are into it.
struct ShardMessage {
  ShardHeader header;
  FragmentHeader fragment;  // of data and repair
  PathHeader path;          // with has_path
  BytesView associated;     // all that is in clear
  BytesView sealed;
  const std::uint8_t* tag = nullptr;

  std::uint64_t base() const { return header.number - fragment.base_delta; }
};

// What contradicts itself in a message, before any key is tried.
enum class ShardFault : std::uint8_t {
  kNone,
  kShort,    // ends inside headers or tag
  kVersion,  // another one
  kType,     // unknown, or a UUID where none belongs
  kTotal,    // of fragments: 0, more than kMostFragments, or more than the packet has bytes for
  kIndex,    // not below total, or of a repair not 0
  kNumber,   // the base lies before the first number, or does not go with the index
  kUuid,     // is not that of session and base
  kSize,     // more or fewer bytes than the headers say
};
constexpr std::size_t kShardFaults = static_cast<std::size_t>(ShardFault::kSize) + 1;
// The snake_case name; nullptr out of range.
const char* Name(ShardFault fault);

// Takes a datagram's payload apart; `message` is whole where the fault is kNone.
ShardFault ReadShardMessage(BytesView datagram, ShardMessage& message);

// Bytes in clear of a message, and of a whole datagram's payload around `text` sealed bytes.
constexpr std::size_t ShardClearBytes(ShardType type, bool has_uuid, bool has_path = false) {
  const bool is_fragment = type == ShardType::kData || type == ShardType::kRepair;
  return ShardHeader::kBytes + (is_fragment ? FragmentHeader::kBytes : 0) +
         (has_uuid ? PacketUuid::kBytes : 0) + (has_path ? PathHeader::kBytes : 0);
}
constexpr std::size_t ShardDatagramBytes(ShardType type, bool has_uuid, std::size_t text,
                                         bool has_path = false) {
  return ShardClearBytes(type, has_uuid, has_path) + text + kShardTagBytes;
}

// A feedback message's text: rows are read by index, and exist.
struct FeedbackRows {
  ShardFeedback feedback;
  const std::uint8_t* words = nullptr;
  const std::uint8_t* gaps = nullptr;
  const std::uint8_t* paths = nullptr;

  std::uint64_t Word(std::size_t index) const { return Load64(words + index * ReceivedWord::kBytes); }
  FragmentGap Gap(std::size_t index) const;
  PathCounts Path(std::size_t index) const;
};
// False where the text is not exactly one feedback, a gap is empty or passes `highest` + kMostFragments, or a
// path is none or its greatest number passes `highest`.
bool ReadFeedback(BytesView text, FeedbackRows& rows);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_FRAGMENT_H_
