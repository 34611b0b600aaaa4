// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_GENEVE_H_
#define FOREFLOW_MODELS_WIRE_GENEVE_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/wire/be.h"

namespace foreflow::wire {

constexpr std::uint16_t kGenevePort = 6081;              // UDP destination
constexpr std::uint16_t kEthertypeTransparent = 0x6558;  // an Ethernet frame follows

// RFC 8926, the fixed 8 bytes; OptionBytes() of options follow.
struct GeneveHeader {
  static constexpr std::size_t kBytes = 8;
  std::uint8_t version = 0;       // 0..3
  std::uint8_t option_words = 0;  // of 4 bytes: 0..63
  bool is_control = false;        // carries no data of the tenant
  bool has_critical = false;      // an option below has its critical bit
  std::uint16_t protocol = kEthertypeTransparent;
  std::uint32_t vni = 0;  // 24 bits

  constexpr std::size_t OptionBytes() const { return std::size_t{4} * option_words; }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, GeneveHeader& header) {
  if (!Holds(at, end, GeneveHeader::kBytes)) return nullptr;
  header.version = at[0] >> 6;
  header.option_words = at[0] & 63;
  header.is_control = (at[1] & 0x80) != 0;
  header.has_critical = (at[1] & 0x40) != 0;
  header.protocol = Load16(at + 2);
  header.vni = Load32(at + 4) >> 8;
  return at + GeneveHeader::kBytes;
}

// Reserved bits, which receivers ignore, are written as zeros.
inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const GeneveHeader& header) {
  if (!Holds(at, end, GeneveHeader::kBytes)) return nullptr;
  at[0] = static_cast<std::uint8_t>(header.version << 6 | (header.option_words & 63));
  at[1] = static_cast<std::uint8_t>((header.is_control ? 0x80 : 0) | (header.has_critical ? 0x40 : 0));
  Store16(at + 2, header.protocol);
  Store32(at + 4, header.vni << 8);
  return at + GeneveHeader::kBytes;
}

// What begins each option (RFC 8926, section 3.5).
struct GeneveOption {
  static constexpr std::size_t kBytes = 4;
  static constexpr std::uint8_t kCritical = 0x80;  // in `type`: who does not know it drops the packet
  std::uint16_t option_class = 0;
  std::uint8_t type = 0;
  std::uint8_t words = 0;  // of 4 bytes, after these four: 0..31

  constexpr bool IsCritical() const { return (type & kCritical) != 0; }
  constexpr std::size_t BodyBytes() const { return std::size_t{4} * words; }
};

inline const std::uint8_t* Decode(const std::uint8_t* at, const std::uint8_t* end, GeneveOption& option) {
  if (!Holds(at, end, GeneveOption::kBytes)) return nullptr;
  option.option_class = Load16(at);
  option.type = at[2];
  option.words = at[3] & 31;
  return at + GeneveOption::kBytes;
}

inline std::uint8_t* Encode(std::uint8_t* at, const std::uint8_t* end, const GeneveOption& option) {
  if (!Holds(at, end, GeneveOption::kBytes)) return nullptr;
  Store16(at, option.option_class);
  at[2] = option.type;
  at[3] = option.words & 31;
  return at + GeneveOption::kBytes;
}

// The body of the first option of that class and type in `options`, the bytes between header and payload;
// data is nullptr where there is none before the end or before an option that runs past it.
inline BytesView FindOption(BytesView options, std::uint16_t option_class, std::uint8_t type) {
  const std::uint8_t* at = options.begin();
  GeneveOption option;
  while (const std::uint8_t* body = Decode(at, options.end(), option)) {
    if (!Holds(body, options.end(), option.BodyBytes())) break;
    if (option.option_class == option_class && option.type == type) return {body, option.BodyBytes()};
    at = body + option.BodyBytes();
  }
  return {};
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_GENEVE_H_
