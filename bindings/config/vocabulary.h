// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_CONFIG_VOCABULARY_H_
#define FOREFLOW_BINDINGS_CONFIG_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace foreflow::config {

// How configurations spell enumerated values, in the order of the C++ enumerators.
const std::vector<std::string>& Arms();         // path::Arm
const std::vector<std::string>& Authorities();  // path::TagAuthority
const std::vector<std::string>& Scopes();       // path::TagScope
const std::vector<std::string>& Learners();     // predict::PredictorKind
// The learners, then those that serve trained models: gru, tabulated, tiered.
const std::vector<std::string>& Predictors();
const std::vector<std::string>& Verbs();        // rules::Verb
const std::vector<std::string>& Families();     // wire::Layer3, where "any" stands for kNone
const std::vector<std::string>& PacketTypes();  // predict::PacketType
const std::vector<std::string>& Placements();   // hw::Placement
const std::vector<std::string>& Residencies();  // rules::Residency

// The protocols that configurations may name instead of numbering.
struct NamedProtocol {
  const char* name;
  std::uint8_t number;  // IANA
};
constexpr NamedProtocol kProtocols[] = {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmpv6", 58}};

}  // namespace foreflow::config

#endif  // FOREFLOW_BINDINGS_CONFIG_VOCABULARY_H_
