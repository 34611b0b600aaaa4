// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/checksum.h"

#include <cstring>

#include "models/wire/be.h"

namespace foreflow::wire {
namespace {

std::uint16_t Fold(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// The sum is the same in both byte orders but for the order of its own two bytes (RFC 1071, section 2 B), so
// words are added as loaded. 32-bit words in a 64-bit sum cannot overflow it below 16 GiB.
std::uint64_t SumOf(BytesView part) {
  const std::uint8_t* at = part.data;
  std::size_t left = part.size;
  std::uint64_t sum = 0;
  for (; left >= 16; left -= 16, at += 16) {
    std::uint32_t words[4];
    std::memcpy(words, at, sizeof(words));
    sum += words[0];
    sum += words[1];
    sum += words[2];
    sum += words[3];
  }
  for (; left >= 2; left -= 2, at += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    sum += word;
  }
  if (left == 1) {
    std::uint16_t word = 0;
    std::memcpy(&word, at, 1);
    sum += word;
  }
  return sum;
}

}  // namespace

InternetSum& InternetSum::Add(BytesView part) {
  if (part.size == 0) return *this;
  const std::uint16_t sum = Fold(SumOf(part));
  sum_ += is_odd_ ? boost::endian::endian_reverse(sum) : sum;
  is_odd_ ^= (part.size & 1) != 0;
  return *this;
}

InternetSum& InternetSum::Add16(std::uint16_t value) {
  std::uint8_t bytes[2];
  Store16(bytes, value);
  return Add({bytes, sizeof(bytes)});
}

InternetSum& InternetSum::Add32(std::uint32_t value) {
  std::uint8_t bytes[4];
  Store32(bytes, value);
  return Add({bytes, sizeof(bytes)});
}

std::uint16_t InternetSum::Checksum() const {
  return boost::endian::native_to_big(static_cast<std::uint16_t>(~Fold(sum_)));
}

InternetSum PseudoHeader(const Ipv4Address& source, const Ipv4Address& destination, std::uint8_t protocol,
                         std::uint16_t length) {
  InternetSum sum;
  sum.Add({source.data(), source.size()}).Add({destination.data(), destination.size()});
  return sum.Add16(protocol).Add16(length);
}

InternetSum PseudoHeader(const Ipv6Address& source, const Ipv6Address& destination, std::uint8_t protocol,
                         std::uint32_t length) {
  InternetSum sum;
  sum.Add({source.data(), source.size()}).Add({destination.data(), destination.size()});
  return sum.Add32(length).Add32(protocol);
}

std::uint16_t UpdateChecksum16(std::uint16_t checksum, std::uint16_t before, std::uint16_t after) {
  const std::uint64_t sum =
      std::uint64_t{static_cast<std::uint16_t>(~checksum)} + static_cast<std::uint16_t>(~before) + after;
  return static_cast<std::uint16_t>(~Fold(sum));
}

std::uint16_t UpdateChecksum32(std::uint16_t checksum, std::uint32_t before, std::uint32_t after) {
  return UpdateChecksum16(UpdateChecksum16(checksum, static_cast<std::uint16_t>(before >> 16),
                                           static_cast<std::uint16_t>(after >> 16)),
                          static_cast<std::uint16_t>(before), static_cast<std::uint16_t>(after));
}

std::uint16_t UpdateChecksum(std::uint16_t checksum, BytesView before, BytesView after) {
  std::uint64_t sum = static_cast<std::uint16_t>(~checksum);
  for (std::size_t i = 0; i + 1 < before.size; i += 2) {
    sum += static_cast<std::uint16_t>(~Load16(before.data + i));
    sum += Load16(after.data + i);
  }
  return static_cast<std::uint16_t>(~Fold(sum));
}

}  // namespace foreflow::wire
