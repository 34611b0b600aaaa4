// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_CRYPTO_TEST_VECTORS_H_
#define FOREFLOW_MODELS_CRYPTO_TEST_VECTORS_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "models/base/bytes.h"
#include "models/crypto/digest.h"

namespace foreflow::crypto {

using ByteVector = std::vector<std::uint8_t>;

inline BytesView View(const ByteVector& bytes) { return {bytes.data(), bytes.size()}; }
template <std::size_t kSize>
BytesView View(const std::array<std::uint8_t, kSize>& bytes) {
  return {bytes.data(), bytes.size()};
}
inline BytesView View(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline ByteVector FromHex(const std::string& text) {
  ByteVector bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}
template <std::size_t kSize>
std::array<std::uint8_t, kSize> ArrayFromHex(const std::string& text) {
  const ByteVector bytes = FromHex(text);
  EXPECT_EQ(bytes.size(), kSize) << text;
  std::array<std::uint8_t, kSize> array{};
  std::copy_n(bytes.begin(), std::min(kSize, bytes.size()), array.begin());
  return array;
}

// Byte i is start + i * step, as make_vectors.py has it.
inline ByteVector Pattern(std::size_t size, unsigned start, unsigned step) {
  ByteVector bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(start + i * step);
  return bytes;
}

inline std::string Sha256Hex(BytesView bytes) {
  Sha256 stream;
  stream.Update(bytes);
  return Hex(View(stream.Finish()));
}

// The words of each line of vectors/<file> that begins with `kind`.
inline std::vector<std::vector<std::string>> VectorLines(const std::string& file, const std::string& kind) {
  std::ifstream in(std::string(FOREFLOW_SOURCE_DIR) + "/models/crypto/vectors/" + file);
  EXPECT_TRUE(in) << file;
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::vector<std::string> found;
    for (std::string word; words >> word;) found.push_back(word);
    if (!found.empty() && found[0] == kind) lines.push_back(found);
  }
  EXPECT_FALSE(lines.empty()) << kind;
  return lines;
}

}  // namespace foreflow::crypto

#endif  // FOREFLOW_MODELS_CRYPTO_TEST_VECTORS_H_
