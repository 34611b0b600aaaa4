// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/sharder.h"

#include <algorithm>
#include <cstring>

#include "models/shard/repair.h"

namespace foreflow::shard {

// With fewer parts the grid's unit grows, and the fewest that hold a packet at that unit are a grid: their
// own unit is no greater, so none of them is empty.
std::uint8_t FragmentsFor(std::size_t length, std::size_t most_bytes) {
  const std::size_t wanted =
      std::min((length + most_bytes - 1) / most_bytes, std::size_t{wire::kMostFragments});
  const std::size_t unit = wire::FragmentUnit(length, wanted);
  return static_cast<std::uint8_t>((length + unit - 1) / unit);
}

PacketCut Sharder::Cut(std::size_t length, std::size_t most_bytes) {
  PacketCut cut;
  cut.base = next_;
  cut.length = static_cast<std::uint16_t>(length);
  cut.total = FragmentsFor(length, most_bytes);
  cut.epoch = keys_.epoch();
  next_ += cut.total;
  return cut;
}

bool Sharder::MayNumber(const PacketCut& cut) const {
  return next_ - cut.base <= wire::kMost24 && keys_.Find(cut.epoch) != nullptr;
}

wire::PathHeader Sharder::NextBy(unsigned path, std::uint64_t number) {
  Went& went = went_[path];
  wire::PathHeader header;
  header.path = static_cast<std::uint8_t>(path);
  if (const std::uint64_t back = number - went.last; went.has_any && back <= wire::PathHeader::kReach)
    header.same = went.same >> back | std::uint32_t{1} << (wire::PathHeader::kReach - back);
  went = {number, header.same, true};
  return header;
}

std::size_t Sharder::Write(wire::ShardType type, const PacketCut& cut, std::size_t index,
                           std::uint64_t number, BytesView text, Nanos now, MutableBytes out, Work& work,
                           unsigned path) {
  wire::ShardHeader header;
  header.type = type;
  header.has_uuid = has_uuid_;
  header.has_path = has_paths_;
  header.epoch = cut.epoch;
  header.session = session_;
  header.number = number;
  wire::FragmentHeader fragment;
  fragment.base_delta = static_cast<std::uint32_t>(number - cut.base);
  fragment.index = static_cast<std::uint8_t>(index);
  fragment.total = cut.total;
  fragment.length = cut.length;
  fragment.sent_us = SentStamp(now);
  std::uint8_t* at = wire::Encode(out.begin(), out.end(), header);
  at = wire::Encode(at, out.end(), fragment);
  if (has_uuid_) at = wire::Encode(at, out.end(), wire::UuidOf(session_, cut.base));
  if (has_paths_) at = wire::Encode(at, out.end(), NextBy(path, number));
  keys_.Find(cut.epoch)->Seal(ShardNonce(session_, number),
                              {out.data, static_cast<std::size_t>(at - out.data)}, text, at, at + text.size);
  work.Add(WorkItem::kHeader);
  return static_cast<std::size_t>(at - out.data) + text.size + wire::kShardTagBytes;
}

std::size_t Sharder::Seal(const PacketCut& cut, std::size_t index, BytesView packet, Nanos now,
                          MutableBytes out, Work& work, unsigned path) {
  const BytesView text =
      packet.From(index * cut.unit()).First(wire::FragmentBytes(cut.length, cut.total, index));
  return Write(wire::ShardType::kData, cut, index, cut.base + index, text, now, out, work, path);
}

std::size_t Sharder::SealAgain(const PacketCut& cut, std::size_t index, BytesView packet, Nanos now,
                               MutableBytes out, Work& work, unsigned path) {
  if (!MayNumber(cut)) return 0;
  const BytesView text =
      packet.From(index * cut.unit()).First(wire::FragmentBytes(cut.length, cut.total, index));
  return Write(wire::ShardType::kData, cut, index, next_++, text, now, out, work, path);
}

std::size_t Sharder::SealRepair(const PacketCut& cut, BytesView packet, Nanos now, MutableBytes out,
                                Work& work, unsigned path) {
  if (!MayNumber(cut)) return 0;
  const std::size_t unit = cut.unit();
  const MutableBytes sum = {out.data + wire::ShardClearBytes(wire::ShardType::kRepair, has_uuid_, has_paths_),
                            unit};
  std::memcpy(sum.data, packet.data, unit);
  for (std::size_t at = unit; at < packet.size; at += unit) AddInto(sum, packet.From(at).First(unit));
  work.Add(WorkItem::kByteCopied, cut.length);
  return Write(wire::ShardType::kRepair, cut, 0, next_++, sum, now, out, work, path);
}

std::size_t Sharder::SealMessage(wire::ShardType type, BytesView text, MutableBytes out, Work& work,
                                 unsigned path) {
  wire::ShardHeader header;
  header.type = type;
  header.has_path = has_paths_;
  header.epoch = keys_.epoch();
  header.session = session_;
  header.number = next_++;
  std::uint8_t* at = wire::Encode(out.begin(), out.end(), header);
  if (has_paths_) at = wire::Encode(at, out.end(), NextBy(path, header.number));
  const auto clear = static_cast<std::size_t>(at - out.data);
  keys_.Find(header.epoch)
      ->Seal(ShardNonce(session_, header.number), {out.data, clear}, text, at, at + text.size);
  work.Add(WorkItem::kHeader);
  return clear + text.size + wire::kShardTagBytes;
}

}  // namespace foreflow::shard
