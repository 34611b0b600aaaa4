// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_FORECASTER_H_
#define FOREFLOW_MODELS_PREDICT_FORECASTER_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow::predict {

// Forecasts of one series of numbers, in the series' own unit, as its values come in. Plain data, one object
// a series. Sums and products in double, in the order written: every compiler gives the same bits. Values
// must be finite and below 1e150 in size, so that no square overflows.

// Exponentially weighted mean: the first value, then a step of `weight` (0..1) towards each.
class Ewma {
 public:
  explicit constexpr Ewma(double weight) : weight_(weight) {}

  constexpr void Update(double value) {
    level_ += (seen_ ? weight_ : 1.0) * (value - level_);
    seen_ = true;
  }
  // 0 before the first value.
  constexpr double Forecast() const { return level_; }

 private:
  double weight_;
  double level_ = 0;
  bool seen_ = false;
};

// Exponentially weighted mean and variance (Finch, "Incremental calculation of weighted mean and variance",
// 2009, section 9): the moments of the values so far with weights that fade by (1 - weight) a value, all of
// what is left to the first.
class EwmaVariance {
 public:
  explicit constexpr EwmaVariance(double weight) : weight_(weight) {}

  constexpr void Update(double value) {
    if (!seen_) {
      mean_ = value;
      seen_ = true;
      return;
    }
    const double error = value - mean_;
    const double step = weight_ * error;
    mean_ += step;
    variance_ = (1.0 - weight_) * (variance_ + error * step);
  }
  constexpr double mean() const { return mean_; }
  constexpr double variance() const { return variance_; }

 private:
  double weight_;
  double mean_ = 0;
  double variance_ = 0;
  bool seen_ = false;
};

// Additive Holt-Winters (Winters, "Forecasting sales by exponentially weighted moving averages", 1960):
// level, trend, and one offset for each of kPeriod places of a season. The first season gives the level (its
// mean) and the offsets; until it is whole the forecast is the mean so far. kPeriod = 1 is Holt's method: a
// level and a trend.
template <std::size_t kPeriod>
class HoltWinters {
  static_assert(kPeriod >= 1);

 public:
  // 0..1 each: how far level, trend and season follow a new value.
  struct Weights {
    double level = 0.3;
    double trend = 0.1;
    double season = 0.1;
  };
  explicit constexpr HoltWinters(const Weights& weights) : weights_(weights) {}

  constexpr void Update(double value) {
    if (seen_ < kPeriod) return Begin(value);
    const double expected = level_ + trend_;
    const double level = expected + weights_.level * (value - season_[place_] - expected);
    if constexpr (kPeriod > 1) season_[place_] += weights_.season * (value - level - season_[place_]);
    trend_ += weights_.trend * (level - level_ - trend_);
    level_ = level;
    place_ = place_ + 1 == kPeriod ? 0 : place_ + 1;
  }

  // The value `steps` >= 1 ahead; 0 before the first value.
  constexpr double Forecast(std::uint32_t steps = 1) const {
    if (seen_ < kPeriod) return level_;
    return level_ + static_cast<double>(steps) * trend_ + season_[(place_ + steps - 1) % kPeriod];
  }

 private:
  constexpr void Begin(double value) {
    season_[seen_] = value;
    ++seen_;
    level_ += (value - level_) / static_cast<double>(seen_);
    if (seen_ < kPeriod) return;
    for (double& offset : season_) offset -= level_;
  }

  Weights weights_;
  double level_ = 0;
  double trend_ = 0;
  std::array<double, kPeriod> season_{};
  std::size_t place_ = 0;  // of the next value in its season
  std::size_t seen_ = 0;   // of the first season
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_FORECASTER_H_
