// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_LOSS_PREDICTOR_H_
#define FOREFLOW_MODELS_SHARD_LOSS_PREDICTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/base/work.h"

namespace foreflow::shard {

struct LossPredictorConfig {
  bool is_on = true;
  std::uint32_t certainty = 64'225;     // ask once a loss is so likely, 65536 = 1: 0.98
  std::uint32_t spurious_share = 1311;  // requests ahead of time that may be in vain, of all that a loss
                                        // proved right, 65536 = 1: 0.02
  std::uint32_t spurious_burst = 16;    // and so many besides: 1 .. 65535
  // By context, the share that was lost elsewhere, 65536 = 1 (loss_table.h). Empty: nothing is known
  // beforehand.
  std::vector<std::uint16_t> trained;
};

// What is seen as a number is found missing.
struct GapSigns {
  std::uint32_t run = 1;    // numbers missing side by side, 1 ..
  std::uint32_t since = 0;  // numbers received since the last gap
};

// When to ask for a missing number: not later than a given window, and earlier where what it learnt says that
// the number is lost. After waiting t, by Bayes, q / (q + (1 - q) S(t)) is how likely that is: q the share of
// numbers missing with such signs that were lost, S(t) the share of late ones that come later than t. Both
// are counted online; the least t at which that reaches `certainty` is waited for. The signs are what was
// seen with the gap and what became of the last 32 numbers missing. Until enough is seen with all of them, q
// is that of gaps with such a run at such a distance, and before that a trained table's, where there is one.
//
// Authority is bounded: it can only move a request ahead, and each request ahead takes one of
// `spurious_burst` tokens, which comes back if the number proves lost. So requests in vain are at most
// spurious_burst + spurious_share x those proved right, whatever the network or an adversary does; without
// tokens, and until it has seen enough, it says the window.
//
// Of several paths each is learnt for itself; the tokens are for all of them together.
//
// Integers only. Work: a table_step for each bin of S looked at.
class LossPredictor {
 public:
  static constexpr std::uint32_t kSigns = 1;  // version of what a context says
  static constexpr std::size_t kContexts = 256;
  static constexpr std::size_t kBins = 128;

  // `paths`: 1 .. , of which the functions below name one.
  explicit LossPredictor(const LossPredictorConfig& config, std::size_t paths = 1);

  // Upper half: length of the run and numbers since the last gap; lower half: what was lost lately.
  std::uint8_t ContextOf(const GapSigns& signs, std::size_t path = 0) const;
  // How long to wait with the request, 0 .. window. `took_token` tells whether that is ahead of the window;
  // OnLost or OnLate must then be told so.
  Nanos Wait(std::uint8_t context, Nanos window, bool& took_token, Work& work, std::size_t path = 0);
  // The number proved lost.
  void OnLost(std::uint8_t context, bool took_token, std::size_t path = 0);
  // It came after all, `lateness` after it was found missing. `was_asked`: after it had been asked for.
  void OnLate(std::uint8_t context, Nanos lateness, bool took_token, bool was_asked, std::size_t path = 0);

  // How likely a number missing in this context is lost, 65536 = 1; 32768 where nothing is known.
  std::uint32_t LossShare(std::uint8_t context, std::size_t path = 0) const;
  std::uint64_t early() const { return early_; }      // requests ahead of the window
  std::uint64_t in_vain() const { return in_vain_; }  // of these, not lost

 private:
  struct Fates {
    std::uint16_t lost = 0;
    std::uint16_t late = 0;
  };
  // What it has seen of a path.
  struct Seen {
    std::array<Fates, kContexts> fates{};
    std::array<Fates, kContexts / 16> halves{};  // by the upper half of a context
    std::uint32_t recent = 0;                    // fates, newest in bit 0: lost is 1
    std::uint32_t known = 0;                     // of these, 0 .. 32
    std::array<std::uint32_t, kBins> lateness{};
    std::uint32_t late = 0;  // sum of lateness
  };
  static std::size_t BinOf(Nanos lateness);
  static Nanos EndOf(std::size_t bin);
  static void Count(bool is_lost, Fates& fates);
  static void Settle(std::uint8_t context, bool is_lost, Seen& seen);

  LossPredictorConfig config_;
  std::vector<Seen> seen_;  // by path
  std::uint64_t tokens_;    // 65536 = 1
  std::uint64_t early_ = 0;
  std::uint64_t in_vain_ = 0;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_LOSS_PREDICTOR_H_
