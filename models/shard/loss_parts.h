// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_LOSS_PARTS_H_
#define FOREFLOW_MODELS_SHARD_LOSS_PARTS_H_

#include <array>
#include <cmath>
#include <cstddef>

#include "models/shard/size_math.h"

namespace foreflow::shard {

// Losses taken apart: those that strike a byte (bit errors), and those that strike a message whatever its
// size (full queues).
struct LossParts {
  double hazard = 0;      // bit errors a byte; 0 where it is not clearly more than nothing
  double drop = 0;        // probability of the other kind
  double all = 0;         // share lost of all
  double samples = 0;     // messages behind it
  bool has_both = false;  // messages of either size have been seen
};

// Learns them from the fates of messages of two sizes: with a share S(b) of messages of b bytes surviving,
// ln S = ln(1 - drop) - hazard b. The hazard counts only where it is above its standard error by
// kSignificance, so that chance makes nobody split. Older fates fade: a class that has kMost counts half.
class LossPartsEstimator {
 public:
  static constexpr double kSignificance = 3.29;  // one in a thousand, both ways
  static constexpr double kLeast = 64;           // of each class, to say anything
  static constexpr double kMost = 16'384;

  // Messages of fewer bytes on the wire are small. Fates so far are forgotten.
  void SetBoundary(std::size_t bytes) {
    boundary_ = bytes;
    classes_ = {};
  }
  std::size_t boundary() const { return boundary_; }

  // A message of `bytes` on the wire arrived, or not.
  void OnFate(std::size_t bytes, bool is_lost) {
    Class& of = classes_[bytes < boundary_ ? 0 : 1];
    of.count += 1;
    of.bytes += static_cast<double>(bytes);
    if (is_lost) of.lost += 1;
    if (of.count < kMost) return;
    of.count /= 2;
    of.bytes /= 2;
    of.lost /= 2;
  }
  // Fates of small (0) and large (1) messages that still count.
  double count(std::size_t which) const { return classes_[which].count; }

  LossParts Estimate() const {
    const Class& small = classes_[0];
    const Class& large = classes_[1];
    LossParts parts;
    parts.samples = small.count + large.count;
    if (parts.samples > 0) parts.all = parts.drop = (small.lost + large.lost) / parts.samples;
    parts.has_both = small.count >= kLeast && large.count >= kLeast;
    if (!parts.has_both) return parts;
    const double small_alive = Alive(small), large_alive = Alive(large);
    const double apart = large.bytes / large.count - small.bytes / small.count;
    const double fall = Ln(small_alive) - Ln(large_alive);
    // Of a logarithm of a binomial share.
    const double error = std::sqrt((1 - small_alive) / (small_alive * small.count) +
                                   (1 - large_alive) / (large_alive * large.count));
    if (apart <= 0 || fall <= kSignificance * error) return parts;
    parts.hazard = fall / apart;
    const double without = small_alive * Exp(parts.hazard * small.bytes / small.count);
    parts.drop = without < 1 ? 1 - without : 0;
    return parts;
  }

 private:
  struct Class {
    double count = 0, bytes = 0, lost = 0;
  };
  // Half a loss more, so that neither logarithm nor error is of nothing.
  static double Alive(const Class& of) { return 1 - (of.lost + 0.5) / (of.count + 1); }

  std::array<Class, 2> classes_;
  std::size_t boundary_ = 700;
};

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_LOSS_PARTS_H_
