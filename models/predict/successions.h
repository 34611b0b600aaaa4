// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_SUCCESSIONS_H_
#define FOREFLOW_MODELS_PREDICT_SUCCESSIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/work.h"

namespace foreflow::predict {

// How often a successor that was seen `count` times of `total` comes true: measured, over all senders, and
// before there is a measure count / (total + 1). Counts fade by halving. (Secondary estimation, as PPMZ does
// for its escapes: Bloom 1998.)
class SuccessionOdds {
 public:
  enum class Context : std::uint8_t {
    kTwo,     // of the last two symbols
    kOne,     // of the last one, where nothing is known of the two
    kBehind,  // of the last one, for a successor that the two do not name
  };
  static constexpr std::size_t kContexts = 3;

  // A successor that was seen `count` times of `total` was named, and came next or did not.
  void Score(Context context, std::uint8_t count, std::uint8_t total, bool came);
  // 65535 = 1. 1 <= count <= total.
  std::uint16_t Of(Context context, std::uint8_t count, std::uint8_t total) const;

 private:
  static constexpr std::size_t kClasses = 5;  // 0, 1, 2 to 3, 4 to 7, 8 and more
  struct Record {
    std::uint32_t came = 0;
    std::uint32_t scored = 0;
  };
  static std::size_t ClassOf(std::uint8_t count);
  std::size_t At(Context context, std::uint8_t count, std::uint8_t total) const;

  std::array<Record, kContexts * kClasses * kClasses> records_;
};

// What follows what in one sender's sequence of symbols: the few most frequent successors of the last two
// symbols, and behind these of the last one alone, with the odds that they come next (prediction by partial
// matching with exclusion: Cleary and Witten 1984). Two symbols tell apart sequences that share one.
//
// Bounded: of more contexts than there is room for, the one unused for longest of four goes; places of
// successors are handed over as SuccessorTable does. No allocation after construction.
class Successions {
 public:
  static constexpr std::size_t kMost = 4;  // successors that are kept a context
  struct Next {
    std::uint32_t symbol = 0;
    std::uint16_t confidence = 0;  // 65535 = 1
  };

  // Throws Refusal unless 1 <= contexts <= 2^20; rounded up to a power of two of at least 4.
  explicit Successions(std::size_t contexts);

  // The next symbol; another than the one before.
  void See(std::uint32_t symbol, SuccessionOdds& odds, Work& work);
  // Which come next, the likeliest first; returns how many were written (<= limit).
  std::size_t Predict(Next* out, std::size_t limit, const SuccessionOdds& odds, Work& work) const;
  std::size_t bytes() const { return contexts_.size() * sizeof(Context); }

 private:
  struct Context {
    std::uint64_t tag = 0;  // 0: free
    std::uint32_t used = 0;
    std::uint8_t total = 0;
    std::array<std::uint8_t, kMost> count{};
    std::array<std::uint32_t, kMost> symbol{};

    bool Names(std::uint32_t next) const;
  };
  static constexpr std::size_t kWays = 4;

  // Of the last symbol (1) or the last two (2).
  std::uint64_t TagOf(std::size_t symbols) const;
  std::size_t SetOf(std::uint64_t tag) const { return (tag >> 8 & (contexts_.size() / kWays - 1)) * kWays; }
  const Context* Find(std::size_t symbols) const;
  Context& FindOrAdd(std::size_t symbols);
  void Learn(Context& context, std::uint32_t next);

  std::vector<Context> contexts_;
  std::uint32_t last_ = 0;
  std::uint32_t before_ = 0;
  std::size_t seen_ = 0;  // symbols, up to 2
  std::uint32_t serial_ = 0;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SUCCESSIONS_H_
