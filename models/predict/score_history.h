// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_SCORE_HISTORY_H_
#define FOREFLOW_MODELS_PREDICT_SCORE_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/predict/reading.h"

namespace foreflow::predict {

// How predictions of types went over time, for people: cells of equal length from the first outcome on, at
// most kCells. When they are full, neighbours are joined and each cell is twice as long. Constant memory;
// never decides anything.
class ScoreHistory {
 public:
  static constexpr std::size_t kCells = 256;

  // What came out in one stretch of time.
  struct Cell {
    std::array<std::uint32_t, kTiers> predicted{};  // outcomes by the tier that weighed most
    // Losses in 2^-12 bits, summed: of what was said, of the models' part of it, and the fall-back's. The
    // last is of a sample of outcomes, whose number is `compared`.
    std::uint64_t loss = 0;
    std::uint64_t model_loss = 0;
    std::uint64_t fallback_loss = 0;
    std::uint32_t compared = 0;
    std::uint32_t alarms = 0;  // of drift
  };

  // The cell of an outcome at `now`; times that run backwards count as the latest.
  Cell& At(Nanos now) {
    if (!started_) {
      started_ = true;
      start_ = now;
    }
    std::size_t index = now > start_ ? IndexOf(now) : used_ == 0 ? 0 : used_ - 1;
    while (index >= kCells) {
      Join();
      index = IndexOf(now);
    }
    if (index >= used_) used_ = index + 1;
    return cell_[index];
  }

  Nanos start() const { return start_; }
  Nanos cell_length() const { return length_; }
  // Cells from the first outcome's to the latest's; some may be empty.
  std::size_t size() const { return used_; }
  const Cell& operator[](std::size_t index) const { return cell_[index]; }

 private:
  std::size_t IndexOf(Nanos now) const {
    const std::uint64_t since =
        static_cast<std::uint64_t>(now.count()) - static_cast<std::uint64_t>(start_.count());
    return static_cast<std::size_t>(since / static_cast<std::uint64_t>(length_.count()));
  }

  void Join() {
    for (std::size_t i = 0; i < kCells / 2; ++i) {
      const Cell sum = Sum(cell_[2 * i], cell_[2 * i + 1]);
      cell_[i] = sum;
    }
    for (std::size_t i = kCells / 2; i < kCells; ++i) cell_[i] = Cell{};
    used_ = (used_ + 1) / 2;
    length_ += length_;
  }

  static Cell Sum(const Cell& a, const Cell& b) {
    Cell sum = a;
    for (std::size_t i = 0; i < kTiers; ++i) sum.predicted[i] += b.predicted[i];
    sum.loss += b.loss;
    sum.model_loss += b.model_loss;
    sum.fallback_loss += b.fallback_loss;
    sum.compared += b.compared;
    sum.alarms += b.alarms;
    return sum;
  }

  bool started_ = false;
  Nanos start_;
  Nanos length_ = Millis(1);
  std::size_t used_ = 0;
  std::array<Cell, kCells> cell_{};
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SCORE_HISTORY_H_
