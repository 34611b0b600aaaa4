// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_IMPAIR_IMPAIRMENT_H_
#define FOREFLOW_MODELS_IMPAIR_IMPAIRMENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/rng.h"
#include "models/base/units.h"

namespace foreflow::impair {

// Losses that come in bursts: a channel that is good or bad (Gilbert 1960, Elliott 1963). It may change
// before each datagram, with the probabilities given; or, where both mean times are above 0, at any time,
// whatever is sent. It starts as a channel that has run for ever.
struct BurstLoss {
  double to_bad = 0;     // from good, before a datagram: 0 .. 1, not both 0
  double to_good = 1;    // from bad
  Nanos good;            // or: mean times in either state, exponentially distributed: 1 us .. 1 h
  Nanos bad;             //
  double loss_good = 0;  // of datagrams in either state, 0 .. 1
  double loss_bad = 1;
};

// How PathConfig::jitter is distributed.
enum class JitterShape : std::uint8_t { kUniform, kExponential };

// One way from here to there. The default passes everything at once.
struct PathConfig {
  // The queue before it: first come, first served.
  BitsPerSecond rate;                    // 0: no queue; or 1000 .. 10^12
  std::size_t queue_bytes = 256 * 1024;  // with framing, that have not left yet: 1 .. 2^30
  std::size_t mark_bytes = std::size_t{1}
                           << 30;      // a datagram that finds so many or more is marked: 1 .. 2^30
  std::size_t largest_bytes = 65'535;  // of a datagram that passes, without framing: 1 .. 65535

  // Losses, each for itself.
  double loss = 0;  // of datagrams, 0 .. 1
  BurstLoss burst;
  double bit_errors = 0;  // of bits, with framing; one error loses the datagram: 0 .. 1

  // Times, each 0 .. 1 h.
  Nanos delay;   // of every datagram
  Nanos jitter;  // mean of what comes on top: uniform in 0 .. 2 x jitter, or exponential
  JitterShape shape = JitterShape::kUniform;
  bool keeps_order = false;  // jitter lets none overtake
  double late = 0;           // of datagrams, 0 .. 1: overtaken, since later by
  Nanos late_least;          //   uniform in least .. most
  Nanos late_most;

  double duplicate = 0;   // of datagrams that pass, 0 .. 1
  Nanos duplicate_after;  // the copy, with a jitter of its own
  double corrupt = 0;     // of copies: one byte changes, 0 .. 1
};

constexpr std::uint32_t kMostPaths = 16;

struct ImpairmentConfig {
  std::vector<PathConfig> paths = std::vector<PathConfig>(1);  // 1 .. kMostPaths
  // On the wire around what is passed, for rate and bit errors: UDP 8, IPv4 20, Ethernet 38.
  std::size_t framing_bytes = 66;  // 0 .. 1024
};

// What became of a datagram: the first that applies, in order of Impairment's steps.
enum class Fate : std::uint8_t {
  kPassed,
  kTooLarge,    // for the path
  kQueueFull,   // of PathConfig::queue_bytes
  kRandomLoss,  // PathConfig::loss
  kBurstLoss,   // PathConfig::burst
  kBitErrors,   // PathConfig::bit_errors
};
constexpr std::size_t kFates = static_cast<std::size_t>(Fate::kBitErrors) + 1;
// The snake_case name; nullptr out of range.
const char* Name(Fate fate);

// What becomes of one datagram.
struct Passage {
  struct Copy {
    Nanos at;               // it arrives
    std::size_t place = 0;  // the byte, from 0, that
    std::uint8_t flip = 0;  // is XORed with this; 0: none is
  };
  Fate fate = Fate::kPassed;
  bool is_marked =
      false;  // the queue was long: congestion experienced, where the sender says that it heeds it
  std::size_t copies = 0;  // 0 where lost
  std::array<Copy, 2> copy;
};

// A network in between that loses, delays, reorders, repeats and changes datagrams: says what becomes of
// each, and leaves the bytes to the caller. All of it is a function of configuration, seed, and the
// datagrams' paths, sizes and times. Each model draws from a stream of its own, at every datagram that left
// the queue, whether others lose it or not: to change one changes no other's numbers.
//
// In order: size, queue, losses, then delay, duplication and corruption of what is left. Under 1 KiB a path,
// taken at set-up. One thread.
class Impairment {
 public:
  // `index` tells impairments of one seed apart. Throws Refusal on values outside the ranges above.
  Impairment(const ImpairmentConfig& config, std::uint64_t seed, std::uint32_t index = 0);

  // `bytes` without framing. Paths count modulo their number. `now` does not run backwards.
  Passage Pass(std::size_t path, std::size_t bytes, Nanos now);

  std::size_t paths() const { return paths_.size(); }

  // in = fates, summed; out = fates[kPassed] + duplicated.
  struct Counts {
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    std::array<std::uint64_t, kFates> fates{};
    std::uint64_t duplicated = 0;
    std::uint64_t corrupted = 0;  // copies
    std::uint64_t late = 0;       // datagrams
    std::uint64_t marked = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  static constexpr std::size_t kBits = 20;  // of the number of bits of a datagram with framing

  struct Path {
    Path(const PathConfig& given, std::uint64_t seed, std::uint32_t stream);

    PathConfig config;
    Rng loss, burst, bits, jitter, late, duplicate, corrupt;
    bool has_begun = false;
    bool is_bad = false;
    Nanos changes_at;                  // the state does, of bursts in time
    Nanos free_at;                     // the queue is empty then,
    std::uint64_t rest = 0;            // and this / rate nanoseconds later
    Nanos queue_time;                  // of queue_bytes at rate
    Nanos mark_time;                   // of mark_bytes
    Nanos last;                        // arrival, where order is kept
    std::array<double, kBits> pass{};  // (1 - bit_errors)^(2^k)
  };

  // Through the queue; false where it is full.
  bool Enqueue(Path& path, std::size_t bytes, Nanos now, Nanos& leaves, bool& is_marked) const;
  static bool IsLostInBurst(Path& path, Nanos now);
  bool HasBitError(Path& path, std::size_t bytes) const;

  std::size_t framing_bytes_;
  std::vector<Path> paths_;
  Counts counts_;
};

}  // namespace foreflow::impair

#endif  // FOREFLOW_MODELS_IMPAIR_IMPAIRMENT_H_
