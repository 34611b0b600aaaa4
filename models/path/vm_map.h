// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_VM_MAP_H_
#define FOREFLOW_MODELS_PATH_VM_MAP_H_

#include <cstdint>
#include <vector>

#include "models/flow/flow_key.h"
#include "models/wire/dissect.h"

namespace foreflow::path {

// Which VM a captured packet is taken to come from: one for each source MAC (source address on links without
// MACs), numbered 1.. in order of first appearance; past `vms` of them, the uplink (0).
class VmMap {
 public:
  explicit VmMap(std::uint16_t vms);
  flow::VmId VmOf(const wire::Dissection& packet);
  std::uint16_t size() const;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_VM_MAP_H_
