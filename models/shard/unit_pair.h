// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_UNIT_PAIR_H_
#define FOREFLOW_MODELS_SHARD_UNIT_PAIR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/bytes.h"
#include "models/base/units.h"
#include "models/crypto/digest.h"
#include "models/impair/link.h"
#include "models/shard/unit.h"

namespace foreflow::shard {

// What a capture is replayed through: two units with fixed keys and an impaired network between them.
struct UnitPairConfig {
  UnitConfig unit;                 // of both; peers is set to 1
  impair::ImpairmentConfig forth;  // from the first unit, which has the frames, to the second,
  impair::ImpairmentConfig back;   // and back
  std::uint64_t seed = 1;          // of the network
  // The same bytes on every machine, so none whose presence depends on the processor is the default.
  crypto::AeadAlgorithm cipher = crypto::AeadAlgorithm::kChaCha20Poly1305;
  std::array<std::uint8_t, 32> key{};  // of the first unit's sending; the second's is its complement
  Nanos warm_up = Millis(200);         // before the first frame: the units get to know the path, 0 .. 1 h

  // By who sends.
  std::array<std::array<std::uint8_t, 32>, 2> SendingKeys() const;
};

// What became of a frame.
enum class FrameFate : std::uint8_t {
  kUnderWay,  // until Finish
  kOut,
  kRefused,  // by the first unit
  kMarked,   // whole, but congestion was marked and its sender does not heed that (RFC 6040)
  kLost,     // never whole
};
constexpr std::size_t kFrameFates = static_cast<std::size_t>(FrameFate::kLost) + 1;

// The snake_case name; nullptr out of range.
const char* Name(FrameFate fate);

// What the network makes of a datagram that has left a unit.
struct PairPassage {
  std::size_t from = 0;
  std::uint64_t datagram = 0;  // its number on this way, from 1
  impair::Fate fate = impair::Fate::kPassed;
  bool is_late = false;  // others overtake it
};
// A copy of it at the other unit.
struct PairArrival {
  std::size_t to = 0;
  std::uint64_t datagram = 0;
  bool is_changed = false;  // a byte of it
};

// Told of what passes, as it does: for captures, and for those who explain. Views are valid during the call.
class UnitPairTap {
 public:
  // A datagram leaves a unit; the network may lose it.
  virtual void OnDatagram(std::size_t from, const UnitDatagram& datagram, Nanos now) = 0;
  // A frame comes out of a unit.
  virtual void OnFrame(std::size_t to, BytesView frame, Nanos now) = 0;

  // The frame with this index is about to enter the first unit: what it is cut into follows.
  virtual void OnInput(std::size_t) {}
  // What becomes of the datagram that OnDatagram was last called for.
  virtual void OnPassage(const PairPassage&) {}
  // A unit is about to look at a copy of one, and what it said of it. `unit` is that one.
  virtual void OnArrival(const PairArrival&, const Unit& /*unit*/) {}
  virtual void OnVerdict(const PairArrival&, UnitVerdict, const Unit& /*unit*/, Nanos /*now*/) {}

 protected:
  ~UnitPairTap() = default;
};

// Two units, a network and their clock as one function of frames, times and a seed: every door hands it the
// frames of a run in order of time, and gets the same verdicts and bytes. It allocates as frames come in,
// since it remembers each frame's fate: for replays, not for a data path.
class UnitPair {
 public:
  // Throws Refusal on what a part refuses.
  explicit UnitPair(const UnitPairConfig& config, UnitPairTap* tap = nullptr);
  UnitPair(const UnitPair&) = delete;
  UnitPair& operator=(const UnitPair&) = delete;

  // The next frame; what happens before `now` has happened then. `now` from 0 on, in order.
  void Input(BytesView frame, Nanos now);
  // Nothing comes any more: runs until all is out or given up.
  void Finish();

  struct Frame {
    Nanos in;
    Nanos out;
    std::uint64_t base = 0;  // its name in the session
    std::uint32_t bytes = 0;
    UnitVerdict verdict = UnitVerdict::kSent;
    FrameFate fate = FrameFate::kUnderWay;
  };
  const std::vector<Frame>& frames() const { return frames_; }
  // SHA-256 over everything that happened, in order: each frame's verdict, each datagram out of either unit,
  // each verdict on one that arrived, each packet that came out, with their times. To be asked for once,
  // after Finish.
  std::array<std::uint8_t, 32> Fingerprint() { return digest_.Finish(); }

  // The key log of both directions (key_log.h): with it, all that was sealed is read.
  std::string KeyLog() const;

  const Unit& unit(std::size_t which) const { return units_[which]; }
  const impair::Link& link(std::size_t from) const { return links_[from]; }
  const UnitWork& work(std::size_t which) const { return works_[which]; }

 private:
  struct End final : UnitSink {
    End(UnitPair* of, std::size_t which) : pair(of), unit(which) {}
    void OnDatagram(const UnitDatagram& datagram) override { pair->OnDatagram(unit, datagram); }
    void OnPacket(const UnitPacket& packet) override { pair->OnPacket(unit, packet); }
    UnitPair* pair;
    std::size_t unit;
  };

  void OnDatagram(std::size_t from, const UnitDatagram& datagram);
  void OnPacket(std::size_t to, const UnitPacket& packet);
  void RunUntil(Nanos until);
  void Record(std::uint8_t what, std::uint64_t value, BytesView bytes);

  UnitPairConfig config_;
  UnitPairTap* tap_;
  std::array<Unit, 2> units_;
  std::array<impair::Link, 2> links_;  // by who sends
  std::array<End, 2> ends_;
  std::array<UnitWork, 2> works_;
  Nanos now_;
  bool is_sending_ = false;  // a frame, whose first datagram tells its base
  std::vector<Frame> frames_;
  std::vector<std::size_t> sent_;  // frames that the first unit took, in order of their bases
  std::vector<std::uint8_t> whole_;
  crypto::Sha256 digest_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_UNIT_PAIR_H_
