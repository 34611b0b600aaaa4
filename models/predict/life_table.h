// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_LIFE_TABLE_H_
#define FOREFLOW_MODELS_PREDICT_LIFE_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/units.h"

namespace foreflow::predict {

// When a sender's next packet comes, and whether it goes on with what the sender does or turns to something
// else: the hazard of either by how long the sender has been silent, from a life table with two competing
// risks (Cutler and Ederer 1958), two intervals an octave of silence. Silences are often the only sign: what
// comes next may be known long before it comes.
//
// Counts fade by halving. What one sender showed is completed by what others did: theirs counts as much as
// kPrior packets of its own in each interval.
class LifeTable {
 public:
  // Of packets, a second.
  struct Hazard {
    double on = 0;    // that go on
    double turn = 0;  // that turn
  };

  // A packet, `gap` after the sender's last one.
  void See(Nanos gap, bool turned);
  // Zero where neither has seen so long a silence.
  Hazard After(Nanos silence, const LifeTable& others) const;
  // In the mean, of the latest packets; 0 before the first.
  Nanos MeanGap() const { return Nanos(mean_); }

 private:
  static constexpr int kShortest = 13;  // log2 of ns: shorter silences are all alike
  static constexpr int kLongest = 34;   // and longer ones
  static constexpr std::size_t kIntervals = 1 + 2 * (kLongest - kShortest);
  static constexpr double kPrior = 4;

  struct Share {  // of one interval, weighted with its neighbours
    double on = 0;
    double turn = 0;
    double exposure = 0;  // ns
  };
  static std::size_t IntervalOf(std::int64_t ns);
  static std::int64_t Begin(std::size_t interval);
  Share Around(std::size_t interval) const;

  std::array<std::uint32_t, kIntervals> on_{};  // packets by the interval that their gap ends in
  std::array<std::uint32_t, kIntervals> turn_{};
  std::uint32_t packets_ = 0;
  std::int64_t mean_ = 0;
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_LIFE_TABLE_H_
