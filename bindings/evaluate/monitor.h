// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_MONITOR_H_
#define FOREFLOW_BINDINGS_EVALUATE_MONITOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "bindings/evaluate/dataset.h"
#include "models/predict/conformal.h"
#include "models/predict/drift.h"

namespace foreflow::evaluate {

// Names of Monitor::Alarm::detector, in order.
constexpr std::array<const char*, 2> kDetectors = {"page_hinkley", "adwin"};

// What guards one model's predictions of one target on the data path, from labels as they become known, a
// source each: adaptive conformal sets and drift detectors on the score.
//
// The score of a class is its surprise in bits, at most 16; that of a real value by how much it lies outside
// the interval between the lowest and the highest quantile, in the target's unit, and drift is looked for in
// the absolute error of the median, at most 16. Sets aim at kCoverage.
class Monitor {
 public:
  static constexpr double kCoverage = 0.9;

  // `data` must outlive it.
  Monitor(const Dataset& data, std::size_t target);

  struct Row {
    std::uint8_t covered = 0;  // the set held the truth
    float size = 0;            // classes in the set, or the interval's width; infinite at first
  };
  struct Alarm {
    std::uint8_t detector = 0;
    std::size_t row = 0;  // that had arrived when it was raised
  };

  // What was said of `row`, every row in order. Only rows with a known label have a set.
  Row Step(std::size_t row, const std::vector<float>& said);
  const std::vector<Alarm>& alarms() const { return alarms_; }

 private:
  struct Pending {
    std::int64_t resolved_ns;
    std::size_t row;
    std::int32_t score;  // of the truth, for the set
    float loss;          // for the detectors
    bool covered;
    bool operator>(const Pending& other) const {
      return std::pair(resolved_ns, row) > std::pair(other.resolved_ns, other.row);
    }
  };
  struct Source {
    std::priority_queue<Pending, std::vector<Pending>, std::greater<>> pending;
    predict::AdaptiveConformal conformal{static_cast<std::uint16_t>((1 - kCoverage) * 65536)};
    predict::PageHinkley page_hinkley{{0.1, 30, 256}};
    predict::Adwin adwin{kGreatestLoss, kOneIn};
  };

  static constexpr double kGreatestLoss = 16;
  static constexpr std::uint32_t kOneIn =
      100'000;  // false cuts: scores of packets are many, and not independent

  void Learn(std::size_t row);

  const Dataset& data_;
  const Target& target_;
  std::vector<Source> source_;
  std::vector<Alarm> alarms_;
};

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_MONITOR_H_
