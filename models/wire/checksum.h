// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_CHECKSUM_H_
#define FOREFLOW_MODELS_WIRE_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

#include "models/base/bytes.h"
#include "models/wire/ipv4.h"
#include "models/wire/ipv6.h"

namespace foreflow::wire {

// The Internet checksum, RFC 1071, of a message that comes in parts of any size.
class InternetSum {
 public:
  // The message's next bytes, below 16 GiB a part. Where their number is odd, the next part goes on in the
  // second half of a word.
  InternetSum& Add(BytesView part);
  // One 16-bit or 32-bit value in network order.
  InternetSum& Add16(std::uint16_t value);
  InternetSum& Add32(std::uint32_t value);

  // For Store16. 0 where the message, its checksum field included, is intact.
  std::uint16_t Checksum() const;

 private:
  std::uint64_t sum_ = 0;  // of words as this machine loads them
  bool is_odd_ = false;    // an odd number of bytes so far
};

inline std::uint16_t InternetChecksum(BytesView message) { return InternetSum().Add(message).Checksum(); }

// The pseudo headers of RFC 9293 and RFC 8200, to which the transport header and its payload (`length` bytes)
// are then added.
InternetSum PseudoHeader(const Ipv4Address& source, const Ipv4Address& destination, std::uint8_t protocol,
                         std::uint16_t length);
InternetSum PseudoHeader(const Ipv6Address& source, const Ipv6Address& destination, std::uint8_t protocol,
                         std::uint32_t length);

// The checksum after a covered field changed from `before` to `after`: RFC 1624, equation 3. Equals a full
// recomputation, except that a message of zeros alone keeps checksum 0 (instead of 0xffff). UDP's 0 (no
// checksum) must be kept by the caller, as must UDP's 0xffff for a computed 0.
std::uint16_t UpdateChecksum16(std::uint16_t checksum, std::uint16_t before, std::uint16_t after);
std::uint16_t UpdateChecksum32(std::uint16_t checksum, std::uint32_t before, std::uint32_t after);
// The same for fields of `before.size` bytes, the same size after, both even and at an even offset.
std::uint16_t UpdateChecksum(std::uint16_t checksum, BytesView before, BytesView after);

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_CHECKSUM_H_
