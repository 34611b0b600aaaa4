// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_FIXED_LOG_H_
#define FOREFLOW_MODELS_PREDICT_FIXED_LOG_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow::predict {

// Logarithms and powers of two in fixed point, from tables that the compiler computes in integers: the same
// bits everywhere, which the mathematical library does not promise. Errors below 2^-11 bits and 2^-15.
namespace fixed_log_internal {

// log2(1 + i / 256) in units of 2^-12, by repeated squaring: each tells one more bit.
constexpr std::array<std::uint16_t, 257> MakeLog2() {
  std::array<std::uint16_t, 257> table{};
  for (std::size_t i = 0; i < 256; ++i) {
    std::uint64_t value = (std::uint64_t{256} + i) << 22;  // [1, 2), 2^-30
    std::uint32_t log = 0;
    for (int bit = 0; bit < 13; ++bit) {
      value = (value * value) >> 30;
      log <<= 1;
      if (value >> 31 != 0) {
        value >>= 1;
        log |= 1;
      }
    }
    table[i] = static_cast<std::uint16_t>((log + 1) / 2);
  }
  table[256] = 1 << 12;
  return table;
}

constexpr std::uint64_t SquareRoot(std::uint64_t value) {
  std::uint64_t root = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const std::uint64_t tried = root | std::uint64_t{1} << bit;
    if (tried <= value / tried) root = tried;
  }
  return root;
}

// 2^(-i / 256) in units of 2^-16: powers of the 256th root of one half.
constexpr std::array<std::uint32_t, 257> MakeExp2() {
  std::uint64_t root = std::uint64_t{1} << 31;  // one half, 2^-32
  for (int i = 0; i < 8; ++i) root = SquareRoot(root << 32);
  std::array<std::uint32_t, 257> table{};
  std::uint64_t power = std::uint64_t{1} << 32;
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<std::uint32_t>((power + (1 << 15)) >> 16);
    power = i == 0 ? root : (power * root) >> 32;
  }
  return table;
}

// A value and how far the next one is from it, upwards or downwards: what interpolation needs of one place.
template <typename T>
struct Sample {
  T value = 0;
  T step = 0;
};

template <typename T>
constexpr std::array<Sample<T>, 256> MakeSamples(const std::array<T, 257>& table) {
  std::array<Sample<T>, 256> samples{};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const T here = table[i], next = table[i + 1];
    samples[i].value = here;
    samples[i].step = static_cast<T>(here < next ? next - here : here - next);
  }
  return samples;
}

inline constexpr std::array<Sample<std::uint16_t>, 256> kLog2 = MakeSamples(MakeLog2());
inline constexpr std::array<Sample<std::uint32_t>, 256> kExp2 = MakeSamples(MakeExp2());

}  // namespace fixed_log_internal

// log2(value) in units of 2^-12, for value >= 1.
constexpr std::uint32_t Log2(std::uint32_t value) {
  const std::uint32_t whole = 31u - static_cast<std::uint32_t>(__builtin_clz(value));
  const std::uint64_t mantissa = (std::uint64_t{value} << 32) >> whole;  // [1, 2), 2^-32
  const auto index = static_cast<std::size_t>((mantissa >> 24) & 255);
  const auto rest = static_cast<std::uint32_t>((mantissa >> 16) & 255);
  const auto& [low, step] = fixed_log_internal::kLog2[index];
  return (whole << 12) + low + ((step * rest) >> 8);
}

// 2^-x in units of 2^-16, for x in units of 2^-12.
constexpr std::uint32_t Exp2Minus(std::uint32_t x) {
  const std::uint32_t whole = x >> 12 < 31 ? x >> 12 : 31;  // from 17 on all that is left is shifted out
  const std::size_t index = (x >> 4) & 255;
  const auto& [high, step] = fixed_log_internal::kExp2[index];
  return (high - ((step * (x & 15)) >> 4)) >> whole;
}

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_FIXED_LOG_H_
