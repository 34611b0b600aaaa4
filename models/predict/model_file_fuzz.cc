// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/predict/model_file.h"

// Input: a file of a model. It is read as it is, and with its length and digest put right, so that what is
// behind them is reached too. What is accepted is written back to the same bytes.
namespace {

using namespace foreflow;

constexpr std::size_t kLengthAt = 12;
constexpr std::size_t kBodyAt = 20;
constexpr std::size_t kDigestBytes = 32;

void Try(const std::vector<std::uint8_t>& file) {
  try {
    const predict::Model model = predict::ParseModel({file.data(), file.size()}, "fuzz");
    if (predict::SerialiseModel(model) != file) std::abort();
  } catch (const Refusal&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> file(data, data + size);
  Try(file);
  if (size < kBodyAt + kDigestBytes) return 0;
  const std::uint64_t body = size - kBodyAt - kDigestBytes;
  for (std::size_t i = 0; i < 8; ++i) file[kLengthAt + i] = static_cast<std::uint8_t>(body >> (8 * i));
  crypto::Sha256 sha;
  sha.Update({file.data(), size - kDigestBytes});
  const auto digest = sha.Finish();
  std::copy(digest.begin(), digest.end(), file.end() - kDigestBytes);
  Try(file);
  return 0;
}
