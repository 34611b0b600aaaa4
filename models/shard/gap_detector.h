// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_GAP_DETECTOR_H_
#define FOREFLOW_MODELS_SHARD_GAP_DETECTOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/flow/expiry_wheel.h"
#include "models/shard/channel_model.h"
#include "models/shard/loss_filter.h"
#include "models/shard/loss_predictor.h"
#include "models/wire/fragment.h"

namespace foreflow::shard {

enum class GapRule : std::uint8_t {
  kNone,         // never asks
  kFixed,        // `wait` after a number was found missing
  kThree,        // once three later numbers have come (RFC 5681's three duplicates)
  kRack,         // a reordering window in time that adapts (RFC 8985, section 6.2)
  kLearned,      // as kRack, or earlier where the predictor says so
  kEwma,         // after the mean lateness and four of its deviations, both smoothed (RFC 6298's form)
  kBayes,        // once it is lost with `predictor.certainty`, by the channel's true law (loss_filter.h)
  kClairvoyant,  // as soon as what was lost would have come; it is told (OnLost)
};

struct GapDetectorConfig {
  GapRule rule = GapRule::kRack;
  std::size_t numbers = 8192;  // that are remembered, back from the highest: a power of two, 64 .. 2^20; more
                               // than arrive in a round trip
  std::size_t gaps = 1024;     // missing numbers watched at once, 1 .. numbers
  Nanos wait = Millis(1);      // of kFixed
  Nanos tick = Micros(1);      // grain of time
  unsigned asks = 3;           // for a number at most: 1 .. 15
  std::size_t paths = 1;       // of the sender, 1 .. 16; further ones are taken for the last
  Nanos start;
  LossPredictorConfig predictor;
  ChannelModel channel;  // of kBayes, and of each path
};

// By which path of its sender a message came.
struct SentBy {
  bool is_only = true;  // it has no other
  wire::PathHeader path;
};

// Finds at the receiver, for one session, which numbers were lost, and says when to ask for them. A number is
// missing when a later one comes by its own path, since paths may take unequal times; it is asked for when it
// has been missing for a time (see GapRule), and again, up to `asks` times, a round trip and a window later,
// twice that, and so on. RFC 8985's window: a quarter of the least round trip, as much more for every round
// trip in which something asked for came after all, at most a smoothed round trip; back to a quarter after 16
// round trips without.
//
// The numbers after the last that came are missing too if a packet has them: its fragments tell how many
// there are. They are asked for when nothing has come for two windows and a quarter of the round trip (the
// tail).
//
// Messages say which numbers before them went by their path. What no message speaks of, since many in a row
// were lost, is taken for missing once the slowest path would have brought it, and a window has passed. Each
// path has a window, a predictor and a filter of its own.
//
// kBayes and kClairvoyant know what no receiver can: they are there to measure the others by.
//
// Memory: 5 B a number, 56 B a gap, 2 KiB a path, taken at set-up; of kThree 16 B more a gap and path. What
// is missing beyond `gaps` is not watched and left to the sender's own probes; it is counted. One thread.
// Work: an update each number found missing or asked for.
class GapDetector {
 public:
  // Throws Refusal on values outside the ranges above.
  explicit GapDetector(const GapDetectorConfig& config);

  // A session begins: nothing came. What the predictor learnt of the path stays, and so do the counts.
  void Clear();

  // The least and the smoothed round trip by a path; 1 ms each until then.
  void SetRoundTrip(Nanos least, Nanos smoothed, std::size_t path = 0);

  // A verified message with this number came. Calls must be in order of time.
  void OnNumber(std::uint64_t number, Nanos now, Work& work, const SentBy& by = {});
  // A fragment with the number `original` came under another number: it need not be asked for any more, and
  // had been lost, or delayed until now.
  void OnSentAgain(std::uint64_t original, Nanos now);
  // Numbers up to `last` were sent: those of a packet, one of whose fragments came.
  void Expect(std::uint64_t last, Nanos now);

  // Of kClairvoyant, which looks for nothing itself: this number was lost, and would have come now.
  void OnLost(std::uint64_t number, Nanos now, Work& work);

  // The next number to ask for by `now`; false where there is none. The earliest first.
  bool NextAsk(Nanos now, std::uint64_t& number, Work& work);

  std::uint64_t highest() const { return highest_; }  // of the numbers that came
  bool HasAny() const { return has_any_; }
  // Bit i: number highest - 64 * word - i came. Beyond what is remembered: 0.
  std::uint64_t ReceivedWord(std::size_t word) const;
  Nanos window(std::size_t path = 0) const { return paths_[path].window; }

