// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_RULE_LIMITS_H_
#define FOREFLOW_MODELS_RULES_RULE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace foreflow::rules {

// What a table takes before it refuses. Of a VM count the rules that name it.
struct RuleLimits {
  static constexpr std::size_t kMost = std::size_t{1} << 20;
  std::size_t rules = kMost;
  std::size_t rules_per_vm = kMost;
  std::size_t masks_per_vm = kMost;  // combinations of prefix lengths, protocol, VLAN fields and family
};

// What one VM may have of a flow cache; no bound unless `entries` is below the capacity. VMs above `vms` are
// the uplink, 0.
struct VmBound {
  std::size_t entries = SIZE_MAX;  // >= 1
  std::size_t vms = 0;
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_RULE_LIMITS_H_
