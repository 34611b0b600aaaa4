// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_PACKET_LIFE_H_
#define FOREFLOW_MODELS_SHARD_PACKET_LIFE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/crypto/aead.h"
#include "models/shard/unit_pair.h"

namespace foreflow::shard {

// Why a datagram with a part of a packet was sent.
enum class SendCause : std::uint8_t {
  kCut,        // the packet came
  kAsked,      // the receiver missed it
  kTailProbe,  // nothing had been heard of the newest for long
  kRepair,     // by rule
};
constexpr std::size_t kSendCauses = static_cast<std::size_t>(SendCause::kRepair) + 1;
// The snake_case name; nullptr out of range.
const char* Name(SendCause cause);

// Why the receiver asked for a number.
enum class AskCause : std::uint8_t {
  kGap,    // later numbers had come by its path for as long as the rule waits
  kEarly,  // the predictor said so before the window had passed
  kTail,   // nothing came after it
  kAgain,  // it had been asked for, and did not come
};
constexpr std::size_t kAskCauses = static_cast<std::size_t>(AskCause::kAgain) + 1;
const char* Name(AskCause cause);

// What happened to one packet between two units. Times are since the pair's beginning; kNever: not at all.
struct PacketLife {
  static constexpr Nanos kNever{-1};
  struct Arrival {
    Nanos at;
    bool is_changed = false;  // a byte of it, on the way
    UnitVerdict verdict = UnitVerdict::kMalformed;
  };
  // A datagram with a part of it.
  struct Datagram {
    std::uint64_t number = 0;    // its own, in the first unit's session
    std::uint64_t original = 0;  // under which this part went first
    std::size_t index = 0;       // of the part; of a repair 0
    SendCause cause = SendCause::kCut;
    std::uint8_t epoch = 0;  // of the key that sealed it
    unsigned path = 0;
    std::size_t bytes = 0;  // of UDP payload
    Nanos sent;
    impair::Fate fate = impair::Fate::kPassed;
    bool is_late = false;           // overtaken
    std::vector<Arrival> arrivals;  // none, one, or two of one that was repeated
  };
  // A request for one of their numbers.
  struct Request {
    std::uint64_t number = 0;
    AskCause cause = AskCause::kGap;
    Nanos sent;
    Nanos missing;     // for so long, since a later number came by its path; kNever where none had
    Nanos window;      // of the detector, when it was missed; kNever where it was not
    unsigned nth = 1;  // request for this number
    impair::Fate fate = impair::Fate::kPassed;
    Nanos heard = kNever;  // by the sender
  };
  std::size_t total = 0;  // fragments
  std::vector<Datagram> datagrams;
  std::vector<Request> requests;
};

// The lives of all packets that pass a pair of units, from what its tap is told and from the requests that
// the second unit seals, which it opens. For replays: it remembers everything.
class PacketLives final : public UnitPairTap {
 public:
  explicit PacketLives(const UnitPairConfig& config);

  // By frame, as UnitPair::frames.
  const std::vector<PacketLife>& lives() const { return lives_; }

  void OnDatagram(std::size_t from, const UnitDatagram& datagram, Nanos now) override;
  void OnFrame(std::size_t, BytesView, Nanos) override {}
  void OnInput(std::size_t frame) override;
  void OnPassage(const PairPassage& passage) override;
  void OnArrival(const PairArrival& arrival, const Unit& unit) override;
  void OnVerdict(const PairArrival& arrival, UnitVerdict verdict, const Unit& unit, Nanos now) override;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  // A number of the first unit's session.
  struct Number {
    std::size_t life = kNone;  // of a packet's part
    std::size_t datagram = 0;  // of that life
    unsigned path = 0;
    bool has_come = false;
    Nanos found = PacketLife::kNever;  // a later number had come by its path
    Nanos window = PacketLife::kNever;
    unsigned asked = 0;
  };
  struct Ask {
    std::size_t life = kNone;
    std::size_t request = 0;
  };

  void OnPart(const UnitDatagram& datagram, const wire::ShardMessage& message, Nanos now);
  void OnFeedback(const wire::ShardMessage& message, Nanos now);
  void OnAsk(std::uint64_t number, Nanos now);
  void OnCome(std::uint64_t number, const Unit& unit, Nanos now);
  bool IsAskedFor(std::size_t life, std::size_t index) const;

  GapRule rule_;
  crypto::AeadKey back_key_;
  std::vector<PacketLife> lives_;
  std::vector<Number> numbers_;
  std::vector<std::uint64_t> passed_there_;    // numbers, by datagram on the way there
  std::vector<std::vector<Ask>> passed_back_;  // requests, by datagram on the way back
  std::vector<std::uint64_t> looked_at_;       // by path: numbers below came, or are known to be missing
  Nanos window_;                               // of the second unit's detector, before what it looks at
  std::size_t input_ = kNone;                  // the packet that is being cut
  std::vector<Ask> asks_;                      // of the datagram that leaves the second unit
  std::uint64_t leaving_ = 0;                  // number of the one that leaves the first
  const std::vector<Ask>* heard_ = nullptr;    // of the datagram that the first unit looks at
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_PACKET_LIFE_H_
