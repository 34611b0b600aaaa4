// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/fixed_log.h"

#include <gtest/gtest.h>

#include <cmath>

namespace foreflow::predict {
namespace {

TEST(FixedLog, Log2IsWithinItsError) {
  for (std::uint32_t value = 1; value < 1'000'000; value += 1 + value / 500) {
    EXPECT_NEAR(Log2(value) / 4096.0, std::log2(value), 1.0 / 2048) << value;
  }
  for (unsigned bit = 0; bit < 32; ++bit) EXPECT_EQ(Log2(1u << bit), bit << 12);
  EXPECT_NEAR(Log2(UINT32_MAX) / 4096.0, 32.0, 1.0 / 2048);
}

TEST(FixedLog, Exp2IsWithinItsError) {
  for (std::uint32_t x = 0; x < 20 * 4096; ++x) {
    EXPECT_NEAR(Exp2Minus(x) / 65536.0, std::exp2(-(x / 4096.0)), 1.0 / 32768) << x;
  }
  EXPECT_EQ(Exp2Minus(0), 65536u);
  EXPECT_EQ(Exp2Minus(4096), 32768u);
  EXPECT_EQ(Exp2Minus(UINT32_MAX), 0u);
}

}  // namespace
}  // namespace foreflow::predict
