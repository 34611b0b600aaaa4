// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_UNIT_H_
#define FOREFLOW_MODELS_SHARD_UNIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/base/work.h"
#include "models/crypto/aead.h"
#include "models/shard/congestion_monitor.h"
#include "models/shard/feedback.h"
#include "models/shard/gap_detector.h"
#include "models/shard/opener.h"
#include "models/shard/path_chooser.h"
#include "models/shard/path_mtu.h"
#include "models/shard/reassembler.h"
#include "models/shard/retransmission_buffer.h"
#include "models/shard/size_controller.h"
#include "models/shard/unit_verdict.h"
#include "models/shard/unit_work.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {

// What a guest asks of its unit, for all its packets to one peer.
enum class Preference : std::uint8_t {
  kBandwidth,   // splits where the path's MTU demands it or where it sends fewer bytes
  kLatency,     // splits also where that shortens the way over several links or paths
  kRobustness,  // splits into UnitConfig::robust_fragments, and each packet has a repair
};
constexpr std::size_t kPreferences = static_cast<std::size_t>(Preference::kRobustness) + 1;
// The snake_case name; nullptr out of range.
const char* Name(Preference preference);

// Which packets get a fragment more, from which any single lost one is computed.
enum class RepairRule : std::uint8_t {
  kNever,
  kPreferred,  // those of peers that prefer robustness
  kSplit,      // also those of more than one fragment
  kAlways,     // all: of a packet in one fragment, a copy
};

struct UnitConfig {
  std::size_t peers = 1;                 // 1 .. 256
  std::size_t most_packet_bytes = 1514;  // of a frame from or to the host, 1 .. 65535; must fit
                                         // reassembler.most_fragments fragments of the least path MTU
  bool has_uuid = false;                 // fragments repeat the packet's UUID, 16 B each

  // Memory, in all; each peer has a share of 1 / peers of it, and more only while nobody else needs it.
  std::size_t held_packets = 4096;  // copies kept to be sent again, of most_packet_bytes each: peers .. 2^20
  // sessions is set to peers; held, 8192 here, is in buffers of mtu.most bytes.
  ReassemblerConfig reassembler = [] {
    ReassemblerConfig config;
    config.held = 8192;
    return config;
  }();
  OpenerConfig opener;  // sessions is set to peers, rounded up to a power of two

  RetransmissionConfig retransmission;  // of each peer, as is all that follows
  GapDetectorConfig gaps;               // paths is set to their number
  FeedbackConfig feedback;
  CongestionMonitorConfig monitor;  // of each path to a peer, as are
  PathMtuConfig mtu;
  SizeControllerConfig size;  // overhead is set to what a datagram adds on the wire
  bool has_tail_probe = true;

  RepairRule repair = RepairRule::kPreferred;
  Nanos repair_after = Micros(300);  // a repair follows its packet by so much: 0 .. 1 s
  std::size_t robust_fragments = 4;  // of packets of peers that prefer robustness, where least_bytes allows
  Preference preference = Preference::kBandwidth;  // until SetPreference

  // A path each, 1 .. 16 of them: 1 .. 65535. The peer has as many. Where there are several, each datagram
  // carries 4 B more (wire::PathHeader).
  std::vector<std::uint32_t> path_weights = {1};
  PathRule path_rule = PathRule::kFlow;

  // A key that has sealed so much is not used any more (verdict key_spent): 1 .. 2^48 bytes of text.
  std::uint64_t most_key_bytes = std::uint64_t{1} << 38;

  Nanos tick = Micros(50);  // grid of the timers: 1 us .. 10 ms
  Nanos start;              // of the clock; no call has an earlier time
};

// A datagram's payload on its way out, to be wrapped in UDP with Don't Fragment.
struct UnitDatagram {
  std::size_t peer = 0;
  unsigned path = 0;
  wire::ShardType type = wire::ShardType::kData;
  std::uint8_t ecn = 0;    // for the IP header
  std::uint16_t flow = 0;  // for the UDP source port, so that switches keep a flow on one way
  BytesView bytes;         // valid during the call
};

// A packet made whole, on its way to the host.
struct UnitPacket {
  std::size_t peer = 0;
  std::uint64_t base = 0;  // its name: number of its first fragment in the peer's session
  std::uint8_t ecn = 0;    // of the outer headers of its fragments together; 3: congestion experienced
  Nanos waited;            // since its first fragment came
  BytesView bytes;         // valid during the call
};

// What comes out of a unit. Nothing of the unit may be called from here.
class UnitSink {
 public:
  virtual void OnDatagram(const UnitDatagram& datagram) = 0;
  virtual void OnPacket(const UnitPacket& packet) = 0;

 protected:
  ~UnitSink() = default;
};

// A packet from the host: a whole Ethernet frame without its check sequence. A unit is a wire for frames.
struct HostPacket {
  std::size_t peer = 0;
  BytesView bytes;
  std::uint8_t ecn = 0;    // of the packet inside: goes onto all its fragments
  std::uint16_t flow = 0;  // a hash of its flow
};

// What became of a datagram; the peer means something where its session is known.
struct Received {
  UnitVerdict verdict = UnitVerdict::kMalformed;
  std::size_t peer = 0;
};

