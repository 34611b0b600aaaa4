// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_KEY_WORDS_H_
#define FOREFLOW_MODELS_RULES_KEY_WORDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/flow/flow_key.h"
#include "models/wire/dissect.h"

namespace foreflow::rules {

// A flow key as machine words, for masking and comparing.
constexpr std::size_t kKeyWords = sizeof(flow::FlowKey) / sizeof(std::uint64_t);
using KeyWords = std::array<std::uint64_t, kKeyWords>;

inline KeyWords WordsOf(const flow::FlowKey& key) {
  KeyWords words;
  std::memcpy(words.data(), &key, sizeof(key));
  return words;
}

// What rules compare: the words of the flow key, then the VLAN key.
constexpr std::size_t kMatchWords = kKeyWords + 1;
using MatchWords = std::array<std::uint64_t, kMatchWords>;

inline MatchWords MatchWordsOf(const flow::FlowKey& key, wire::VlanKey vlan) {
  MatchWords words;
  std::memcpy(words.data(), &key, sizeof(key));
  words[kKeyWords] = vlan;
  return words;
}

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_KEY_WORDS_H_
