// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/checksum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "models/wire/be.h"

namespace foreflow::wire {
namespace {

using Raw = std::vector<std::uint8_t>;

// RFC 1071, section 4.1, word by word.
std::uint16_t Reference(const Raw& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<std::uint32_t>(bytes[i] << 8) + (i + 1 < bytes.size() ? bytes[i + 1] : 0u);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

std::uint16_t Of(const Raw& bytes) { return InternetChecksum({bytes.data(), bytes.size()}); }

TEST(Checksum, Rfc1071Example) {
  // Section 3: the sum is ddf2.
  EXPECT_EQ(Of({0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}), 0xffff - 0xddf2);
}

TEST(Checksum, EdgeLengths) {
  EXPECT_EQ(Of({}), 0xffff);
  EXPECT_EQ(Of({0x12}), 0xedff);
  EXPECT_EQ(Of(Raw(65535, 0xff)), Reference(Raw(65535, 0xff)));
}

TEST(Checksum, Rfc1624Example) {
  // Section 4: equation 3 gives 0x0000, where equation 2 went wrong with 0xffff.
  EXPECT_EQ(UpdateChecksum16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

RC_GTEST_PROP(ChecksumProperty, EqualsTheReference, (const Raw& bytes)) {
  RC_ASSERT(Of(bytes) == Reference(bytes));
}

RC_GTEST_PROP(ChecksumProperty, PartsOfAnySizeAddUp, (const std::vector<Raw>& parts)) {
  InternetSum sum;
  Raw whole;
  for (const Raw& part : parts) {
    sum.Add({part.data(), part.size()});
    whole.insert(whole.end(), part.begin(), part.end());
  }
  RC_ASSERT(sum.Checksum() == Reference(whole));
}

RC_GTEST_PROP(ChecksumProperty, PseudoHeadersAreTheBytesTheyStandFor,
              (Ipv6Address source, Ipv6Address destination, std::uint8_t protocol, std::uint16_t length)) {
  Raw v6(source.begin(), source.end());
  v6.insert(v6.end(), destination.begin(), destination.end());
  v6.insert(v6.end(), {0, 0, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length), 0, 0,
                       0, protocol});
  RC_ASSERT(PseudoHeader(source, destination, protocol, std::uint32_t{length}).Checksum() == Reference(v6));

  const auto source4 = LoadBytes<4>(source.data());
  const auto destination4 = LoadBytes<4>(destination.data());
  Raw v4(source4.begin(), source4.end());
  v4.insert(v4.end(), destination4.begin(), destination4.end());
  v4.insert(v4.end(),
            {0, protocol, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)});
  RC_ASSERT(PseudoHeader(source4, destination4, protocol, length).Checksum() == Reference(v4));
}

// A message with one word changed: the update of its checksum is the checksum of the changed message.
RC_GTEST_PROP(ChecksumProperty, UpdatesEqualRecomputation, ()) {
  const auto words = *rc::gen::inRange<std::size_t>(5, 40);
  Raw bytes = *rc::gen::container<Raw>(2 * words, rc::gen::arbitrary<std::uint8_t>());
  bytes[0] = 0x45;  // never all zeros
  const Raw before = bytes;
  const std::uint16_t checksum = Reference(before);

  const std::size_t at = 2 * *rc::gen::inRange<std::size_t>(1, words - 1);
  const auto after = *rc::gen::weightedOneOf<std::uint32_t>(
      {{1, rc::gen::element<std::uint32_t>(0, 0xffffffff, 0xffff0000, 0xffff)},
       {3, rc::gen::arbitrary<std::uint32_t>()}});
  Store16(bytes.data() + at, static_cast<std::uint16_t>(after));
  RC_ASSERT(UpdateChecksum16(checksum, Load16(before.data() + at), static_cast<std::uint16_t>(after)) ==
            Reference(bytes));

  Store32(bytes.data() + at, after);
  RC_ASSERT(UpdateChecksum32(checksum, Load32(before.data() + at), after) == Reference(bytes));
  RC_ASSERT(UpdateChecksum(checksum, {before.data(), before.size()}, {bytes.data(), bytes.size()}) ==
            Reference(bytes));
}

}  // namespace
}  // namespace foreflow::wire
