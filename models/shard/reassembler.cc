// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/reassembler.h"

#include <algorithm>
#include <new>
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
    : slot_bits_(static_cast<unsigned>(__builtin_ctzll(Checked(config).slots))),
      lines_a_slot_((sizeof(Slot) + config.most_fragments * sizeof(FragmentHandle) + sizeof(Line) - 1) /
                    sizeof(Line)),
      most_fragments_(config.most_fragments),
      least_bytes_(config.least_fragment_bytes),
      capacity_(config.held),
      share_(config.held / config.sessions),
      shortest_(config.shortest),
      longest_(config.longest),
      lines_(config.sessions * config.slots * lines_a_slot_),
      sessions_(config.sessions),
      wheel_(config.sessions * config.slots, config.tick, config.start) {
  for (std::size_t i = 0; i < lines_.size(); i += lines_a_slot_) new (&lines_[i]) Slot;
  for (Session& session : sessions_) session.time = config.longest;
}

void Reassembler::SetTime(std::size_t session, Nanos time) {
  sessions_[session].time = std::clamp(time, shortest_, longest_);
}

FragmentFate Reassembler::Input(const ArrivedFragment& fragment, Nanos now, WholePacket& whole,
                                FragmentSink& sink, Work& work) {
  work.Add(WorkItem::kProbe);
  work.Add(WorkItem::kCacheLine, 2);
  const Place place = PlaceOf(fragment.session, fragment.base);
  Slot& slot = SlotAt(place);
  if (slot.base != fragment.base || slot.state != State::kUnderWay)
    return InputOther(place, fragment, now, whole, sink, work);
  const wire::FragmentHeader& header = fragment.header;
  if (slot.length != header.length || slot.total != header.total) return Refuse(FragmentFate::kConflict);
  if (slot.epoch != fragment.epoch) return Refuse(FragmentFate::kMixedEpoch);
  if (fragment.is_repair ? slot.has_repair : (slot.missing >> header.index & 1) == 0)
    return Refuse(FragmentFate::kDuplicate);
  if (held() == capacity_) MakeRoom(fragment.session, place, sink, work);
  work.Add(WorkItem::kUpdate);
  Hold(sessions_[fragment.session]);
  return Take(slot, fragment) ? Complete(place, whole, sink, work) : FragmentFate::kHeld;
}

// The fragment of a packet that is not under way: a new one, or one that was.
[[gnu::noinline]] FragmentFate Reassembler::InputOther(Place place, const ArrivedFragment& fragment,
                                                       Nanos now, WholePacket& whole, FragmentSink& sink,
                                                       Work& work) {
  const wire::FragmentHeader& header = fragment.header;
  Slot& slot = SlotAt(place);
  if (slot.state != State::kEmpty) {
    if (fragment.base < slot.base) return Refuse(FragmentFate::kStale);
    if (fragment.base == slot.base && slot.state == State::kGivenUp) return Refuse(FragmentFate::kTooLate);
    if (fragment.base == slot.base)
      return Refuse(fragment.is_repair ? FragmentFate::kRepairUnused : FragmentFate::kAlreadyWhole);
  }
  if (header.total > most_fragments_) return Refuse(FragmentFate::kTooMany);
  if (header.total > 1 && wire::FragmentUnit(header.length, header.total) < least_bytes_)
    return Refuse(FragmentFate::kTooSmall);
  if (slot.state == State::kUnderWay) Drop(place, FragmentFate::kOverrun, sink, work);
  if (held() == capacity_) MakeRoom(fragment.session, place, sink, work);
  work.Add(WorkItem::kUpdate);
  slot.base = fragment.base;
  slot.missing = AllOf(header.total);
  slot.first = now;
  slot.length = header.length;
  slot.total = header.total;
  slot.epoch = fragment.epoch;
  slot.ecn = 0;
  slot.has_repair = false;
  if (Take(slot, fragment)) {  // whole at once: never under way
    Hand(slot, whole);
    return FragmentFate::kDelivered;
  }
  Session& session = sessions_[fragment.session];
  Link(place, session, now);
  Hold(session);
  return FragmentFate::kHeld;
}

// True: the packet is whole.
inline bool Reassembler::Take(Slot& slot, const ArrivedFragment& fragment) {
  slot.ecn = static_cast<std::uint8_t>(slot.ecn | 1 << (fragment.ecn & 3));
  if (fragment.is_repair) {
    slot.has_repair = true;
    slot.repair = fragment.handle;
  } else {
    slot.missing &= ~(std::uint64_t{1} << fragment.header.index);
    slot.fragments()[fragment.header.index] = fragment.handle;
  }
  return slot.missing == 0 || (slot.has_repair && (slot.missing & (slot.missing - 1)) == 0);
}

[[gnu::noinline]] FragmentFate Reassembler::Complete(Place place, WholePacket& whole, FragmentSink& sink,
                                                     Work& work) {
  Slot& slot = SlotAt(place);
  if (IsEcnMixed(slot.ecn)) {
    Drop(place, FragmentFate::kEcnMixed, sink, work);
    return FragmentFate::kEcnMixed;
  }
  Session& session = sessions_[SessionOf(place)];
  Unlink(slot, session);
  Release(session, PartsOf(slot));
  Hand(slot, whole);
  return FragmentFate::kDelivered;
}

