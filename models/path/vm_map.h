// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_VM_MAP_H_
#define FOREFLOW_MODELS_PATH_VM_MAP_H_

#include <array>
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
  std::uint16_t size() const { return static_cast<std::uint16_t>(senders_.size()); }

 private:
  using Sender = std::array<std::uint8_t, 16>;
  std::uint16_t vms_;
  std::vector<Sender> senders_;        // by id - 1
  std::vector<flow::VmId> by_sender_;  // ids in order of their sender
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_VM_MAP_H_
