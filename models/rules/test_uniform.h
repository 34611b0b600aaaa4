// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_TEST_UNIFORM_H_
#define FOREFLOW_MODELS_RULES_TEST_UNIFORM_H_

#include <rapidcheck.h>

namespace foreflow::rules {

// For tests: a number of [low, high), all alike from the first case on. RapidCheck's inRange alone grows its
// range with the case number, so that the rare choices of a state machine would hardly be made.
template <typename T>
T Uniform(T low, T high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<T>(low, high));
}

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_TEST_UNIFORM_H_
