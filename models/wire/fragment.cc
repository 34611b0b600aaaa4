// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/fragment.h"

namespace foreflow::wire {
namespace {

constexpr std::uint8_t kUuidBit = 8;
constexpr std::uint8_t kPathBit = 0x80;

std::uint32_t Load24(const std::uint8_t* at) { return std::uint32_t{Load16(at)} << 8 | at[2]; }
void Store24(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 16);
  at[1] = static_cast<std::uint8_t>(value >> 8);
  at[2] = static_cast<std::uint8_t>(value);
}

bool IsFragment(ShardType type) { return type == ShardType::kData || type == ShardType::kRepair; }

// Headers whose bytes are there. False: of no type that is known, or with a UUID where none belongs.
bool Load(const std::uint8_t* at, ShardHeader& header) {
  const std::uint8_t type = at[0] & 7;
  if (type == 0 || type > kLastShardType) return false;
  header.version = at[0] >> 4 & 7;
  header.type = static_cast<ShardType>(type);
  header.has_uuid = (at[0] & kUuidBit) != 0;
  header.has_path = (at[0] & kPathBit) != 0;
  header.epoch = at[1];
  header.session = Load32(at + 2);
  header.number = Load64(at + 6);
  return !header.has_uuid || IsFragment(header.type);
}

void Load(const std::uint8_t* at, FragmentHeader& header) {
  const std::uint64_t word = Load64(at);
  header.base_delta = static_cast<std::uint32_t>(word >> 40);
  header.index = static_cast<std::uint8_t>(word >> 32);
  header.total = static_cast<std::uint8_t>(word >> 24);
  header.length = static_cast<std::uint16_t>(word >> 8);
  header.sent_us = static_cast<std::uint32_t>(word & 0xff) << 16 | Load16(at + 8);
}

}  // namespace

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardHeader& header) {
  return Holds(at, end, ShardHeader::kBytes) && Load(at, header) ? at + ShardHeader::kBytes : nullptr;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardHeader& header) {
  if (!Holds(at, end, ShardHeader::kBytes)) return nullptr;
  at[0] =
      static_cast<std::uint8_t>(header.version << 4 | (header.has_path ? kPathBit : 0) |
                                (header.has_uuid ? kUuidBit : 0) | static_cast<std::uint8_t>(header.type));
  at[1] = header.epoch;
  Store32(at + 2, header.session);
  Store64(at + 6, header.number);
  return at + ShardHeader::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, FragmentHeader& header) {
  if (!Holds(at, end, FragmentHeader::kBytes)) return nullptr;
  Load(at, header);
  return at + FragmentHeader::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const FragmentHeader& header) {
  if (!Holds(at, end, FragmentHeader::kBytes)) return nullptr;
  Store24(at, header.base_delta);
  at[3] = header.index;
  at[4] = header.total;
  Store16(at + 5, header.length);
  Store24(at + 7, header.sent_us);
  return at + FragmentHeader::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, PacketUuid& uuid) {
  if (!Holds(at, end, PacketUuid::kBytes)) return nullptr;
  uuid.bytes = LoadBytes<PacketUuid::kBytes>(at);
  return at + PacketUuid::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const PacketUuid& uuid) {
  if (!Holds(at, end, PacketUuid::kBytes)) return nullptr;
  StoreBytes(at, uuid.bytes);
  return at + PacketUuid::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, PathHeader& path) {
  if (!Holds(at, end, PathHeader::kBytes)) return nullptr;
  const std::uint32_t word = Load32(at);
  path.path = static_cast<std::uint8_t>(word >> PathHeader::kReach);
  path.same = word & PathHeader::kAll;
  return at + PathHeader::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const PathHeader& path) {
  if (!Holds(at, end, PathHeader::kBytes)) return nullptr;
  Store32(at, std::uint32_t{path.path} << PathHeader::kReach | path.same);
  return at + PathHeader::kBytes;
}

