// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_ICMP_H_
#define FOREFLOW_MODELS_WIRE_ICMP_H_

#include <cstddef>
#include <cstdint>

#include "models/wire/be.h"

namespace foreflow::wire {

constexpr std::uint8_t kIcmpEchoReply = 0;
constexpr std::uint8_t kIcmpEcho = 8;
constexpr std::uint8_t kIcmpv6Echo = 128;
constexpr std::uint8_t kIcmpv6EchoReply = 129;

// RFC 792 and RFC 4443: every message of both has at least these 8 bytes.
struct IcmpHeader {
  static constexpr std::size_t kBytes = 8;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;
  std::uint32_t rest = 0;  // by type; of echoes identifier << 16 | sequence

  constexpr std::uint16_t Identifier() const { return static_cast<std::uint16_t>(rest >> 16); }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, IcmpHeader& header) {
  if (!Holds(at, end, IcmpHeader::kBytes)) return nullptr;
  header.type = at[0];
  header.code = at[1];
  header.checksum = Load16(at + 2);
  header.rest = Load32(at + 4);
  return at + IcmpHeader::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const IcmpHeader& header) {
  if (!Holds(at, end, IcmpHeader::kBytes)) return nullptr;
  at[0] = header.type;
  at[1] = header.code;
  Store16(at + 2, header.checksum);
  Store32(at + 4, header.rest);
  return at + IcmpHeader::kBytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_ICMP_H_
