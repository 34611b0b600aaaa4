// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_SHARD_LOSS_TABLE_H_
#define FOREFLOW_MODELS_SHARD_LOSS_TABLE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/bytes.h"

namespace foreflow::shard {

// How likely a number that is missing is lost, by context of LossPredictor: learnt by
// `./foreflow train fragment-loss`, and what LossPredictorConfig::trained takes.
struct LossTable {
  std::vector<std::uint16_t> share;            // [LossPredictor::kContexts], 1 .. 65535; 65536 = 1
  std::array<std::uint8_t, 32> data_sha256{};  // of the rows that it was learnt from
  std::uint64_t seed = 0;
  std::string command;  // that made it
};

// The file, all numbers little-endian:
//
//   8 B "ffloss\n\0" | u32 format version, 1 | u32 LossPredictor::kSigns | u32 contexts | u16 share[contexts]
//   | 32 B data_sha256 | u64 seed | u16 length, command | 32 B SHA-256 of all before it
//
// `where` names the file in sentences. Throws Refusal where the bytes are no such file, of another version of
// format or signs, cut short, changed, or hold a number out of range.
LossTable ParseLossTable(BytesView bytes, const std::string& where);

// The inverse: equal tables give equal bytes. Throws Refusal where ParseLossTable would refuse the bytes.
std::vector<std::uint8_t> SerialiseLossTable(const LossTable& table);

}  // namespace foreflow::shard

#endif  // FOREFLOW_MODELS_SHARD_LOSS_TABLE_H_