// RFC 9562, section 5.8: 48 bits of ours, version 8, 12 bits, variant 2, 62 bits.
PacketUuid UuidOf(std::uint32_t session, std::uint64_t base) {
  PacketUuid uuid;
  Store32(uuid.bytes.data(), session);
  Store16(uuid.bytes.data() + 4, static_cast<std::uint16_t>(base >> 48));
  Store16(uuid.bytes.data() + 6, static_cast<std::uint16_t>(0x8000 | (base >> 36 & 0xfff)));
  Store64(uuid.bytes.data() + 8, std::uint64_t{1} << 63 | (base & 0xfffffffff));
  return uuid;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardFeedback& feedback) {
  if (!Holds(at, end, ShardFeedback::kBytes)) return nullptr;
  if ((at[42] | at[43]) != 0) return nullptr;
  feedback.highest = Load64(at);
  feedback.received = Load64(at + 8);
  feedback.received_bytes = Load64(at + 16);
  feedback.marked = Load32(at + 24);
  feedback.spurious = Load32(at + 28);
  feedback.held_us = Load32(at + 32);
  feedback.sent_us = Load24(at + 36);
  feedback.words = at[39];
  feedback.gaps = at[40];
  feedback.paths = at[41];
  return at + ShardFeedback::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardFeedback& feedback) {
  if (!Holds(at, end, ShardFeedback::kBytes)) return nullptr;
  Store64(at, feedback.highest);
  Store64(at + 8, feedback.received);
  Store64(at + 16, feedback.received_bytes);
  Store32(at + 24, feedback.marked);
  Store32(at + 28, feedback.spurious);
  Store32(at + 32, feedback.held_us);
  Store24(at + 36, feedback.sent_us);
  at[39] = feedback.words;
  at[40] = feedback.gaps;
  at[41] = feedback.paths;
  at[42] = at[43] = 0;
  return at + ShardFeedback::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ReceivedWord& word) {
  if (!Holds(at, end, ReceivedWord::kBytes)) return nullptr;
  word.bits = Load64(at);
  return at + ReceivedWord::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ReceivedWord& word) {
  if (!Holds(at, end, ReceivedWord::kBytes)) return nullptr;
  Store64(at, word.bits);
  return at + ReceivedWord::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, FragmentGap& gap) {
  if (!Holds(at, end, FragmentGap::kBytes)) return nullptr;
  gap.first = Load64(at);
  gap.count = Load16(at + 8);
  return gap.count == 0 ? nullptr : at + FragmentGap::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const FragmentGap& gap) {
  if (!Holds(at, end, FragmentGap::kBytes)) return nullptr;
  Store64(at, gap.first);
  Store16(at + 8, gap.count);
  return at + FragmentGap::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, PathCounts& counts) {
  if (!Holds(at, end, PathCounts::kBytes) || at[0] >= kMostPaths) return nullptr;
  counts.path = at[0];
  counts.held_us = Load24(at + 1);
  counts.highest = Load64(at + 4);
  counts.received = Load32(at + 12);
  counts.received_bytes = Load32(at + 16);
  counts.marked = Load32(at + 20);
  return at + PathCounts::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const PathCounts& counts) {
  if (!Holds(at, end, PathCounts::kBytes)) return nullptr;
  at[0] = counts.path;
  Store24(at + 1, counts.held_us);
  Store64(at + 4, counts.highest);
  Store32(at + 12, counts.received);
  Store32(at + 16, counts.received_bytes);
  Store32(at + 20, counts.marked);
  return at + PathCounts::kBytes;
}

const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, ShardProbe& probe) {
  if (!Holds(at, end, ShardProbe::kBytes) || at[3] != 0) return nullptr;
  probe.sent_us = Load24(at);
  return at + ShardProbe::kBytes;
}

std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const ShardProbe& probe) {
  if (!Holds(at, end, ShardProbe::kBytes)) return nullptr;
  Store24(at, probe.sent_us);
  at[3] = 0;
  return at + ShardProbe::kBytes;
}

const char* Name(ShardFault fault) {
  static constexpr std::array<const char*, kShardFaults> kNames = {
      "none", "short", "version", "type", "total", "index", "number", "uuid", "size"};
  const auto index = static_cast<std::size_t>(fault);
  return index < kNames.size() ? kNames[index] : nullptr;
}

