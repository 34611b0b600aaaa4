// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/temperature.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace foreflow::train {
namespace {

constexpr double kHottest = 8;
constexpr int kSections = 40;  // each leaves 0.618 of the range

}  // namespace

double LogLoss(const std::vector<float>& logits, std::uint32_t classes,
               const std::vector<std::int8_t>& labels, double temperature) {
  double sum = 0;
  std::size_t known = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < 0) continue;
    const float* of = logits.data() + row * classes;
    const double top = *std::max_element(of, of + classes);
    double mass = 0;
    for (std::uint32_t i = 0; i < classes; ++i) mass += std::exp((of[i] - top) / temperature);
    sum += std::log(mass) - (of[labels[row]] - top) / temperature;
    ++known;
  }
  return known == 0 ? 0 : sum / static_cast<double>(known);
}

double FitTemperature(const std::vector<float>& logits, std::uint32_t classes,
                      const std::vector<std::int8_t>& labels) {
  if (std::none_of(labels.begin(), labels.end(), [](std::int8_t label) { return label >= 0; })) return 1;
  const auto loss = [&](double sharpness) { return LogLoss(logits, classes, labels, 1 / sharpness); };
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = 1 / kHottest, high = kHottest;
  double left = high - golden * (high - low), right = low + golden * (high - low);
  double at_left = loss(left), at_right = loss(right);
  for (int i = 0; i < kSections; ++i) {
    if (at_left < at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - golden * (high - low);
      at_left = loss(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + golden * (high - low);
      at_right = loss(right);
    }
  }
  return 2 / (low + high);
}

}  // namespace foreflow::train
