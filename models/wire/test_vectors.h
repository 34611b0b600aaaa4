// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_WIRE_TEST_VECTORS_H_
#define FOREFLOW_MODELS_WIRE_TEST_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace foreflow::wire {

// For tests: models/wire/vectors/`file`, lines of a name and its bytes in hexadecimal; # begins a comment.
inline std::map<std::string, std::vector<std::uint8_t>> ReadVectors(const std::string& file) {
  std::ifstream lines(FOREFLOW_SOURCE_DIR "/models/wire/vectors/" + file);
  std::map<std::string, std::vector<std::uint8_t>> vectors;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.find(' ');
    std::vector<std::uint8_t>& bytes = vectors[line.substr(0, space)];
    for (std::size_t at = space + 1; at + 1 < line.size(); at += 2) {
      bytes.push_back(static_cast<std::uint8_t>(std::stoul(line.substr(at, 2), nullptr, 16)));
    }
  }
  return vectors;
}

}  // namespace foreflow::wire

#endif  // FOREFLOW_MODELS_WIRE_TEST_VECTORS_H_
