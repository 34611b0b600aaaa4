// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/vector_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "models/predict/scalar_lanes.h"

namespace foreflow::predict::vector_math {
namespace {

// The largest error over every `stride`th float of one sign from `from` to `to`. Odd strides meet all
// mantissas.
template <typename Function, typename Error>
double LargestError(float from, float to, std::uint32_t stride, Function function, Error error) {
  std::uint32_t first, last;
  std::memcpy(&first, &from, sizeof(first));
  std::memcpy(&last, &to, sizeof(last));
  double largest = 0;
  for (std::uint64_t bits = first; bits <= last; bits += stride) {
    const auto word = static_cast<std::uint32_t>(bits);
    float x;
    std::memcpy(&x, &word, sizeof(x));
    largest = std::max(largest, static_cast<double>(error(function(ScalarLane{x}).v, x)));
  }
  return largest;
}

// With a stride of 1 these were measured once for all floats; the header states what came out.
constexpr std::uint32_t kStride = 2503;

TEST(VectorMath, ExpKeepsItsPublishedError) {
  const auto error = [](float got, float x) {
    return std::abs(got / std::exp(static_cast<long double>(x)) - 1);
  };
  for (const float sign : {1.0f, -1.0f}) {
    const double largest = LargestError(
        sign * 1e-30f, sign * (sign > 0 ? 88.0f : 87.0f), kStride, [](ScalarLane x) { return Exp(x); },
        error);
    EXPECT_LE(largest, 1.9e-7) << sign;
    EXPECT_GT(largest, 0.5e-7) << sign;  // the measure itself measures
  }
  EXPECT_EQ(Exp(ScalarLane{0}).v, 1);
  EXPECT_EQ(Exp(ScalarLane{-1e30f}).v, Exp(ScalarLane{-87}).v);
  EXPECT_GT(Exp(ScalarLane{-1e30f}).v, 0);
}

TEST(VectorMath, SigmoidKeepsItsPublishedError) {
  const auto error = [](float got, float x) {
    return std::abs(got - 1 / (1 + std::exp(-static_cast<long double>(x))));
  };
  for (const float sign : {1.0f, -1.0f})
    EXPECT_LE(LargestError(
                  sign * 1e-30f, sign * 3e38f, kStride, [](ScalarLane x) { return Sigmoid(x); }, error),
              1.1e-7)
        << sign;
  EXPECT_EQ(Sigmoid(ScalarLane{0}).v, 0.5f);
}

TEST(VectorMath, TanhKeepsItsPublishedError) {
  const auto error = [](float got, float x) {
    return std::abs(got - std::tanh(static_cast<long double>(x)));
  };
  for (const float sign : {1.0f, -1.0f})
    EXPECT_LE(LargestError(
                  sign * 1e-30f, sign * 3e38f, kStride, [](ScalarLane x) { return Tanh(x); }, error),
              1.4e-7)
        << sign;
  EXPECT_EQ(Tanh(ScalarLane{0}).v, 0);
}

TEST(VectorMath, SoftmaxIsADistributionOfAnyWidth) {
  for (const std::size_t outputs : {1u, 2u, 7u, 8u, 9u, 23u, 64u}) {
    std::vector<float> logit((outputs + 7) / 8 * 8, -1e30f), exact(outputs), output(outputs + 1, -5);
    long double sum = 0;
    for (std::size_t i = 0; i < outputs; ++i) logit[i] = exact[i] = 0.9f * static_cast<float>(i * 7 % 11) - 3;
    for (const float value : exact) sum += std::exp(static_cast<long double>(value));
    float* const row[1] = {output.data()};
    Softmax<Pack<ScalarEight, 1>>(logit.data(), 0, outputs, row);
    for (std::size_t i = 0; i < outputs; ++i)
      EXPECT_NEAR(output[i], static_cast<double>(std::exp(static_cast<long double>(exact[i])) / sum), 3e-7);
    EXPECT_EQ(output[outputs], -5) << "written past the end";
  }
  // One logit that is far above: nothing is lost, nothing overflows.
  float logit[8] = {1e5f, -1e5f, 0, 1, 2, 3, 4, 5}, output[8];
  float* const row[1] = {output};
  Softmax<Pack<ScalarEight, 1>>(logit, 0, 8, row);
  EXPECT_EQ(output[0], 1);
  EXPECT_LT(output[1], 1e-30f);
}

}  // namespace
}  // namespace foreflow::predict::vector_math
