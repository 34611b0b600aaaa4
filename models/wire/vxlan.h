// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_VXLAN_H_
#define FOREFLOW_MODELS_WIRE_VXLAN_H_

#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"

namespace foreflow::wire {

constexpr std::uint16_t kVxlanPort = 4789;  // UDP destination

// RFC 7348. An Ethernet frame follows.
struct VxlanHeader {
  static constexpr std::size_t kBytes = 8;
  bool has_vni = true;    // the I flag, without which a receiver drops the packet
  std::uint32_t vni = 0;  // 24 bits
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, VxlanHeader& header) {
  if (!Holds(at, end, VxlanHeader::kBytes)) return nullptr;
  header.has_vni = (at[0] & 0x08) != 0;
  header.vni = Load32(at + 4) >> 8;
  return at + VxlanHeader::kBytes;
}

// Reserved bits, which receivers ignore, are written as zeros.
inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const VxlanHeader& header) {
  if (!Holds(at, end, VxlanHeader::kBytes)) return nullptr;
  Store32(at, header.has_vni ? 0x08000000u : 0u);
  Store32(at + 4, header.vni << 8);
  return at + VxlanHeader::kBytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_VXLAN_H_
