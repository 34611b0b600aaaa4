// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_BE_H_
#define FOREFLOW_MODELS_WIRE_BE_H_

#include <array>
#include <boost/endian/conversion.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace foreflow::wire {

// Network byte order, at any alignment. The caller has checked the bounds.
inline std::uint16_t Load16(const std::uint8_t* at) { return boost::endian::load_big_u16(at); }
inline std::uint32_t Load32(const std::uint8_t* at) { return boost::endian::load_big_u32(at); }
inline std::uint64_t Load64(const std::uint8_t* at) { return boost::endian::load_big_u64(at); }
inline void Store16(std::uint8_t* at, std::uint16_t value) { boost::endian::store_big_u16(at, value); }
inline void Store32(std::uint8_t* at, std::uint32_t value) { boost::endian::store_big_u32(at, value); }
inline void Store64(std::uint8_t* at, std::uint64_t value) { boost::endian::store_big_u64(at, value); }

// Bytes in the order in which they lie, such as addresses.
template <std::size_t kBytes>
std::array<std::uint8_t, kBytes> LoadBytes(const std::uint8_t* at) {
  std::array<std::uint8_t, kBytes> out;
  std::memcpy(out.data(), at, kBytes);
  return out;
}
template <std::size_t kBytes>
void StoreBytes(std::uint8_t* at, const std::array<std::uint8_t, kBytes>& bytes) {
  std::memcpy(at, bytes.data(), kBytes);
}

// Whether [at, end) holds at least `bytes`. A null `at`, which a refused step returned, holds nothing.
inline bool Holds(const std::uint8_t* at, const std::uint8_t* end, std::size_t bytes) {
  return at != nullptr && static_cast<std::size_t>(end - at) >= bytes;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_BE_H_
