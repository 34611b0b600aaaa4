// SPDX-License-Identifier: BSD-3-Clause
#include "models/wire/address_text.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace foreflow::wire {
namespace {

TEST(AddressText, Refused) {
  for (const char* text :
       {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.4 ", "1..3.4", "+1.2.3.4", "a.2.3.4"}) {
    EXPECT_FALSE(ParseIpv4(text)) << text;
  }
  for (const char* text :
       {"", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "1:2:3:4::5:6:7:8",
        "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "fe80::1%eth0", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "-1::"}) {
    EXPECT_FALSE(ParseIpv6(text)) << text;
    Ipv6Address peer;
    EXPECT_EQ(inet_pton(AF_INET6, text, peer.data()), 0) << text;
  }
  for (const char* text : {"", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "02-00-00-00-00-01",
                           "0g:00:00:00:00:01"}) {
    EXPECT_FALSE(ParseMac(text)) << text;
  }
}

TEST(AddressText, Macs) {
  const Mac mac{0x02, 0xab, 0, 0, 0xff, 1};
  EXPECT_EQ(Text(mac), "02:ab:00:00:ff:01");
  EXPECT_EQ(ParseMac("02:AB:00:00:ff:01"), mac);
}

TEST(AddressText, Rfc5952Examples) {
  for (const char* text : {"::", "::1", "2001:db8::1", "2001:db8::1:0:0:1", "2001:0:0:1::1",
                           "2001:db8:0:1:1:1:1:1", "1::", "1:2:3:4:5:6:7:8"}) {
    const auto address = ParseIpv6(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(Text(*address), text);
  }
}

RC_GTEST_PROP(AddressTextProperty, Ipv4AgreesWithTheSystem, (Ipv4Address address)) {
  char peer[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, address.data(), peer, sizeof(peer));
  RC_ASSERT(Text(address) == peer);
  RC_ASSERT(ParseIpv4(peer) == address);
}

RC_GTEST_PROP(AddressTextProperty, Ipv6AgreesWithTheSystem, ()) {
  // Zeros are common in addresses, and what the short form is about.
  Ipv6Address address{};
  for (std::size_t i = 0; i < address.size(); i += 2) {
    const auto group = *rc::gen::weightedOneOf<std::uint16_t>(
        {{2, rc::gen::just<std::uint16_t>(0)}, {1, rc::gen::arbitrary<std::uint16_t>()}});
    address[i] = static_cast<std::uint8_t>(group >> 8);
    address[i + 1] = static_cast<std::uint8_t>(group);
  }
  char peer[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, address.data(), peer, sizeof(peer));
  RC_ASSERT(ParseIpv6(peer) == address);
  RC_ASSERT(ParseIpv6(Text(address)) == address);
  if (std::string(peer).find('.') == std::string::npos) RC_ASSERT(Text(address) == peer);
}

}  // namespace
}  // namespace foreflow::wire