  struct Counts {
    std::uint64_t received = 0;
    std::uint64_t missing = 0;    // found missing
    std::uint64_t asked = 0;      // asked for at least once
    std::uint64_t requests = 0;   // with those asked for again
    std::uint64_t late = 0;       // missing, and came before being asked for
    std::uint64_t spurious = 0;   // asked for, and came after all
    std::uint64_t unwatched = 0;  // missing while all gaps were taken
  };
  const Counts& counts() const { return counts_; }
  const LossPredictor& predictor() const { return predictor_; }

 private:
  using Gap = std::uint32_t;
  static constexpr Gap kNone = 0xffffffffu;
  static constexpr std::uint8_t kNoPath = 255;  // it is not known
  struct Watched {
    std::uint64_t number = 0;
    Nanos found;
    std::uint8_t asks = 0;
    std::uint8_t context = 0;
    std::uint8_t path = 0;
    bool is_open = false;  // it may still come in its turn, by a slower path
    bool took_token = false;
    Gap next_free = kNone;
  };

  struct InOrder {
    std::uint64_t number = 0;
    std::uint64_t received = 0;  // numbers that had come by its path when it was found
  };

  struct Path {
    bool IsUsed() const { return has_any || is_measured; }

    std::uint64_t received = 0;
    std::uint64_t next = 0;  // numbers below came by it, or were found missing, or went elsewhere
    bool has_any = false;
    bool is_measured = false;  // its round trip is known
    std::uint64_t run = 0;     // numbers since the last gap
    Nanos least = Millis(1), smoothed = Millis(1), window = Millis(1) / 4;
    unsigned quarters = 1;      // of the least round trip: the window
    Nanos widened;              // when the window last grew
    Nanos lateness, deviation;  // of kEwma
    bool has_lateness = false;
    std::optional<LossFilter> filter;  // of kBayes
    std::vector<InOrder> in_order;     // of kThree: a ring of what was found
    std::uint64_t order_first = 0, order_last = 0;
  };

  std::size_t PlaceOf(std::uint64_t number) const { return number & (received_.size() * 64 - 1); }
  bool IsReceived(std::uint64_t number) const {
    return (received_[PlaceOf(number) / 64] >> number % 64 & 1) != 0;
  }
  void Advance(std::uint64_t next);
  void AskAfterThree(Path& path, Nanos now);
  void Find(std::uint64_t first, std::uint64_t last, Nanos now, bool is_tail, Work& work);
  void Await(std::uint64_t first, std::uint64_t last, Nanos now, Nanos wait, Work& work);
  void Overtake(std::uint64_t number, std::size_t path, std::uint32_t same, Nanos now, Work& work);
  void Came(Gap gap, Nanos now);
  GapSigns SignsOf(Path& path, std::uint64_t run, Nanos now);
  void AskLater(Watched& watched, std::uint64_t back, Nanos now, Work& work);
  std::uint32_t ReceivedBefore(std::uint64_t number) const;
  Nanos OpenWait() const;
  void Compare();
  // A place to watch `number` from; nullptr where all are taken.
  Watched* Watch(std::uint64_t number, Nanos now, Work& work);
  Nanos WaitFor(Watched& watched, std::uint64_t back, Work& work);
  static void SmoothLateness(Path& path, Nanos lateness);
  void Release(Gap gap);
  void Widen(Path& path, Nanos now);
  static void SetWindow(Path& path);
  Gap GapOf(std::uint64_t number) const;

  GapRule rule_;
  Nanos wait_;
  unsigned asks_;
  LossPredictor predictor_;
  double certainty_;
  std::vector<std::uint64_t> received_;
  std::vector<Gap> gap_of_;  // a number's place: the gap that watches it
  std::vector<Watched> watched_;
  std::vector<Path> paths_;
  bool has_paths_ = false;  // the sender has several
  std::size_t slowest_ = 0;
  Nanos apart_;  // how much longer the slowest path takes than the fastest
  Nanos quiet_;  // so long after the last arrival the tail is asked for
  // What may still come in its turn, in order of numbers: a ring. Some have come since.
  std::vector<std::uint64_t> open_;
  std::uint64_t open_first_ = 0, open_last_ = 0;
  std::vector<Gap> overtaken_;  // of Overtake
  flow::ExpiryWheel wheel_;
  Gap free_ = 0;
  std::uint64_t next_ = 0;  // numbers below came, or were found missing
  std::uint64_t highest_ = 0;
  bool has_any_ = false;
  std::uint64_t expected_ = 0;  // numbers below were sent
  Nanos quiet_until_;           // the tail is asked for then
  Counts counts_;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_GAP_DETECTOR_H_
