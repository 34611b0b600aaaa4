// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CONTROL_TEST_RULES_H_
#define FOREFLOW_MODELS_CONTROL_TEST_RULES_H_

#include <cstdint>

#include "models/base/rng.h"
#include "models/rules/rule.h"

namespace foreflow::control {

// A rule that a table can have, of any shape.
inline rules::Rule AnyRule(Rng& rng, int id) {
  rules::Rule rule;
  rule.id = static_cast<std::uint32_t>(id);
  rule.priority = static_cast<std::int32_t>(rng.Next32() % 100) - 50;
  rule.l3 = static_cast<std::uint8_t>(rng.Below(2) == 0 ? wire::Layer3::kIpv4 : wire::Layer3::kIpv6);
  rule.vm = rng.Below(2) == 0 ? rules::kAnyVm : static_cast<flow::VmId>(rng.Below(8));
  rule.ip_protocol = rng.Below(2) == 0 ? rules::kAnyProtocol : static_cast<std::uint16_t>(rng.Below(256));
  const std::uint32_t most = rule.l3 == static_cast<std::uint8_t>(wire::Layer3::kIpv4) ? 32 : 128;
  for (rules::Prefix* prefix : {&rule.source, &rule.destination}) {
    prefix->length = static_cast<std::uint8_t>(rng.Below(most + 1));
    for (std::uint8_t& byte : prefix->address) byte = static_cast<std::uint8_t>(rng.Next32());
  }
  for (rules::PortRange* range : {&rule.source_port, &rule.destination_port}) {
    range->low = static_cast<std::uint16_t>(rng.Below(1000));
    range->high = static_cast<std::uint16_t>(range->low + rng.Below(60'000));
  }
  if (rng.Below(3) == 0) {
    rule.vlan = rng.Below(4) == 0 ? rules::kUntagged : static_cast<std::uint16_t>(rng.Below(4096));
    if (rule.vlan != rules::kUntagged) rule.vlan_priority = static_cast<std::uint8_t>(rng.Below(8));
  }
  rule.action.verb = static_cast<rules::Verb>(rng.Below(3));
  rule.action.mirror = rng.Below(2) != 0;
  rule.action.queue = static_cast<std::uint8_t>(rng.Below(rules::kQueues));
  return rule;
}

}  // namespace foreflow::control

#endif  // FOREFLOW_MODELS_CONTROL_TEST_RULES_H_
