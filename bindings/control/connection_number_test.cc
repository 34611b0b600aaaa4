// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/control/connection_number.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace foreflow::control {
namespace {

struct Connection {
  std::uint16_t number = 0;
};

std::uint16_t Next(std::uint16_t last, const std::vector<Connection>& live) {
  return NextConnectionNumber(last, live.begin(), live.end());
}

TEST(ConnectionNumber, CountsUpAndRound) {
  EXPECT_EQ(Next(0, {}), 1);
  EXPECT_EQ(Next(41, {}), 42);
  EXPECT_EQ(Next(65'535, {}), 0);
}

TEST(ConnectionNumber, SkipsThoseInUse) {
  EXPECT_EQ(Next(6, {{7}}), 8);
  EXPECT_EQ(Next(6, {{9}, {7}, {8}, {10'000}}), 10);
  EXPECT_EQ(Next(65'534, {{65'535}, {0}, {1}}), 2);
}

// One connection stays while others come and go, often enough for numbers to come round twice.
TEST(ConnectionNumber, NeverGivesTheNumberOfAConnectionThatStays) {
  std::vector<Connection> live(64);
  std::uint16_t last = 0;
  for (Connection& connection : live)
    last = connection.number = NextConnectionNumber(last, live.begin(), live.end());
  const std::uint16_t first = live[0].number;
  for (std::size_t i = 0; i < 140'000; ++i) {
    Connection& goes = live[1 + i % 63];
    goes.number = first;  // its number is free
    last = NextConnectionNumber(last, live.begin(), live.end());
    goes.number = last;
    ASSERT_NE(last, first) << i;
  }
  std::set<std::uint16_t> numbers;
  for (const Connection& connection : live) numbers.insert(connection.number);
  EXPECT_EQ(numbers.size(), live.size());
}

}  // namespace
}  // namespace foreflow::control
