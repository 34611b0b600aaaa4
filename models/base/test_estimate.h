// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_TEST_ESTIMATE_H_
#define FOREFLOW_MODELS_BASE_TEST_ESTIMATE_H_

#include <gtest/gtest.h>

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

// Whether the interval holds `theory` (above 0), and is narrow enough to say so: half of it within a tenth of
// the theory, or within a quarter where that is below 0.01, since what is rare needs so many samples.
inline testing::AssertionResult IsWithin(const Estimate& estimate, double theory) {
  const double mean = estimate.mean(), half = estimate.half();
  const double most = theory * (theory < 0.01 ? 0.25 : 0.1);
  const char* const fault = !(std::abs(mean - theory) <= half) ? "does not hold"
                            : !(half > 0)                      ? "has no width around"
                            : !(half <= most)                  ? "is too wide for"
                                                               : nullptr;
  if (fault == nullptr) return testing::AssertionSuccess();
  return testing::AssertionFailure() << mean << " +- " << half << " " << fault << " " << theory;
}
#define EXPECT_WITHIN(estimate, theory) EXPECT_TRUE(::foreflow::IsWithin(estimate, theory))

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_TEST_ESTIMATE_H_
