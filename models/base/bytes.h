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

// What is written on the data path is read again within a few cycles, and a load that needs more than one
// store waits until all of them have reached the cache. So keys and addresses are written in pieces that are
// no smaller than those they are read in.

// The 8 bytes at `at`, of any alignment, plus 8 * `index`.
inline std::uint64_t LoadWord(const void* at, std::size_t index = 0) {
  std::uint64_t word;
  std::memcpy(&word, static_cast<const std::uint8_t*>(at) + 8 * index, sizeof(word));
  return word;
}
// 16 bytes by one store.
inline void StoreWords(void* at, std::uint64_t first, std::uint64_t second) {
  using Pair = std::uint64_t __attribute__((vector_size(16)));
  const Pair pair = {first, second};
  std::memcpy(at, &pair, sizeof(pair));
}
// 8 bytes by one store.
inline void StoreWord(void* at, std::uint64_t word) { std::memcpy(at, &word, sizeof(word)); }

// Whether two arrays of 16 bytes are equal, as words: memcmp of a length that is known is still a call.
inline bool Equal(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b) {
  return ((LoadWord(&a) ^ LoadWord(&b)) | (LoadWord(&a, 1) ^ LoadWord(&b, 1))) == 0;
}

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_BYTES_H_
