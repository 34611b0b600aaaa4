// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_DRIFT_H_
#define FOREFLOW_MODELS_PREDICT_DRIFT_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow::predict {

// Detectors of a change in the mean of a score (a predictor's log loss), one score at a time. They watch what
// matters, how well predictions do, and not the input, which may change without harm. Double arithmetic in
// the order written: every compiler raises the same alarms. No allocation. Scores are finite.

// Page and Hinkley's test for a mean that has risen (Page, "Continuous inspection schemes", Biometrika 1954;
// in the form of Gama et al., "A survey on concept drift adaptation", 2014): the sum of what scores exceed
// their running mean and `tolerance` by, above the least that this sum has been, exceeds `threshold`. O(1),
// 40 B of state.
class PageHinkley {
 public:
  struct Config {
    double tolerance = 0.05;       // rises below it are ignored; unit of the score
    double threshold = 20;         // in units of the score: greater is slower, with fewer false alarms
    std::uint32_t probation = 64;  // scores before the first alarm, also after an alarm
  };
  explicit constexpr PageHinkley(const Config& config) : config_(config) {}

  // True when this score raises the alarm; the test then starts afresh.
  constexpr bool Update(double score) {
    ++seen_;
    mean_ += (score - mean_) / static_cast<double>(seen_);
    excess_ += score - mean_ - config_.tolerance;
    if (excess_ < least_) least_ = excess_;
    if (seen_ < config_.probation || excess_ - least_ <= config_.threshold) return false;
    *this = PageHinkley(config_);
    return true;
  }
  // How much of the threshold is used up, 0..1.
  constexpr double Pressure() const { return (excess_ - least_) / config_.threshold; }

 private:
  Config config_;
  std::uint64_t seen_ = 0;
  double mean_ = 0;
  double excess_ = 0;
  double least_ = 0;
};

// How a mean has changed.
enum class Shift : std::uint8_t { kNone, kUp, kDown };

// ADWIN (Bifet and Gavalda, "Learning from time-changing data with adaptive windowing", SDM 2007): keeps the
// longest window of latest scores of which no two parts have means that differ by more than chance, at
// confidence 1 - 1 / one_in. The window is an exponential histogram: at most kBuckets + 1 buckets each of 1,
// 2, 4, ... scores. Parts are compared each kCheckEvery scores, at the bounds of buckets. O(log window)
// amortised, 5 KiB of state.
//
// The bound is the paper's: for parts of n0 and n1 of n scores, 1 / m = 1 / n0 + 1 / n1, variance v of the
// window and L = ln(2 ln(n) one_in), a difference above sqrt(2 v L / m) + 2 L / (3 m), for scores in [0, 1].
class Adwin {
 public:
  static constexpr std::uint32_t kCheckEvery = 32;
  static constexpr std::uint32_t kSmallestPart = 5;
  static constexpr std::size_t kBuckets = 5;

  // Scores lie in [0, range]; greater ones count as `range`. 1 <= one_in <= 2^24.
  Adwin(double range, std::uint32_t one_in) : range_(range), one_in_(one_in) {}

  // Which way the mean has moved when this score cut the window.
  Shift Update(double score);

  // In scores; mean and variance are in the unit of the score, and its square.
  std::uint64_t window() const { return count_; }
  double mean() const { return count_ == 0 ? 0 : range_ * sum_ / static_cast<double>(count_); }
  // Of the window's scores.
  double variance() const {
    return count_ == 0 ? 0 : range_ * range_ * deviation_ / static_cast<double>(count_);
  }

 private:
  static constexpr std::size_t kRows = 32;  // more than 2^32 scores: nobody fills it

  // Sum, and sum of squared deviations from the mean, of 2^row scores.
  struct Bucket {
    double sum = 0;
    double deviation = 0;
  };
  struct Row {
    std::array<Bucket, kBuckets + 1> bucket{};  // oldest first
    std::size_t size = 0;
  };

  void Add(double score);
  void Compress();
  void DropOldest();
  // Whether two parts of the window differ.
  bool HasCut() const;

  double range_;
  std::uint32_t one_in_;
  std::uint32_t since_check_ = 0;
  std::uint64_t count_ = 0;
  double sum_ = 0;
  double deviation_ = 0;
  std::size_t rows_ = 0;  // in use
  std::array<Row, kRows> row_{};
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_DRIFT_H_
