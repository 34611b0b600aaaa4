// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/shard/loss_table.h"

namespace {

using namespace foreflow;

constexpr std::size_t kDigestBytes = 32;

void Try(const std::vector<std::uint8_t>& file) {
  try {
    const shard::LossTable table = shard::ParseLossTable({file.data(), file.size()}, "fuzz");
    if (shard::SerialiseLossTable(table) != file) std::abort();
  } catch (const Refusal&) {
  }
}

}  // namespace

// Input: a file of a table. It is read as it is, and with its digest put right, so that what is behind that
// is reached too. What is accepted is written back to the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> file(data, data + size);
  Try(file);
  if (size < kDigestBytes) return 0;
  crypto::Sha256 sha;
  sha.Update({file.data(), size - kDigestBytes});
  const auto digest = sha.Finish();
  std::copy(digest.begin(), digest.end(), file.end() - static_cast<std::ptrdiff_t>(kDigestBytes));
  Try(file);
  return 0;
}
