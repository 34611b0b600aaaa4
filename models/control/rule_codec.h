// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_RULE_CODEC_H_
#define FOREFLOW_MODELS_CONTROL_RULE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/bytes.h"
#include "models/rules/rule_batch.h"

namespace foreflow::control {

// A rule change as bytes of a batch: operation (1), layout version (1), length of what follows (2), then the
// rule's fields in network order, prefixes cut to whole bytes; of an erased rule only its id. A rule has one
// spelling: what Append writes for equal rules is equal, and what Read accepts, Append writes.

constexpr std::uint8_t kRuleLayout = 2;
constexpr std::size_t kMostChangeBytes = 4 + 34 + 2 * 16;

// Appends to `batch`. Address bits behind a prefix are not carried.
void Append(const rules::RuleChange& change, std::vector<std::uint8_t>& batch);

// Reads the change at the front of `batch` and returns its length; 0 where there is none: bytes are missing,
// the layout is another, a value is outside its enumeration or bits are set behind a prefix. Whether a table
// can have the rule is the table's to say.
std::size_t Read(BytesView batch, rules::RuleChange& change);

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_RULE_CODEC_H_