inline void Reassembler::Hand(Slot& slot, WholePacket& whole) {
  counts_[static_cast<std::size_t>(FragmentFate::kDelivered)] += PartsOf(slot);
  slot.state = State::kWhole;
  whole.base = slot.base;
  whole.fragments = slot.fragments();
  whole.total = slot.total;
  whole.length = slot.length;
  whole.ecn = MergedEcn(slot.ecn);
  whole.missing =
      slot.missing == 0 ? WholePacket::kNone : static_cast<std::size_t>(__builtin_ctzll(slot.missing));
  whole.has_repair = slot.has_repair;
  whole.repair = slot.repair;
  whole.first = slot.first;
}

// A timer is not disarmed when its packet goes, but left to the packet that comes to the slot next: where it
// fires before that one's deadline, it is armed again. So a packet that is whole in time costs it nothing.
void Reassembler::Expire(Nanos now, FragmentSink& sink, Work& work) {
  const bool is_past_all = wheel_.IsPastAll(now);
  for (flow::ExpiryWheel::Timer timer = wheel_.Next(now); timer != flow::ExpiryWheel::kNone;
       timer = wheel_.Next(now)) {
    Slot& slot = SlotAt(timer);
    slot.is_armed = false;
    if (slot.state != State::kUnderWay) continue;
    if (is_past_all || slot.deadline == wheel_.tick()) {
      Drop(timer, FragmentFate::kTimedOut, sink, work);
    } else {
      wheel_.ArmAt(timer, slot.deadline);
      slot.is_armed = true;
    }
  }
}

void Reassembler::Forget(std::size_t index, FragmentSink& sink, Work& work) {
  while (sessions_[index].oldest != kNone)
    Drop(sessions_[index].oldest, FragmentFate::kForgotten, sink, work);
  const std::size_t slots = std::size_t{1} << slot_bits_;
  for (std::size_t i = 0; i < slots; ++i) SlotAt(PlaceOf(index, i)).state = State::kEmpty;
}

std::uint64_t Reassembler::Present(std::size_t session, std::uint64_t base) const {
  const Slot& slot = SlotAt(PlaceOf(session, base));
  return slot.state == State::kUnderWay && slot.base == base ? AllOf(slot.total) & ~slot.missing : 0;
}

std::size_t Reassembler::bytes() const {
  return lines_.size() * sizeof(Line) + sessions_.size() * sizeof(Session) + wheel_.bytes() + sizeof(*this);
}

inline void Reassembler::Link(Place place, Session& session, Nanos now) {
  Slot& slot = SlotAt(place);
  slot.state = State::kUnderWay;
  slot.older = session.newest;
  slot.newer = kNone;
  (session.newest == kNone ? session.oldest : SlotAt(session.newest).newer) = place;
  session.newest = place;
  ++packets_;
  const std::uint32_t deadline = wheel_.TickFor(now + session.time);
  if (!slot.is_armed || deadline - wheel_.tick() < slot.deadline - wheel_.tick()) {
    wheel_.ArmAt(place, deadline);
    slot.is_armed = true;
  }
  slot.deadline = deadline;
}

inline void Reassembler::Unlink(Slot& slot, Session& session) {
  (slot.older == kNone ? session.oldest : SlotAt(slot.older).newer) = slot.newer;
  (slot.newer == kNone ? session.newest : SlotAt(slot.newer).older) = slot.older;
  --packets_;
}

[[gnu::noinline]] void Reassembler::Drop(Place place, FragmentFate why, FragmentSink& sink, Work& work) {
  Slot& slot = SlotAt(place);
  const FragmentHandle* const handles = slot.fragments();
  std::uint32_t parts = 0;
  for (std::uint64_t left = AllOf(slot.total) & ~slot.missing; left != 0; left &= left - 1, ++parts)
    sink.OnDropped(handles[__builtin_ctzll(left)], why);
  if (slot.has_repair) {
    sink.OnDropped(slot.repair, why);
    ++parts;
  }
  Session& session = sessions_[SessionOf(place)];
  Unlink(slot, session);
  Release(session, parts);
  counts_[static_cast<std::size_t>(why)] += parts;
  slot.state = State::kGivenUp;
  work.Add(WorkItem::kUpdate);
}

// All is full: where the newcomer is below its share, some session is over its own. Never the packet at
// `keep`, to which the newcomer belongs: it alone is less than a share.
[[gnu::noinline]] void Reassembler::MakeRoom(std::size_t newcomer, Place keep, FragmentSink& sink,
                                             Work& work) {
  const std::size_t from = sessions_[newcomer].held >= share_ ? newcomer : first_over_;
  const Place oldest = sessions_[from].oldest;
  Drop(oldest == keep ? SlotAt(oldest).newer : oldest, FragmentFate::kEvicted, sink, work);
}

inline void Reassembler::Hold(Session& session) {
  ++counts_[static_cast<std::size_t>(FragmentFate::kHeld)];
  if (session.held++ == share_) CrossShare(session, true);
}

inline void Reassembler::Release(Session& session, std::uint32_t parts) {
  const bool was_over = session.held > share_;
  counts_[static_cast<std::size_t>(FragmentFate::kHeld)] -= parts;
  session.held -= parts;
  if (was_over && session.held <= share_) CrossShare(session, false);
}

[[gnu::noinline]] void Reassembler::CrossShare(Session& session, bool is_over) {
  const auto self = static_cast<std::uint32_t>(&session - sessions_.data());
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
