// SPDX-License-Identifier: BSD-3-Clause
#include "models/shard/loss_table.h"

#include <algorithm>
#include <cstring>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/shard/loss_predictor.h"

namespace foreflow::shard {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {'f', 'f', 'l', 'o', 's', 's', '\n', '\0'};
constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kFixedBytes =
    kMagic.size() + 3 * 4 + LossPredictor::kContexts * 2 + kDigestBytes + 8 + 2 + kDigestBytes;

[[noreturn]] void Refuse(const std::string& where, const std::string& what) {
  throw Refusal(where + ": " + what + "; `./foreflow train fragment-loss` makes one");
}

// `at` moves on. There must be as many bytes.
std::uint64_t Take(const std::uint8_t*& at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= std::uint64_t{*at++} << 8 * i;
  return value;
}
void Put(std::vector<std::uint8_t>& to, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) to.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

std::array<std::uint8_t, kDigestBytes> DigestOf(BytesView bytes) {
  crypto::Sha256 sha;
  sha.Update(bytes);
  return sha.Finish();
}

}  // namespace

LossTable ParseLossTable(BytesView bytes, const std::string& where) {
  if (bytes.size < kMagic.size() + 4 || std::memcmp(bytes.data, kMagic.data(), kMagic.size()) != 0)
    Refuse(where, "no table of losses");
  const std::uint8_t* at = bytes.data + kMagic.size();
  if (const std::uint64_t format = Take(at, 4); format != kFormat)
    Refuse(where, "format version " + std::to_string(format) + "; this program reads version 1");
  if (bytes.size < kFixedBytes) Refuse(where, "cut short");
  const BytesView before = bytes.First(bytes.size - kDigestBytes);
  if (std::memcmp(DigestOf(before).data(), before.end(), kDigestBytes) != 0)
    Refuse(where, "cut short or changed: its digest differs");
  if (const std::uint64_t signs = Take(at, 4); signs != LossPredictor::kSigns)
    Refuse(where, "version " + std::to_string(signs) + " of the signs; this program sees version " +
                      std::to_string(LossPredictor::kSigns));
  if (const std::uint64_t contexts = Take(at, 4); contexts != LossPredictor::kContexts)
    Refuse(where,
           std::to_string(contexts) + " contexts; allowed is " + std::to_string(LossPredictor::kContexts));
  LossTable table;
  table.share.reserve(LossPredictor::kContexts);
  for (std::size_t i = 0; i < LossPredictor::kContexts; ++i) {
    const std::uint64_t share = Take(at, 2);
    if (share == 0) Refuse(where, "share " + std::to_string(i) + " = 0; allowed is 1 .. 65535");
    table.share.push_back(static_cast<std::uint16_t>(share));
  }
  std::copy_n(at, kDigestBytes, table.data_sha256.begin());
  at += kDigestBytes;
  table.seed = Take(at, 8);
  const std::uint64_t length = Take(at, 2);
  if (static_cast<std::uint64_t>(before.end() - at) != length)
    Refuse(where, "command of " + std::to_string(length) + " bytes, where there are " +
                      std::to_string(before.end() - at));
  table.command.assign(reinterpret_cast<const char*>(at), length);
  return table;
}

std::vector<std::uint8_t> SerialiseLossTable(const LossTable& table) {
  if (table.share.size() != LossPredictor::kContexts)
    throw Refusal("loss table", "share", std::to_string(table.share.size()), "256 contexts");
  if (std::count(table.share.begin(), table.share.end(), 0) > 0)
    throw Refusal("loss table", "share", "0", "1 .. 65535");
  if (table.command.size() > 65'535)
    throw Refusal("loss table", "command", std::to_string(table.command.size()) + " bytes",
                  "at most 65535 bytes");
  std::vector<std::uint8_t> file(kMagic.begin(), kMagic.end());
  Put(file, kFormat, 4);
  Put(file, LossPredictor::kSigns, 4);
  Put(file, table.share.size(), 4);
  for (const std::uint16_t share : table.share) Put(file, share, 2);
  file.insert(file.end(), table.data_sha256.begin(), table.data_sha256.end());
  Put(file, table.seed, 8);
  Put(file, table.command.size(), 2);
  file.insert(file.end(), table.command.begin(), table.command.end());
  const auto digest = DigestOf({file.data(), file.size()});
  file.insert(file.end(), digest.begin(), digest.end());
  return file;
}

}  // namespace foreflow::shard
