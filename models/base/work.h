// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_BASE_WORK_H_
#define FOREFLOW_MODELS_BASE_WORK_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace foreflow {

// What the cores count and hw-models prices. A stage adds what it did; nobody measures time here.
enum class WorkItem : std::uint8_t {
  kHeader,        // protocol headers decoded or written
  kByteParsed,    // bytes looked at by the dissector
  kHash,          // table hashes computed
  kProbe,         // table slots or buckets compared
  kCacheLine,     // distinct 64 B lines of table memory touched
  kMacWord,       // 8 B words through the tag MAC
  kTableStep,     // look-ups in a predictor's table
  kMultiplyAdd,   // multiply-adds of an inference
  kRuleCompare,   // rules compared field by field
  kUpdate,        // counters, profiles or state records written
  kByteCopied,    // packet bytes copied
  kInstall,       // entries written to the device's flow cache
  kSeal,          // messages sealed or opened by a cipher (AES-256-GCM where it is priced)
  kByteCiphered,  // bytes of their text
  kCount,
};

constexpr std::size_t kWorkItems = static_cast<std::size_t>(WorkItem::kCount);

// Work done by one stage for one packet (or summed over many). Plain counts.
struct Work {
  std::array<std::uint32_t, kWorkItems> count{};

  constexpr void Add(WorkItem item, std::uint32_t amount = 1) {
    count[static_cast<std::size_t>(item)] += amount;
  }
  constexpr std::uint32_t operator[](WorkItem item) const { return count[static_cast<std::size_t>(item)]; }
  constexpr Work& operator+=(const Work& other) {
    for (std::size_t i = 0; i < kWorkItems; ++i) count[i] += other.count[i];
    return *this;
  }
  constexpr bool operator==(const Work& other) const {
    for (std::size_t i = 0; i < kWorkItems; ++i) {
      if (count[i] != other.count[i]) return false;
    }
    return true;
  }
};

// The snake_case name of an item, as profiles and traces spell it; nullptr out of range.
const char* Name(WorkItem item);

}  // namespace foreflow

#endif  // FOREFLOW_MODELS_BASE_WORK_H_
