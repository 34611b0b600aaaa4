// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_MATCH_H_
#define FOREFLOW_MODELS_RULES_MATCH_H_

#include <cstdint>

#include "models/flow/flow_key.h"
#include "models/rules/key_words.h"
#include "models/rules/rule.h"

namespace foreflow::rules {

// The fields of a Rule that say what it matches, as a box: one interval or prefix a field. Id, priority and
// action play no part here. All take rules that RuleTable accepts.

// Whether the winner of a packet that both match is `a`.
inline bool Outranks(const Rule& a, const Rule& b) {
  return a.priority != b.priority ? a.priority > b.priority : a.id < b.id;
}

// Whether some key may match both. Says yes to a few keys that no packet has (a protocol in an ARP frame).
bool Overlap(const Rule& a, const Rule& b);
// Whether all that `inner` matches, `outer` matches.
bool Encloses(const Rule& outer, const Rule& inner);
// What both match, as a box with the id, priority and action of `a`. Only where they overlap.
Rule Intersection(const Rule& a, const Rule& b);
// The smallest box around both, with the id, priority and action of `a`.
Rule Hull(const Rule& a, const Rule& b);
// Base-2 logarithm of how many keys it matches, in 1/4096, up to a constant: of IPv4, 32 bits an address.
std::int64_t LogVolume(const Rule& box);

// Whether a packet with this key and outermost VLAN tag is in the box: what the rule means, field by field,
// is RuleTable's.
bool Matches(const Rule& box, const flow::FlowKey& key, wire::VlanKey vlan);

// Everything but ports as a ternary pattern: a key matches where its masked words equal the rule's.
MatchWords MaskOf(const Rule& box);
MatchWords MaskedKeyOf(const Rule& box);
inline MatchWords And(const MatchWords& a, const MatchWords& b) {
  MatchWords out;
  for (std::size_t i = 0; i < kMatchWords; ++i) out[i] = a[i] & b[i];
  return out;
}
// The bits of a VLAN key that the rule looks at; 0: none.
wire::VlanKey VlanMaskOf(const Rule& box);

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_MATCH_H_
