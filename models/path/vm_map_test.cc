// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/vm_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace foreflow::path {
namespace {

wire::Dissection From(std::uint16_t mac, std::uint8_t address = 0) {
  wire::Dissection packet;
  packet.source_mac[4] = static_cast<std::uint8_t>(mac >> 8);
  packet.source_mac[5] = static_cast<std::uint8_t>(mac);
  packet.source_address[3] = address;
  return packet;
}

TEST(VmMap, NumbersSendersInOrderOfAppearanceUpToTheBound) {
  const std::uint64_t seed = 9;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  VmMap map(40);
  std::map<std::uint16_t, flow::VmId> naive;
  for (int i = 0; i < 5000; ++i) {
    const auto mac = static_cast<std::uint16_t>(1 + random() % 60);
    flow::VmId expected = 0;
    if (const auto known = naive.find(mac); known != naive.end()) {
      expected = known->second;
    } else if (naive.size() < 40) {
      expected = static_cast<flow::VmId>(naive.size() + 1);
      naive[mac] = expected;
    }
    ASSERT_EQ(map.VmOf(From(mac)), expected);
  }
  EXPECT_EQ(map.size(), 40u);
}

TEST(VmMap, TakesTheAddressWhereThereIsNoMac) {
  VmMap map(4);
  EXPECT_EQ(map.VmOf(From(0, 1)), 1);
  EXPECT_EQ(map.VmOf(From(0, 2)), 2);
  EXPECT_EQ(map.VmOf(From(0, 1)), 1);
  EXPECT_EQ(map.VmOf(From(7, 1)), 3);  // a MAC speaks first
}

}  // namespace
}  // namespace foreflow::path
