// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_SHARDER_H_
#define FOREFLOW_MODELS_SHARD_SHARDER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/shard/epoch_keys.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {

// How one packet is cut, fixed once: later sendings of its fragments use the same grid and the same key.
struct PacketCut {
  std::uint64_t base = 0;    // number of its first fragment
  std::uint16_t length = 0;  // bytes of the packet
  std::uint8_t total = 0;    // fragments
  std::uint8_t epoch = 0;

  std::size_t unit() const { return wire::FragmentUnit(length, total); }
};

// The fewest fragments of at most `most_bytes` each that hold a packet of `length` bytes, or kMostFragments
// where more were needed. Always a grid (wire::IsGrid). length > 0, most_bytes > 0.
std::uint8_t FragmentsFor(std::size_t length, std::size_t most_bytes);

// `clock`, in us modulo 2^24: what a fragment says of its sending.
constexpr std::uint32_t SentStamp(Nanos clock) {
  return static_cast<std::uint32_t>(clock.count() / 1000) & wire::kMost24;
}
// From the sending to `now`, both by the same clock, at most 2^24 us; exact to 1 us.
constexpr Nanos SinceStamp(std::uint32_t sent_us, Nanos now) {
  return Micros((SentStamp(now) - sent_us) & wire::kMost24);
}

// Cuts packets and seals the pieces: the sending end of one session. Numbers are drawn from one counter for
// whatever is sent, in order of sending, whatever the epoch, and never twice: each is a nonce.
//
// No allocation, one thread. Work: a header each message.
class Sharder {
 public:
  // In explicit mode fragments carry the packet's UUID, 16 B each. With several paths each message says by
  // which it goes, 4 B (wire::PathHeader).
  Sharder(std::uint32_t session, bool has_uuid, bool has_paths = false)
      : session_(session), has_uuid_(has_uuid), has_paths_(has_paths) {}

  EpochKeys& keys() { return keys_; }
  const EpochKeys& keys() const { return keys_; }
  std::uint32_t session() const { return session_; }
  std::uint64_t next_number() const { return next_; }

  // A new session: no key, and numbers from 0 on.
  void Begin(std::uint32_t session) {
    keys_.Clear();
    session_ = session;
    next_ = 0;
    went_ = {};
  }

  // Begins a packet: 1..65535 bytes, in fragments of at most `most_bytes`. Its fragments' numbers are taken
  // now: they are to be sent next, in order. The newest key must be there.
  PacketCut Cut(std::size_t length, std::size_t most_bytes);
  // The first sending of fragment `index`, by path `path` of several, 0 .. wire::kMostPaths - 1. Returns the
  // datagram's bytes, which `out` has to have room for: FragmentDatagramBytes(cut, index). `packet` is the
  // whole packet.
  std::size_t Seal(const PacketCut& cut, std::size_t index, BytesView packet, Nanos now, MutableBytes out,
                   Work& work, unsigned path = 0);
  // Any later sending: another number. 0, and nothing is sent: the packet's key is gone, or too many numbers
  // lie between (2^24).
  std::size_t SealAgain(const PacketCut& cut, std::size_t index, BytesView packet, Nanos now,
                        MutableBytes out, Work& work, unsigned path = 0);
  // One more fragment, from which any single one of the others can be computed. 0 as above.
  std::size_t SealRepair(const PacketCut& cut, BytesView packet, Nanos now, MutableBytes out, Work& work,
                         unsigned path = 0);
  // A feedback or a probe around `text`, sealed by the newest key.
  std::size_t SealMessage(wire::ShardType type, BytesView text, MutableBytes out, Work& work,
                          unsigned path = 0);

  std::size_t FragmentDatagramBytes(const PacketCut& cut, std::size_t index) const {
    return overhead() + wire::FragmentBytes(cut.length, cut.total, index);
  }
  // What a datagram of this session adds to the bytes of the packet that are in it.
  std::size_t overhead() const {
    return wire::ShardDatagramBytes(wire::ShardType::kData, has_uuid_, 0, has_paths_);
  }

 private:
  // What went by a path.
  struct Went {
    std::uint64_t last = 0;  // number
    std::uint32_t same = 0;  // that it said
    bool has_any = false;
  };
  wire::PathHeader NextBy(unsigned path, std::uint64_t number);
  // Writes what is in clear, and seals `text`, which may lie at its place in `out` already.
  std::size_t Write(wire::ShardType type, const PacketCut& cut, std::size_t index, std::uint64_t number,
                    BytesView text, Nanos now, MutableBytes out, Work& work, unsigned path);
  bool MayNumber(const PacketCut& cut) const;

  EpochKeys keys_;
  std::uint32_t session_;
  bool has_uuid_;
  bool has_paths_;
  std::uint64_t next_ = 0;
  std::array<Went, wire::kMostPaths> went_{};
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_SHARDER_H_