ShardFault ReadShardMessage(BytesView datagram, ShardMessage& message) {
  const std::uint8_t* const at = datagram.data;
  if (datagram.size < ShardHeader::kBytes + kShardTagBytes) return ShardFault::kShort;
  if ((at[0] >> 4 & 7) != ShardHeader::kVersion) return ShardFault::kVersion;
  ShardHeader& header = message.header;
  if (!Load(at, header)) return ShardFault::kType;
  const std::size_t clear = ShardClearBytes(header.type, header.has_uuid, header.has_path);
  if (datagram.size < clear + kShardTagBytes) return ShardFault::kShort;
  if (header.has_path) {
    Decode(at + clear - PathHeader::kBytes, at + clear, message.path);
  } else {
    message.path = {};
  }
  if (!IsFragment(header.type)) {
    message.fragment = {};
    message.associated = datagram.First(clear);
    message.sealed = {at + clear, datagram.size - clear - kShardTagBytes};
    message.tag = datagram.end() - kShardTagBytes;
    return ShardFault::kNone;
  }
  FragmentHeader& fragment = message.fragment;
  Load(at + ShardHeader::kBytes, fragment);
  if (fragment.total == 0 || fragment.total > kMostFragments || fragment.length == 0)
    return ShardFault::kTotal;
  const std::size_t unit = FragmentUnit(fragment.length, fragment.total);
  const std::size_t before_last = (fragment.total - 1u) * unit;
  if (before_last >= fragment.length) return ShardFault::kTotal;
  const bool is_repair = header.type == ShardType::kRepair;
  if (fragment.index >= fragment.total || (is_repair && fragment.index != 0)) return ShardFault::kIndex;
  // Fragments are numbered in order when they are sent first, repairs after them; later sendings come later.
  const std::uint32_t nearest = is_repair ? fragment.total : fragment.index;
  if (fragment.base_delta > header.number || fragment.base_delta < nearest) return ShardFault::kNumber;
  if (header.has_uuid) {
    const auto uuid = LoadBytes<PacketUuid::kBytes>(at + ShardHeader::kBytes + FragmentHeader::kBytes);
    if (!Equal(uuid, UuidOf(header.session, message.base()).bytes)) return ShardFault::kUuid;
  }
  const std::size_t text = fragment.index + 1 < fragment.total ? unit : fragment.length - before_last;
  if (datagram.size != clear + text + kShardTagBytes) return ShardFault::kSize;
  message.associated = {at, clear};
  message.sealed = {at + clear, text};
  message.tag = at + clear + text;
  return ShardFault::kNone;
}

FragmentGap FeedbackRows::Gap(std::size_t index) const {
  FragmentGap gap;
  const std::uint8_t* const at = gaps + index * FragmentGap::kBytes;
  Decode(at, at + FragmentGap::kBytes, gap);
  return gap;
}

PathCounts FeedbackRows::Path(std::size_t index) const {
  PathCounts counts;
  const std::uint8_t* const at = paths + index * PathCounts::kBytes;
  Decode(at, at + PathCounts::kBytes, counts);
  return counts;
}

bool ReadFeedback(BytesView text, FeedbackRows& rows) {
  const std::uint8_t* const at = Decode(text.begin(), text.end(), rows.feedback);
  if (at == nullptr) return false;
  const std::size_t words = rows.feedback.words * ReceivedWord::kBytes;
  const std::size_t gaps = rows.feedback.gaps * FragmentGap::kBytes;
  const std::size_t paths = rows.feedback.paths * PathCounts::kBytes;
  if (static_cast<std::size_t>(text.end() - at) != words + gaps + paths) return false;
  if (rows.feedback.paths > kMostPaths) return false;
  rows.words = at;
  rows.gaps = at + words;
  rows.paths = rows.gaps + gaps;
  for (std::size_t i = 0; i < rows.feedback.gaps; ++i) {
    FragmentGap gap;
    const std::uint8_t* const row = rows.gaps + i * FragmentGap::kBytes;
    if (Decode(row, row + FragmentGap::kBytes, gap) == nullptr) return false;
    // Fragments beyond the greatest number are asked for by packets whose others came.
    const std::uint64_t last = gap.first + (gap.count - 1u);
    const std::uint64_t reach = rows.feedback.highest + kMostFragments;
    if (last < gap.first || (reach >= rows.feedback.highest && last > reach)) return false;
  }
  for (std::size_t i = 0; i < rows.feedback.paths; ++i) {
    PathCounts counts;
    const std::uint8_t* const row = rows.paths + i * PathCounts::kBytes;
    if (Decode(row, row + PathCounts::kBytes, counts) == nullptr) return false;
    if (counts.highest > rows.feedback.highest) return false;
  }
  return true;
}

}  // namespace foreflow::wire
