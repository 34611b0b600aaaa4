// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_SPECULATION_H_
#define FOREFLOW_MODELS_PATH_SPECULATION_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/predict/governor.h"
#include "models/tag/rule_table.h"

namespace foreflow::path {

// Where a predicted destination came from: each source is governed for itself.
enum class Source : std::uint8_t {
  kSuccessor,  // what followed the current destination before
  kReply,      // the other end of a conversation will answer
};
constexpr std::size_t kPredictionSources = 2;

// Destinations predicted for one VM that wait to be proved right (used within the horizon) or wrong. Scored
// whether or not an entry was installed, so that a shut governor can open again.
class Outstanding {
 public:
  struct Outcome {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
  };

  // False when it waits already.
  bool Add(const tag::EntryKey& entry, Source source, Nanos deadline,
           std::array<predict::Governor, kPredictionSources>& governors, Outcome& outcome);
  // The VM sent to this entry.
  void Resolve(const tag::EntryKey& entry, Nanos now,
               std::array<predict::Governor, kPredictionSources>& governors, Outcome& outcome);

 private:
  static constexpr std::size_t kSlots = 16;
  struct Slot {
    tag::EntryKey entry;
    Nanos deadline;
    Source source = Source::kSuccessor;
    bool waits = false;
  };
  std::array<Slot, kSlots> slots_{};
  std::size_t next_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_SPECULATION_H_
