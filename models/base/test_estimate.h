// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_TEST_ESTIMATE_H_
#define FOREFLOW_MODELS_BASE_TEST_ESTIMATE_H_

#include <algorithm>
#include <cmath>

namespace foreflow {

constexpr double kZ = 3.2905;  // of 99.9 %

// A mean and half of its interval, from independent values.
struct Estimate {
  void Add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  double mean() const { return sum / count; }
  double half() const {
    return kZ * std::sqrt(std::max(0.0, squares / count - mean() * mean()) / (count - 1));
  }
  double sum = 0, squares = 0, count = 0;
};

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_TEST_ESTIMATE_H_
