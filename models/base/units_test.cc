// SPDX-License-Identifier: BSD-3-Clause
#include "models/base/units.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <utility>

namespace foreflow {
namespace {

template <typename A, typename B, typename = void>
struct Adds : std::false_type {};
template <typename A, typename B>
struct Adds<A, B, std::void_t<decltype(std::declval<A>() + std::declval<B>())>> : std::true_type {};

static_assert(Adds<Nanos, Nanos>::value);
static_assert(!Adds<Nanos, Picos>::value, "units do not mix");
static_assert(!Adds<Cycles, Bytes>::value, "units of the same representation do not mix");
static_assert(!std::is_convertible_v<std::int64_t, Nanos>, "a bare number has no unit");
static_assert(!std::is_convertible_v<Nanos, std::int64_t>, "a unit is not dropped silently");
static_assert(sizeof(Nanos) == 8 && std::is_trivially_copyable_v<Nanos>);

TEST(Units, CountsAddAndScale) {
  Nanos t = Micros(3);
  t += Nanos(5);
  t -= Nanos(1);
  EXPECT_EQ(t, Nanos(3004));
  EXPECT_EQ(t * 2, Nanos(6008));
  EXPECT_EQ(t / 4, Nanos(751));
  EXPECT_EQ(Seconds(1) / Millis(20), 50);
  EXPECT_LT(Nanos(-1), Nanos());
}

TEST(Units, PicosRoundTowardsThePast) {
  EXPECT_EQ(ToPicos(Nanos(-2)), Picos(-2000));
  EXPECT_EQ(ToNanosFloor(Picos(1999)), Nanos(1));
  EXPECT_EQ(ToNanosFloor(Picos(2000)), Nanos(2));
  EXPECT_EQ(ToNanosFloor(Picos(-1)), Nanos(-1));
  EXPECT_EQ(ToNanosFloor(Picos(-1000)), Nanos(-1));
  EXPECT_EQ(ToNanosFloor(Picos(-1001)), Nanos(-2));
}

}  // namespace
}  // namespace foreflow
