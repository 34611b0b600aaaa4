// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_TEMPERATURE_H_
#define FOREFLOW_MODELS_TRAIN_TEMPERATURE_H_

#include <cstdint>
#include <vector>

namespace foreflow::train {

// Mean log loss in nats of softmax(logits / temperature); labels.size() rows of `classes` logits. Rows whose
// label is negative are left out.
double LogLoss(const std::vector<float>& logits, std::uint32_t classes,
               const std::vector<std::int8_t>& labels, double temperature);

// The temperature in 1/8 to 8 with the least log loss (Guo et al. 2017); 1 where no label is known. The loss
// is convex in 1/T, so a search by sections finds it.
double FitTemperature(const std::vector<float>& logits, std::uint32_t classes,
                      const std::vector<std::int8_t>& labels);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_TEMPERATURE_H_
