// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_UDP_H_
#define FOREFLOW_MODELS_WIRE_UDP_H_

#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"

namespace foreflow::wire {

// RFC 768. `length` is not judged here: Dissect calls it malformed where it contradicts the IP length.
struct UdpHeader {
  static constexpr std::size_t kBytes = 8;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t length = 0;    // header and payload: 8..65535, 0 in IPv6 jumbograms
  std::uint16_t checksum = 0;  // 0 = none (IPv4)
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, UdpHeader& header) {
  if (!Holds(at, end, UdpHeader::kBytes)) return nullptr;
  header.source_port = Load16(at);
  header.destination_port = Load16(at + 2);
  header.length = Load16(at + 4);
  header.checksum = Load16(at + 6);
  return at + UdpHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const UdpHeader& header) {
  if (!Holds(at, end, UdpHeader::kBytes)) return nullptr;
  Store16(at, header.source_port);
  Store16(at + 2, header.destination_port);
  Store16(at + 4, header.length);
  Store16(at + 6, header.checksum);
  return at + UdpHeader::kBytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_UDP_H_
