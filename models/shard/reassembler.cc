// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/reassembler.h"

#include <algorithm>
#include <string>

#include "models/base/refusal.h"

namespace foreflow::shard {
namespace {

constexpr std::uint8_t kNotEct = 1 << 0, kEct1 = 1 << 1, kEct0 = 1 << 2, kCe = 1 << 3;

// The ECN field of a packet from those of its fragments, as a set: marked if any is, unless some could not be
// (RFC 3168, section 5.3, which lets both be dropped); without ECN if any is.
constexpr bool IsEcnMixed(std::uint8_t seen) { return (seen & kCe) != 0 && (seen & kNotEct) != 0; }
constexpr std::uint8_t MergedEcn(std::uint8_t seen) {
  if ((seen & kCe) != 0) return 3;
  if ((seen & kNotEct) != 0) return 0;
  return (seen & kEct0) != 0 ? 2 : 1;
}
static_assert(MergedEcn(kEct1) == 1 && MergedEcn(kEct1 | kEct0) == 2 && MergedEcn(kEct0 | kCe) == 3);

constexpr std::uint64_t AllOf(std::size_t total) { return ~std::uint64_t{0} >> (64 - total); }

const ReassemblerConfig& Checked(const ReassemblerConfig& config) {
  const auto refuse = [](const char* key, std::int64_t value, const std::string& allowed) {
    throw Refusal("reassembler", key, std::to_string(value), allowed);
  };
  const auto check = [&](const char* key, std::size_t value, std::size_t least, std::size_t most) {
    if (value < least || value > most)
      refuse(key, static_cast<std::int64_t>(value), std::to_string(least) + " .. " + std::to_string(most));
  };
  check("sessions", config.sessions, 1, 65536);
  check("slots", config.slots, 2, 1u << 20);
  if ((config.slots & (config.slots - 1)) != 0)
    refuse("slots", static_cast<std::int64_t>(config.slots), "a power of two");
  check("sessions x slots", config.sessions * config.slots, 2, 1u << 30);
  check("most_fragments", config.most_fragments, 1, wire::kMostFragments);
  check("least_fragment_bytes", config.least_fragment_bytes, 1, 65535);
  check("held", config.held, config.sessions * (config.most_fragments + 2), 1u << 30);
  if (config.shortest.count() <= 0 || config.shortest > config.longest)
    refuse("shortest", config.shortest.count(), "1 ns .. longest");
  if (config.longest > Seconds(10)) refuse("longest", config.longest.count(), "shortest .. 10 s, in ns");
  return config;
}

}  // namespace

const char* Name(FragmentFate fate) {
  static constexpr std::array<const char*, kFragmentFates> kNames = {
      "held",    "delivered", "duplicate",   "already_whole", "repair_unused", "too_late",
      "stale",   "conflict",  "mixed_epoch", "too_many",      "too_small",     "timed_out",
      "overrun", "evicted",   "ecn_mixed",   "forgotten"};
  const auto index = static_cast<std::size_t>(fate);
  return index < kNames.size() ? kNames[index] : nullptr;
}

Reassembler::Reassembler(const ReassemblerConfig& config)
    : slot_count_(Checked(config).slots),
      most_fragments_(config.most_fragments),
      least_bytes_(config.least_fragment_bytes),
      stride_(config.most_fragments + 1),
      capacity_(config.held),
      share_(config.held / config.sessions),
      shortest_(config.shortest),
      longest_(config.longest),
      slots_(config.sessions * config.slots),
      handles_(config.sessions * config.slots * stride_),
      sessions_(config.sessions),
      wheel_(config.sessions * config.slots, config.tick, config.start) {
  for (Session& session : sessions_) session.time = config.longest;
}

void Reassembler::SetTime(std::size_t session, Nanos time) {
  sessions_[session].time = std::clamp(time, shortest_, longest_);
}

FragmentFate Reassembler::Input(const ArrivedFragment& fragment, Nanos now, WholePacket& whole,
                                FragmentSink& sink, Work& work) {
  const wire::FragmentHeader& header = fragment.header;
  work.Add(WorkItem::kProbe);
  work.Add(WorkItem::kCacheLine, 2);
  const auto place = static_cast<Place>(PlaceOf(fragment.session, fragment.base));
  Slot& slot = slots_[place];
  const bool is_taken = slot.state != State::kEmpty;
  if (!is_taken || slot.base != fragment.base) {
    // A packet that is not known yet.
    if (is_taken && fragment.base < slot.base) return Refuse(FragmentFate::kStale);
    if (header.total > most_fragments_) return Refuse(FragmentFate::kTooMany);
    if (header.total > 1 && wire::FragmentUnit(header.length, header.total) < least_bytes_)
      return Refuse(FragmentFate::kTooSmall);
    if (slot.state == State::kUnderWay) Drop(place, FragmentFate::kOverrun, sink, work);
    slot.state = State::kEmpty;
  }
  const std::uint64_t bit = std::uint64_t{1} << header.index;
  switch (slot.state) {
    case State::kWhole:
      return Refuse(fragment.is_repair ? FragmentFate::kRepairUnused : FragmentFate::kAlreadyWhole);
    case State::kGivenUp:
      return Refuse(FragmentFate::kTooLate);
    case State::kUnderWay:
      if (slot.length != header.length || slot.total != header.total) return Refuse(FragmentFate::kConflict);
      if (slot.epoch != fragment.epoch) return Refuse(FragmentFate::kMixedEpoch);
      if (fragment.is_repair ? slot.has_repair : (slot.present & bit) != 0)
        return Refuse(FragmentFate::kDuplicate);
      break;
    case State::kEmpty:
      break;
  }
  if (held_ == capacity_) MakeRoom(fragment.session, place, sink, work);
  if (slot.state == State::kEmpty) Begin(place, fragment, now);
  work.Add(WorkItem::kUpdate);
  FragmentHandle* const handles = &handles_[place * stride_];
  if (fragment.is_repair) {
    slot.has_repair = true;
    handles[most_fragments_] = fragment.handle;
  } else {
    slot.present |= bit;
    handles[header.index] = fragment.handle;
  }
  slot.ecn = static_cast<std::uint8_t>(slot.ecn | 1 << (fragment.ecn & 3));
  Count(fragment.session, sessions_[fragment.session].held + 1);
  const std::uint64_t missing = AllOf(slot.total) & ~slot.present;
  if (missing != 0 && !(slot.has_repair && (missing & (missing - 1)) == 0)) return FragmentFate::kHeld;

  if (IsEcnMixed(slot.ecn)) {
    Drop(place, FragmentFate::kEcnMixed, sink, work);
    return FragmentFate::kEcnMixed;
  }
  whole.base = slot.base;
  whole.fragments = handles;
  whole.total = slot.total;
  whole.length = slot.length;
  whole.ecn = MergedEcn(slot.ecn);
  whole.missing = missing == 0 ? WholePacket::kNone : static_cast<std::size_t>(__builtin_ctzll(missing));
  whole.has_repair = slot.has_repair;
  whole.repair = handles[most_fragments_];
  whole.first = slot.first;
  const std::uint32_t parts = slot.total - (missing == 0 ? 0u : 1u) + (slot.has_repair ? 1u : 0u);
  Unlink(place);
  Count(fragment.session, sessions_[fragment.session].held - parts);
  counts_[static_cast<std::size_t>(FragmentFate::kDelivered)] += parts;
  slot.state = State::kWhole;
  return FragmentFate::kDelivered;
}

void Reassembler::Expire(Nanos now, FragmentSink& sink, Work& work) {
  for (flow::ExpiryWheel::Timer timer = wheel_.Next(now); timer != flow::ExpiryWheel::kNone;
       timer = wheel_.Next(now))
    Drop(timer, FragmentFate::kTimedOut, sink, work);
}

void Reassembler::Forget(std::size_t index, FragmentSink& sink, Work& work) {
  while (sessions_[index].oldest != kNone)
    Drop(sessions_[index].oldest, FragmentFate::kForgotten, sink, work);
  for (std::size_t i = 0; i < slot_count_; ++i) slots_[index * slot_count_ + i].state = State::kEmpty;
}

std::uint64_t Reassembler::Present(std::size_t session, std::uint64_t base) const {
  const Slot& slot = slots_[PlaceOf(session, base)];
  return slot.state == State::kUnderWay && slot.base == base ? slot.present : 0;
}

std::size_t Reassembler::bytes() const {
  return slots_.size() * sizeof(Slot) + handles_.size() * sizeof(FragmentHandle) +
         sessions_.size() * sizeof(Session) + wheel_.bytes() + sizeof(*this);
}

void Reassembler::Begin(Place place, const ArrivedFragment& fragment, Nanos now) {
  Slot& slot = slots_[place];
  Session& session = sessions_[fragment.session];
  slot.base = fragment.base;
  slot.present = 0;
  slot.first = now;
  slot.length = fragment.header.length;
  slot.total = fragment.header.total;
  slot.epoch = fragment.epoch;
  slot.state = State::kUnderWay;
  slot.has_repair = false;
  slot.ecn = 0;
  slot.older = session.newest;
  slot.newer = kNone;
  (session.newest == kNone ? session.oldest : slots_[session.newest].newer) = place;
  session.newest = place;
  wheel_.Arm(place, now + session.time);
  ++packets_;
}

void Reassembler::Unlink(Place place) {
  Slot& slot = slots_[place];
  Session& session = sessions_[SessionOf(place)];
  (slot.older == kNone ? session.oldest : slots_[slot.older].newer) = slot.newer;
  (slot.newer == kNone ? session.newest : slots_[slot.newer].older) = slot.older;
  wheel_.Disarm(place);
  --packets_;
}

void Reassembler::Drop(Place place, FragmentFate why, FragmentSink& sink, Work& work) {
  Slot& slot = slots_[place];
  const FragmentHandle* const handles = &handles_[place * stride_];
  std::uint32_t parts = 0;
  for (std::uint64_t left = slot.present; left != 0; left &= left - 1, ++parts)
    sink.OnDropped(handles[__builtin_ctzll(left)], why);
  if (slot.has_repair) {
    sink.OnDropped(handles[most_fragments_], why);
    ++parts;
  }
  Unlink(place);
  const std::size_t session = SessionOf(place);
  Count(session, sessions_[session].held - parts);
  counts_[static_cast<std::size_t>(why)] += parts;
  slot.state = State::kGivenUp;
  work.Add(WorkItem::kUpdate);
}

// All is full: where the newcomer is below its share, some session is over its own. Never the packet at
// `keep`, to which the newcomer belongs: it alone is less than a share.
void Reassembler::MakeRoom(std::size_t newcomer, Place keep, FragmentSink& sink, Work& work) {
  const std::size_t from = sessions_[newcomer].held >= share_ ? newcomer : first_over_;
  const Place oldest = sessions_[from].oldest;
  Drop(oldest == keep ? slots_[oldest].newer : oldest, FragmentFate::kEvicted, sink, work);
}

inline void Reassembler::Count(std::size_t index, std::uint32_t held) {
  Session& session = sessions_[index];
  const bool was_over = session.held > share_;
  held_ = held_ - session.held + held;
  session.held = held;
  counts_[static_cast<std::size_t>(FragmentFate::kHeld)] = held_;
  const bool is_over = held > share_;
  if (was_over == is_over) return;
  const auto self = static_cast<std::uint32_t>(index);
  if (is_over) {
    session.before = last_over_;
    session.after = kNone;
    (last_over_ == kNone ? first_over_ : sessions_[last_over_].after) = self;
    last_over_ = self;
  } else {
    (session.before == kNone ? first_over_ : sessions_[session.before].after) = session.after;
    (session.after == kNone ? last_over_ : sessions_[session.after].before) = session.before;
  }
}

}  // namespace foreflow::shard
