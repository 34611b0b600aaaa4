// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_KEY_WORDS_H_
#define FOREFLOW_MODELS_RULES_KEY_WORDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/flow/flow_key.h"

namespace foreflow::rules {

// A flow key as machine words, for masking and comparing.
constexpr std::size_t kKeyWords = sizeof(flow::FlowKey) / sizeof(std::uint64_t);
using KeyWords = std::array<std::uint64_t, kKeyWords>;

inline KeyWords WordsOf(const flow::FlowKey& key) {
  KeyWords words;
  std::memcpy(words.data(), &key, sizeof(key));
  return words;
}

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_KEY_WORDS_H_
