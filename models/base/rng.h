// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_RNG_H_
#define FOREFLOW_MODELS_BASE_RNG_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/hash.h"

namespace foreflow {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): a
// bijection of 128-bit counters chosen by a 64-bit key.
constexpr std::array<std::uint32_t, 4> Philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xd2511f53u} * counter[0];
    const std::uint64_t right = std::uint64_t{0xcd9e8d57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(right),
        static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(left)};
    key = {key[0] + 0x9e3779b9u, key[1] + 0xbb67ae85u};
  }
  return counter;
}

// A stream of random numbers, named: (seed, name, index) say which. Streams do not overlap: the seed is
// Philox's key, name and index are the upper half of its counter. So a new consumer, with its own name,
// changes no other consumer's numbers, and arms that draw from equally named streams see common random
// numbers. The numbers are the same on every compiler and machine: no distribution calls the mathematical
// library.
class Rng {
 public:
  // `name` ends in a zero; it is not kept.
  Rng(std::uint64_t seed, const char* name, std::uint32_t index = 0)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        stream_{index, HashName(name)} {}

  // Uniform over all values.
  std::uint32_t Next32() {
    if (used_ == block_.size()) {
      block_ = Philox4x32({static_cast<std::uint32_t>(next_block_),
                           static_cast<std::uint32_t>(next_block_ >> 32), stream_[0], stream_[1]},
                          key_);
      ++next_block_;
      used_ = 0;
    }
    return block_[used_++];
  }
  std::uint64_t Next64() {
    const std::uint64_t low = Next32();
    return low | std::uint64_t{Next32()} << 32;
  }

  // Uniform in [0, bound), without bias (Lemire 2019). bound > 0.
  std::uint32_t Below(std::uint32_t bound) {
    std::uint64_t product = std::uint64_t{Next32()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t first_fair = (0u - bound) % bound;
      while (static_cast<std::uint32_t>(product) < first_fair) product = std::uint64_t{Next32()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  // Uniform in [0, 1), a multiple of 2^-53.
  double Real() { return static_cast<double>(Next64() >> 11) * 0x1p-53; }

  // Exponentially distributed with the given mean, by comparing uniform numbers only (von Neumann 1951): a
  // run of falling numbers that has odd length keeps its first as the fraction, an even one adds 1 and tries
  // again.
  double Exponential(double mean) {
    for (std::uint64_t whole = 0;; ++whole) {
      const std::uint64_t first = Next64() >> 11;
      std::uint64_t last = first;
      bool odd = true;
      for (std::uint64_t next = Next64() >> 11; next < last; next = Next64() >> 11) {
        last = next;
        odd = !odd;
      }
      if (odd) return mean * (static_cast<double>(whole) + static_cast<double>(first) * 0x1p-53);
    }
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> stream_;
  std::uint64_t next_block_ = 0;
  std::array<std::uint32_t, 4> block_{};
  std::size_t used_ = 4;
};

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_RNG_H_
