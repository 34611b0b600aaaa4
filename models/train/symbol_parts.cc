// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/symbol_parts.h"

#include "models/predict/sequence_features.h"

namespace foreflow::train {
namespace {

// Kinds of sequence_features.h: data that opens (3 starts x 4 sizes x PSH), data of a run (5 stages x 3 sizes
// x PSH), SYN, SYN of an idle sender, RST, FIN, pure ACK (plain, after silence, of an idle sender).
constexpr std::uint32_t kFirstOfRun = 24;
constexpr std::uint32_t kOpening = 54;
constexpr std::uint32_t kBare = 58;
constexpr std::uint32_t kSizes = 4;

enum Part : std::uint32_t {
  kIdle,
  kSilence,
  kGroup,
  kOther,
  kAnswerer,
  kOpens,
  kRuns,
  kPush,
  kNoData,
  kBirth,                   // of a flow, before its first packet
  kSize,                    // kSizes
  kStage = kSize + kSizes,  // 5
  kKind = kStage + 5,       // kSequenceKinds
  kParts = kKind + predict::kSequenceKinds
};

}  // namespace

SymbolParts PartsOf(const std::string& task, std::uint32_t feature_set, std::uint32_t symbols) {
  SymbolParts parts;
  static_assert(predict::kSequenceFeatureSet == 2 &&
                    predict::kSequenceSymbols == predict::kSequenceFirstRole + 2 * predict::kSequenceKinds,
                "the parts are those of feature set 2");
  const bool is_of_packets = task == "next-type" || task == "next-packet" || task == "flow-size";
  if (!is_of_packets || feature_set != predict::kSequenceFeatureSet || symbols < predict::kSequenceSymbols) {
    return parts;
  }
  parts.count = kParts;
  parts.has.assign(std::size_t{symbols} * kParts, 0);
  for (std::uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const auto mark = [&](std::uint32_t part, bool has = true) {
      if (has) parts.has[std::size_t{symbol} * kParts + part] = 1;
    };
    if (symbol >= predict::kSequenceSymbols) {
      mark(kBirth);
      continue;
    }
    if (symbol < predict::kSequenceFirstRole) {
      mark(symbol < 2 ? kGroup : kOther);
      mark(kIdle, symbol % 2 == 1);
      continue;
    }
    const std::uint32_t kind = (symbol - predict::kSequenceFirstRole) % predict::kSequenceKinds;
    mark(kAnswerer, symbol - predict::kSequenceFirstRole >= predict::kSequenceKinds);
    mark(kKind + kind);
    if (kind < kFirstOfRun) {
      mark(kOpens);
      mark(kSilence, kind / 8 == 1);
      mark(kIdle, kind / 8 == 2);
      mark(kSize + kind % 8 / 2);
      mark(kPush, kind % 2 == 1);
    } else if (kind < kOpening) {
      mark(kRuns);
      mark(kStage + (kind - kFirstOfRun) / 6);
      mark(kSize + 1 + (kind - kFirstOfRun) % 6 / 2);
      mark(kPush, kind % 2 == 1);
    } else {
      mark(kNoData);
      mark(kIdle, kind == kOpening + 1 || kind == kBare + 2);
      mark(kSilence, kind == kBare + 1);
    }
  }
  return parts;
}

}  // namespace foreflow::train
