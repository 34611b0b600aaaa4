// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_BYTES_H_
#define FOREFLOW_MODELS_BASE_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace foreflow {

// Bytes owned by somebody else, to read. Valid only as long as their owner keeps them.
struct BytesView {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;

  constexpr const std::uint8_t* begin() const { return data; }
  constexpr const std::uint8_t* end() const { return data + size; }
  // The part from `offset` on; empty where offset is past the end.
  constexpr BytesView From(std::size_t offset) const {
    return offset >= size ? BytesView{data + size, 0} : BytesView{data + offset, size - offset};
  }
  // The first `count` bytes, or all where there are fewer.
  constexpr BytesView First(std::size_t count) const { return {data, count < size ? count : size}; }
};

// Bytes owned by somebody else, to write.
struct MutableBytes {
  std::uint8_t* data = nullptr;
  std::size_t size = 0;

  constexpr std::uint8_t* begin() const { return data; }
  constexpr std::uint8_t* end() const { return data + size; }
  constexpr operator BytesView() const { return {data, size}; }
};

// Whether two arrays of 16 bytes are equal, as words: memcmp of a length that is known is still a call.
inline bool Equal(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b) {
  std::array<std::uint64_t, 2> left, right;
  std::memcpy(left.data(), a.data(), a.size());
  std::memcpy(right.data(), b.data(), b.size());
  return ((left[0] ^ right[0]) | (left[1] ^ right[1])) == 0;
}

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_BYTES_H_
