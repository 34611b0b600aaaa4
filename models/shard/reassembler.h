// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_REASSEMBLER_H_
#define FOREFLOW_MODELS_SHARD_REASSEMBLER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/flow/expiry_wheel.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {

// A fragment's bytes, which are the caller's: the number of a buffer. Never looked into.
using FragmentHandle = std::uint32_t;

// What became of a fragment. Every fragment that comes in is counted under one of these at last, or is held.
enum class FragmentFate : std::uint8_t {
  kHeld,       // kept until its packet is whole
  kDelivered,  // went out as a part of a whole packet
  // Refused as it came in; the handle stays the caller's.
  kDuplicate,     // its place is taken
  kAlreadyWhole,  // its packet has been delivered: it was asked for, or sent, once too often
  kRepairUnused,  // a repair whose packet has been delivered
  kTooLate,       // its packet has been given up
  kStale,         // its packet is older than the ring
  kConflict,      // says another length or total than its packet's first fragment
  kMixedEpoch,    // sealed by another key than its packet's first fragment
  kTooMany,       // its packet has more fragments than are allowed
  kTooSmall,      // its packet's fragments are smaller than is allowed
  // Given up after having been held; the handle goes to FragmentSink.
  kTimedOut,   // the deadline of its packet has passed
  kOverrun,    // a packet as many numbers later as the ring is long needed the place
  kEvicted,    // memory was needed, and its packet was its session's oldest
  kEcnMixed,   // of fragments of its packet, some are marked and some were sent without ECN (RFC 3168, 5.3)
  kForgotten,  // its session ended
};
constexpr std::size_t kFragmentFates = static_cast<std::size_t>(FragmentFate::kForgotten) + 1;
// The snake_case name; nullptr out of range.
const char* Name(FragmentFate fate);

// Whose fragments they are. Nothing of the reassembler may be called from here.
class FragmentSink {
 public:
  // A fragment that was held is the caller's again.
  virtual void OnDropped(FragmentHandle fragment, FragmentFate why) = 0;

 protected:
  ~FragmentSink() = default;
};

struct ReassemblerConfig {
  std::size_t sessions = 1;         // 1 .. 65536
  std::size_t slots = 1024;         // of a session: packets under way have bases within so many numbers;
                                    // a power of two, 2 .. 2^20
  std::size_t most_fragments = 16;  // of a packet: 1 .. 64
  std::size_t least_fragment_bytes = 64;  // but of the last one, and of whole packets: 1 ..
  std::size_t held = 65'536;    // fragments held in all; of each session, held / sessions at least, which
                                // must be more than a packet's
  Nanos shortest = Millis(2);   // bounds of a packet's time, from its first fragment on
  Nanos longest = Millis(200);  // .. 10 s
  Nanos tick = Micros(100);     // grain of that time
  Nanos start;                  // of the clock
};

// A fragment as it comes in, verified.
struct ArrivedFragment {
  std::size_t session = 0;  // its index
  std::uint64_t base = 0;
  wire::FragmentHeader header;
  bool is_repair = false;
  std::uint8_t epoch = 0;
  std::uint8_t ecn = 0;  // of its IP packet: 0 .. 3
  FragmentHandle handle = 0;
};

// A whole packet. Its handles are the caller's; valid until the next call.
struct WholePacket {
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::uint64_t base = 0;
  const FragmentHandle* fragments = nullptr;  // `total` in order; that of `missing` means nothing
  std::uint8_t total = 0;
  std::uint16_t length = 0;
  std::uint8_t ecn = 0;         // of the whole
  std::size_t missing = kNone;  // to be computed from the others and the repair (repair.h)
  bool has_repair = false;      // `repair` is a handle
  FragmentHandle repair = 0;
  Nanos first;  // when its first fragment came
};

// Puts packets together again. Each session has a ring of slots, and a packet's place is its base modulo the
// ring's length: nothing is searched for and nothing is hashed, so nobody can make two packets collide but by
// sending the later one a ring's length after the other. A place remembers its last packet after that has
// gone, so that each packet is delivered once at most, whatever comes again.
//
// Time: a packet has, from its first fragment on, the time of its session (SetTime) and no more: later
// fragments do not restart it. Memory: `held` fragments in all. When there is no room, a newcomer is not
// refused: a session that holds its share (held / sessions) or more gives up its oldest packet, else the
// session that has held more than its share the longest does; so no session that keeps within its share ever
// loses a fragment to another. Fragments of one packet are of one epoch (CVE-2020-24587).
//
// A slot is 48 bytes and 4 for each fragment it may hold, rounded up to whole cache lines, so that packets of
// up to four fragments are put together in one; its timer, which most packets never touch, is 12 bytes
// elsewhere. No allocation after set-up, one thread. What is given must have been verified and well formed
// (Opener). Work: a probe and two cache_lines a fragment, an update where it is taken, another for each
// packet that is dropped.
//
// Where fragments come in bursts, Prefetch the slots of all, then give them to Input; and of the packets that
// are whole, fetch the buffers, then join them: what is not in the cache is waited for once a burst.
class Reassembler {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit Reassembler(const ReassemblerConfig& config);

  // From now on packets of a session have so long, held within shortest .. longest: four probe timeouts of
  // its path. `longest` until then.
  void SetTime(std::size_t session, Nanos time);

