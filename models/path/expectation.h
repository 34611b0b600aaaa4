// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_EXPECTATION_H_
#define FOREFLOW_MODELS_PATH_EXPECTATION_H_

#include <cstdint>

#include "models/base/units.h"
#include "models/flow/flow_key.h"
#include "models/predict/packet_type.h"

namespace foreflow::path {

// One destination that a VM is expected to turn to: what the profiling module says, and what others may tell
// it.
struct Expectation {
  flow::FlowKey key;                   // of the latest packet that went there
  wire::VlanKey vlan = wire::kNoVlan;  // of its entry
  std::uint16_t confidence = 0;        // 65535 = 1; of the whole chain of destinations up to it
  Nanos horizon;                       // from the VM's latest packet, in the mean; 0: not known
  // Of what the VM sends now, as of its latest packet.
  predict::PacketType type = predict::PacketType::kControl;
  std::uint16_t type_confidence = 0;  // 65535 = 1; 0: nothing is said
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_EXPECTATION_H_
