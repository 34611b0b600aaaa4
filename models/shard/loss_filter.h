// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_LOSS_FILTER_H_
#define FOREFLOW_MODELS_SHARD_LOSS_FILTER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/base/work.h"
#include "models/shard/channel_model.h"

namespace foreflow::shard {

// How likely missing numbers are lost, and when to ask for them, where the channel's law is known: the filter
// of the hidden chain, forward over all numbers and backward over a run of missing ones (Rabiner 1989,
// section III), and Bayes' rule. No rule that sees numbers and times of arrival alone can know more; it is
// there to measure others by.
//
// Sums and products of doubles: the same bits everywhere. No allocation after set-up. Work: ten multiply_adds
// a number received, twenty a missing one.
class LossFilter {
 public:
  static constexpr std::size_t kMostRun = 64;  // smoothed of one run: its last ones

  // Throws Refusal on values outside the ranges of channel_model.h.
  explicit LossFilter(const ChannelModel& model);

  // The next number came in its turn.
  void OnReceived(Work& work);
  // The next `run` numbers are missing, 1 .. 2^20, and the one after them came, of which OnReceived is told
  // next.
  void OnMissing(std::uint64_t run, Work& work);
  // That the number `back` before the last of that run is lost, given what was told so far; the oldest that
  // is smoothed speaks for those before it.
  double Posterior(std::uint64_t back) const;
  // The least time after which a number that was lost with probability `posterior` when it was found missing,
  // and is missing still, is lost with `certainty`, 0 .. 1.
  Nanos Wait(double posterior, double certainty) const;

 private:
  double Step(double bad) const { return bad * (1 - model_.to_good) + (1 - bad) * model_.to_bad; }

  ChannelModel model_;
  double late_ = 0;                           // share of lateness at 0
  double missing_good_, missing_bad_;         // that a number is missing when a later one comes
  double lost_if_good_, lost_if_bad_;         // that it is lost then
  double bad_;                                // the state of the last number told of
  std::array<double, kMostRun> posterior_{};  // by `back`
  std::size_t smoothed_ = 0;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_LOSS_FILTER_H_
