// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_REFUSAL_H_
#define FOREFLOW_MODELS_BASE_REFUSAL_H_

#include <stdexcept>
#include <string>

namespace foreflow {

// Bad input found at set-up. Doors print what() on standard error and exit with 2. Never thrown on the
// data path, where functions return a value or a Reason.
class Refusal : public std::runtime_error {
 public:
  // One sentence that names file (or "command line"), key, value and the allowed range.
  explicit Refusal(const std::string& sentence) : std::runtime_error(sentence) {}
  Refusal(const std::string& where, const std::string& key, const std::string& value,
          const std::string& allowed)
      : std::runtime_error(where + ": " + key + " is " + value + ", allowed: " + allowed) {}
};

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_REFUSAL_H_