  // Takes a fragment. kHeld: the handle is kept. kDelivered: `whole` is, with this fragment. kEcnMixed: it
  // went to the sink with the others of its packet. Else it is refused.
  FragmentFate Input(const ArrivedFragment& fragment, Nanos now, WholePacket& whole, FragmentSink& sink,
                     Work& work);
  // Gives up packets whose time has passed; to be called before the fragments of `now`.
  void Expire(Nanos now, FragmentSink& sink, Work& work);
  // Gives up what a session has, and forgets what it had: its numbers begin anew.
  void Forget(std::size_t session, FragmentSink& sink, Work& work);

  // Ahead of Input of fragment `index` of a packet.
  void Prefetch(std::size_t session, std::uint64_t base, std::size_t index) const {
    const Line* const line = &lines_[PlaceOf(session, base) * lines_a_slot_];
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + (sizeof(Slot) + index * sizeof(FragmentHandle)) / sizeof(Line), 1);
  }

  // Which fragments of a packet under way are there: bit i is fragment i. 0 where it is not under way.
  std::uint64_t Present(std::size_t session, std::uint64_t base) const;

  // Fragments held in all, and of a session; and how many a session is sure of.
  std::size_t held() const { return counts_[static_cast<std::size_t>(FragmentFate::kHeld)]; }
  std::size_t held_of(std::size_t session) const { return sessions_[session].held; }
  std::size_t share() const { return share_; }
  std::size_t packets() const { return packets_; }  // under way
  std::size_t bytes() const;                        // of its tables
  // By fate; kHeld is what is held now. Their sum is the number of calls of Input.
  using Counts = std::array<std::uint64_t, kFragmentFates>;
  const Counts& counts() const { return counts_; }

 private:
  using Place = std::uint32_t;
  static constexpr Place kNone = 0xffffffffu;
  enum class State : std::uint8_t { kEmpty, kUnderWay, kWhole, kGivenUp };

  // Behind it lie the handles of fragments 0 .. most_fragments - 1.
  struct Slot {
    std::uint64_t base = 0;
    std::uint64_t missing = 0;  // bit i: fragment i
    Nanos first;
    Place older = kNone;  // packets of the session under way, in order of their first fragments
    Place newer = kNone;
    std::uint32_t deadline = 0;  // of the last packet: low half of the wheel's tick
    std::uint16_t length = 0;
    std::uint8_t total = 0;
    std::uint8_t epoch = 0;
    State state = State::kEmpty;
    std::uint8_t ecn = 0;  // bit e: a fragment with ECN field e came
    bool has_repair = false;
    bool is_armed = false;  // the wheel's timer, for `deadline` or earlier
    FragmentHandle repair = 0;

    FragmentHandle* fragments() { return reinterpret_cast<FragmentHandle*>(this + 1); }
  };
  static_assert(sizeof(Slot) == 48);
  struct alignas(64) Line {
    std::array<std::uint8_t, 64> bytes{};
  };
  struct Session {
    Place oldest = kNone;
    Place newest = kNone;
    std::uint32_t held = 0;
    std::uint32_t before = kNone;  // sessions over their share, in the order in which they came to be
    std::uint32_t after = kNone;
    Nanos time;
  };

  Place PlaceOf(std::size_t session, std::uint64_t base) const {
    return static_cast<Place>(session << slot_bits_ | (base & ((std::uint64_t{1} << slot_bits_) - 1)));
  }
  std::size_t SessionOf(Place place) const { return place >> slot_bits_; }
  Slot& SlotAt(Place place) { return *reinterpret_cast<Slot*>(&lines_[place * lines_a_slot_]); }
  const Slot& SlotAt(Place place) const {
    return *reinterpret_cast<const Slot*>(&lines_[place * lines_a_slot_]);
  }
  FragmentFate Refuse(FragmentFate fate) {
    ++counts_[static_cast<std::size_t>(fate)];
    return fate;
  }
  // Handles of a packet that is whole.
  static std::uint32_t PartsOf(const Slot& slot) {
    return slot.total - (slot.missing == 0 ? 0u : 1u) + (slot.has_repair ? 1u : 0u);
  }
  FragmentFate InputOther(Place place, const ArrivedFragment& fragment, Nanos now, WholePacket& whole,
                          FragmentSink& sink, Work& work);
  static bool Take(Slot& slot, const ArrivedFragment& fragment);
  FragmentFate Complete(Place place, WholePacket& whole, FragmentSink& sink, Work& work);
  void Hand(Slot& slot, WholePacket& whole);
  void Link(Place place, Session& session, Nanos now);
  void Unlink(Slot& slot, Session& session);
  void Drop(Place place, FragmentFate why, FragmentSink& sink, Work& work);
  void MakeRoom(std::size_t newcomer, Place keep, FragmentSink& sink, Work& work);
  void Hold(Session& session);
  void Release(Session& session, std::uint32_t parts);
  void CrossShare(Session& session, bool is_over);

  unsigned slot_bits_;
  std::size_t lines_a_slot_;
  std::size_t most_fragments_;
  std::size_t least_bytes_;
  std::size_t capacity_;
  std::size_t share_;
  Nanos shortest_, longest_;
  std::vector<Line> lines_;
  std::vector<Session> sessions_;
  flow::ExpiryWheel wheel_;
  std::uint32_t first_over_ = kNone;
  std::uint32_t last_over_ = kNone;
  std::size_t packets_ = 0;
  Counts counts_{};
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_REASSEMBLER_H_
