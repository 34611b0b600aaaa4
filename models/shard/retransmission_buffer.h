// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_RETRANSMISSION_BUFFER_H_
#define FOREFLOW_MODELS_SHARD_RETRANSMISSION_BUFFER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/shard/reassembler.h"
#include "models/shard/sharder.h"

namespace foreflow::shard {

struct RetransmissionConfig {
  std::size_t numbers = 8192;             // that were sent and are remembered: a power of two, 64 .. 2^20
  std::size_t packets = 2048;             // held: a power of two, 1 .. numbers
  unsigned resends = 3;                   // of a packet, times its fragments: 0 .. 15
  std::uint32_t resend_share = 16'384;    // bytes sent again, of those sent first, 65536 = 1: 0.25
  std::uint64_t resend_burst = 1u << 16;  // and so many bytes besides: .. 2^40
  Nanos keep = Millis(500);               // a packet is held so long: 1 ns ..
};

// What a number was sent as.
enum class SentKind : std::uint8_t { kNone, kFragment, kRepair, kFeedback, kProbe, kMtuProbe };

// What is done about a request.
enum class AskVerdict : std::uint8_t {
  kResend,
  kUnknown,     // no such number is remembered, or it was no fragment
  kReceived,    // the receiver has said that it has it
  kReleased,    // its packet is not held any more
  kRepeated,    // it was sent again less than a round trip ago
  kTooOften,    // its packet was sent again as often as is allowed
  kOverBudget,  // more bytes than the share allows
};
constexpr std::size_t kAskVerdicts = static_cast<std::size_t>(AskVerdict::kOverBudget) + 1;
// The snake_case name; nullptr out of range.
const char* Name(AskVerdict verdict);

class PacketSink {
 public:
  // A packet that was held is the caller's again.
  virtual void OnReleased(FragmentHandle packet) = 0;

 protected:
  ~PacketSink() = default;
};

// What was sent in one session and may have to be sent again: packets, by handles to bytes that are the
// caller's, and for each number what it was. A packet is held until all its fragments have been received, or
// for `keep`, or until as many later ones have been sent as are held.
//
// A peer that asks without end gets no more than resend_burst + resend_share x what is sent anyway, and no
// number more often than once a round trip.
//
// 32 B a number, 48 B a packet, taken at set-up. One thread. Work: an update a call, a probe for each number
// looked up.
class RetransmissionBuffer {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit RetransmissionBuffer(const RetransmissionConfig& config);

  using Packet = std::uint64_t;  // in order of holding
  // Holds a packet that is about to be sent; may release the oldest.
  Packet Hold(const PacketCut& cut, FragmentHandle handle, Nanos now, PacketSink& sink, Work& work);
  // A fragment of a packet, or a repair (index 0), or another message (packet 0), was sent under this number.
  // Every number that is drawn must be told, in order. By path `path` of several, 0 .. 255.
  void OnSent(std::uint64_t number, SentKind kind, Packet packet, std::size_t index, std::size_t bytes,
              Nanos now, Work& work, unsigned path = 0);

  struct Sent {
    SentKind kind = SentKind::kNone;
    std::uint8_t path = 0;
    std::uint32_t bytes = 0;  // of the datagram's payload
    Nanos at;
    bool is_received = false;
  };
  // kNone where it is not remembered.
  Sent Find(std::uint64_t number) const;
  // The receiver has this number. True: that is news.
  bool OnReceived(std::uint64_t number, PacketSink& sink, Work& work);

  struct Resend {
    Packet packet = 0;
    PacketCut cut;
    std::size_t index = 0;
    FragmentHandle handle = 0;
  };
  // kResend: the fragment is to be sent again, and OnSent told. `round_trip` is the smoothed one.
  AskVerdict Ask(std::uint64_t number, Nanos round_trip, Nanos now, Resend& resend, Work& work);
  // Where nothing was sent for `patience`, in which its receiver should have been heard of: the last fragment
  // not received is to be sent again, since what is lost at the end of a burst leaves no gap (RFC 8985,
  // section 7.3). Once for each number.
  bool TailProbe(Nanos patience, Nanos now, Resend& resend, Work& work);

  // A packet that is still held: all of `found` but the index. False where it is not.
  bool FindHeld(Packet packet, Resend& found) const;

  // Releases the packet held the longest; false where none is held.
  bool ReleaseOldest(PacketSink& sink);
  // Releases what has been held for `keep`.
  void Expire(Nanos now, PacketSink& sink);
  // Releases everything, and forgets the numbers.
  void Clear(PacketSink& sink);

  std::size_t held() const { return held_; }
  std::uint64_t sent_bytes() const { return sent_bytes_; }      // first sendings
  std::uint64_t resent_bytes() const { return resent_bytes_; }  // of fragments sent again
  using Asks = std::array<std::uint64_t, kAskVerdicts>;
  const Asks& asks() const { return asked_; }

 private:
  struct Record {
    std::uint64_t number = ~std::uint64_t{0};
    Packet packet = 0;
    Nanos at;  // when it was sent, or what was in it again
    std::uint16_t bytes = 0;
    std::uint8_t index = 0;
    std::uint8_t path = 0;
    SentKind kind = SentKind::kNone;
    bool is_received = false;
    bool was_sent_again = false;
  };
  struct Held {
    PacketCut cut;
    FragmentHandle handle = 0;
    std::uint64_t received = 0;  // fragments that the receiver has
    Nanos since;
    std::uint16_t resends = 0;
    bool is_held = false;
  };

  Record& RecordOf(std::uint64_t number) { return records_[number & (records_.size() - 1)]; }
  const Record& RecordOf(std::uint64_t number) const { return records_[number & (records_.size() - 1)]; }
  const Held* HeldOf(Packet packet) const;
  Held* HeldOf(Packet packet) {
    return const_cast<Held*>(static_cast<const RetransmissionBuffer*>(this)->HeldOf(packet));
  }
  void Release(Held& held, PacketSink& sink);
  AskVerdict Judge(Record& record, std::uint64_t number, Nanos round_trip, Nanos now, Resend& resend);

  RetransmissionConfig config_;
  std::vector<Record> records_;
  std::vector<Held> packets_;
  Packet next_ = 0;    // to be held
  Packet oldest_ = 0;  // that may still be
  std::size_t held_ = 0;
  std::uint64_t next_number_ = 0;
  std::uint64_t probed_ = 0;  // numbers below have been probed for
  std::uint64_t budget_;      // bytes x 65536
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t resent_bytes_ = 0;
  Asks asked_{};
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_RETRANSMISSION_BUFFER_H_
