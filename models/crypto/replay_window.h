// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_REPLAY_WINDOW_H_
#define FOREFLOW_MODELS_CRYPTO_REPLAY_WINDOW_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"

namespace foreflow::crypto {

// Which record numbers have been seen: each is taken once. Bounded in records, by a bitmap that moves in
// words (RFC 6479), and in time: once a record has been there for `time`, those before it come too late, so
// that nobody can hold a record back for longer than twice that. The memory should hold what arrives in
// `time`.
class ReplayWindow {
 public:
  // Takes the memory. `records`: a power of two, at least 128; the window spans 64 fewer.
  void Resize(std::size_t records, Nanos time) {
    words_.assign(records / 64, 0);
    time_ = time;
    Clear();
  }
  void Clear() {
    std::fill(words_.begin(), words_.end(), 0);
    highest_ = mark_ = floor_ = 0;
    mark_at_ = Nanos();
  }

  enum class Verdict : std::uint8_t { kFresh, kReplayed, kStale };
  // What a record with this number would be. Numbers begin at 0.
  Verdict Look(std::uint64_t number, Nanos now) {
    Roll(now);
    const std::uint64_t place = number + 1;  // 0: none yet
    if (place == 0) return Verdict::kStale;
    if (place > highest_) return Verdict::kFresh;
    if (place <= floor_ || highest_ - place >= 64 * words_.size() - 64) return Verdict::kStale;
    return (Word(place) >> place % 64 & 1) != 0 ? Verdict::kReplayed : Verdict::kFresh;
  }
  // Takes a number that is fresh, once its record is known to be genuine. True: it is the highest so far.
  bool Take(std::uint64_t number) {
    const std::uint64_t place = number + 1;
    const bool is_highest = place > highest_;
    if (is_highest) {
      const std::uint64_t steps = std::min<std::uint64_t>(place / 64 - highest_ / 64, words_.size());
      for (std::uint64_t i = 0; i < steps; ++i) Word(place - 64 * i) = 0;
      highest_ = place;
    }
    Word(place) |= std::uint64_t{1} << place % 64;
    return is_highest;
  }

 private:
  std::uint64_t& Word(std::uint64_t place) { return words_[place / 64 & (words_.size() - 1)]; }
  // What was the highest `time` ago, or longer, is the floor. Nothing has come since the last of these times.
  void Roll(Nanos now) {
    if (now - mark_at_ < time_) return;
    floor_ = mark_;
    mark_ = highest_;
    mark_at_ += time_;
    if (now - mark_at_ < time_) return;
    floor_ = highest_;
    mark_at_ = now;
  }

  std::vector<std::uint64_t> words_;
  Nanos time_;
  std::uint64_t highest_ = 0;
  std::uint64_t mark_ = 0;  // the highest at mark_at_
  Nanos mark_at_;
  std::uint64_t floor_ = 0;  // this and what is below is stale
};

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_REPLAY_WINDOW_H_