// What went by one path to a peer, in this session and those before.
struct PathUse {
  std::uint64_t datagrams = 0, bytes = 0;  // of payload
  std::uint64_t lost =
      0;  // datagrams of which the peer's feedback says so; none of its own and of the MTU's probes
};

// What a guest may know of its channel: nothing of keys, fragments or probes.
struct GuestStatistics {
  std::uint64_t sent = 0, sent_bytes = 0;            // packets taken from the host
  std::uint64_t refused = 0;                         // packets that were not
  std::uint64_t delivered = 0, delivered_bytes = 0;  // packets given to the host
};

// A packet dynamics unit: everything of this room together, both directions of every peer. It cuts, seals and
// sends what the host gives it, opens and puts together what the network brings, asks for what was lost,
// sends again what was asked for, and learns of the path while it does.
//
// Time: `now` never runs backwards. Whatever is due by time happens on a grid of `tick`, before the call that
// passes it: so what happens depends on the packets and their times alone, and never on how often Advance is
// called. After a call, NextTick is the earliest time at which Advance would do something.
//
// Sessions: a session number is chosen by the unit that receives it, and its low bits are the peer's index:
// session % places() == peer. A peer that starts anew has new sessions and new keys (Begin).
//
// Memory: all taken here. A datagram that does not verify changes nothing but counts. One thread. Nothing
// allocates or throws after set-up.
class Unit {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit Unit(const UnitConfig& config);
  ~Unit();
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

  // Session numbers in one round: peers, rounded up to a power of two.
  std::size_t places() const;
  // The peer is, or starts anew, under these session numbers: no keys, nothing received, nothing sent; what
  // was under way is given up. receiving_session % places() == peer. False, and nothing changes, otherwise.
  bool Begin(std::size_t peer, std::uint32_t sending_session, std::uint32_t receiving_session, Nanos now,
             UnitSink& sink, UnitWork& work);
  // New keys of a session that has begun: two epochs live, the one before the last is erased. False, and
  // nothing changes: the peer has not begun, or the epoch lives already. A peer that can open the new epoch
  // must be there before it is sent: so the receiving key first, at both ends, then the sending key.
  bool InstallReceivingKey(std::size_t peer, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                           const std::uint8_t* key);
  bool InstallSendingKey(std::size_t peer, std::uint8_t epoch, crypto::AeadAlgorithm cipher,
                         const std::uint8_t* key);
  // Erases the keys before the newest ones.
  void RetireKeys(std::size_t peer);
  // Erases all keys and forgets the sessions.
  void End(std::size_t peer, Nanos now, UnitSink& sink, UnitWork& work);
  bool IsReady(std::size_t peer) const;  // has keys of both directions
  // What the newest sending key has sealed.
  struct KeyUse {
    std::uint64_t messages = 0, bytes = 0;
  };
  KeyUse key_use(std::size_t peer) const;

  void SetPreference(std::size_t peer, Preference preference);

  // kSent, or a verdict of what is not sent.
  UnitVerdict Send(const HostPacket& packet, Nanos now, UnitSink& sink, UnitWork& work);
  // A UDP payload from the network, which is decrypted in place. `ecn` of its IP header.
  Received Receive(MutableBytes datagram, std::uint8_t ecn, Nanos now, UnitSink& sink, UnitWork& work);
  // Of GapRule::kClairvoyant: this number of the peer's session was lost, and would have come now.
  void TellLost(std::size_t peer, std::uint64_t number, Nanos now, UnitSink& sink, UnitWork& work);
  // Whatever is due by `now`.
  void Advance(Nanos now, UnitSink& sink, UnitWork& work);
  Nanos NextTick() const;

  GuestStatistics Statistics(std::size_t peer) const;
  // Of each path to a peer, 0 .. paths() - 1.
  std::size_t paths() const;
  CongestionReport Report(std::size_t peer, Nanos now, std::size_t path = 0) const;
  const SizeChoice& Choice(std::size_t peer, std::size_t path = 0) const;
  std::size_t path_mtu(std::size_t peer, std::size_t path = 0) const;  // bytes of UDP payload
  PathUse path_use(std::size_t peer, std::size_t path = 0) const;

  // By verdict of Send and Receive: their sum is the number of calls.
  using Counts = std::array<std::uint64_t, kUnitVerdicts>;
  const Counts& counts() const;
  // Datagrams that went out, by what they were; the last is what of kData was sent again.
  struct Sent {
    std::uint64_t data = 0, repairs = 0, feedback = 0, probes = 0, mtu_probes = 0, resent = 0, bytes = 0;
  };
  const Sent& sent() const;
  // Fragments of packets by what became of them at last; kHeld is what is held now.
  const Reassembler::Counts& fragments() const;
  std::size_t packets_under_way() const;  // that some fragments have come of
  std::size_t held_packets() const;       // that may be sent again: buffers in use
  std::size_t held_fragments() const;     // of packets under way: buffers in use
  // Of one peer.
  const GapDetector& gaps(std::size_t peer) const;
  const RetransmissionBuffer& retransmission(std::size_t peer) const;
  std::size_t held_packets(std::size_t peer) const;
  std::size_t held_fragments(std::size_t peer) const;
  std::size_t bytes() const;  // of all its memory

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_UNIT_H_
