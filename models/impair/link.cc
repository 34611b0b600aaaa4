// SPDX-License-Identifier: BSD-3-Clause
#include "models/impair/link.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::impair {
namespace {

std::size_t InRange(const char* key, std::size_t value, std::size_t most) {
  if (value < 1 || value > most)
    throw Refusal("link", key, std::to_string(value), "1 .. " + std::to_string(most));
  return value;
}

ImpairmentConfig Bounded(ImpairmentConfig config, std::size_t largest_bytes) {
  for (PathConfig& path : config.paths) path.largest_bytes = std::min(path.largest_bytes, largest_bytes);
  return config;
}

}  // namespace

Link::Link(const LinkConfig& config, std::uint64_t seed, std::uint32_t index)
    : impairment_(Bounded(config.impairment, InRange("largest_bytes", config.largest_bytes, 65'535)), seed,
                  index),
      largest_bytes_(config.largest_bytes),
      line_(InRange("datagrams", config.datagrams, std::size_t{1} << 24)),
      bytes_((config.datagrams + 1) * config.largest_bytes),
      slots_(config.datagrams + 1) {
  free_.reserve(slots_.size());
  for (std::size_t i = slots_.size(); i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
}

Fate Link::Send(BytesView datagram, std::size_t path, Nanos now, std::uint8_t note) {
  const Passage passage = impairment_.Pass(path, datagram.size, now);
  for (std::size_t i = 0; i < passage.copies; ++i) {
    const Passage::Copy& copy = passage.copy[i];
    // There is a slot for whatever the line takes, beside the one that the caller looks at.
    if (!line_.HasRoom()) {
      ++no_room_;
      continue;
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    line_.Push(copy.at, slot);
    std::uint8_t* bytes = bytes_.data() + slot * largest_bytes_;
    if (datagram.size > 0) std::memcpy(bytes, datagram.data, datagram.size);
    if (copy.flip != 0) bytes[copy.place] ^= copy.flip;
    slots_[slot].bytes = static_cast<std::uint16_t>(datagram.size);
    slots_[slot].path = static_cast<std::uint8_t>(path % impairment_.paths());
    slots_[slot].is_marked = passage.is_marked;
    slots_[slot].note = note;
    slots_[slot].is_changed = copy.flip != 0;
    slots_[slot].number = impairment_.counts().in;
  }
  return passage.fate;
}

bool Link::Receive(Nanos now, Arrival& arrival) {
  if (shown_ != kNone) free_.push_back(shown_);
  shown_ = kNone;
  if (!line_.Pop(now, shown_, arrival.at)) return false;
  ++arrived_;
  arrival.datagram = {bytes_.data() + shown_ * largest_bytes_, slots_[shown_].bytes};
  arrival.path = slots_[shown_].path;
  arrival.is_marked = slots_[shown_].is_marked;
  arrival.note = slots_[shown_].note;
  arrival.is_changed = slots_[shown_].is_changed;
  arrival.number = slots_[shown_].number;
  return true;
}

}  // namespace foreflow::impair
