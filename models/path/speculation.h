// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_SPECULATION_H_
#define FOREFLOW_MODELS_PATH_SPECULATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/units.h"
#include "models/rules/rule_table.h"

namespace foreflow::path {

// Where a predicted destination came from: each source is governed for itself.
enum class Source : std::uint8_t {
  kSuccessor,  // what followed the current destination before
  kReply,      // the other end of a conversation will answer
};
constexpr std::size_t kPredictionSources = 2;

// Predicted destinations that wait to be proved right or wrong, installed or not, so that a governor that is
// shut can open again. First in, first out over as many places as the device grants to unused predictions:
// what is pushed out here is what the device would have evicted. Right is only what was used after its entry
// could be ready: a prediction that comes too late saves nothing.
class Speculations {
 public:
  // Memory for so many guesses. No place (0): nothing is remembered and nothing scored.
  explicit Speculations(std::size_t places);

  struct Guess {
    rules::EntryKey entry;
    std::uint64_t hash = 0;  // of the entry, by one hasher for all calls
    Nanos ready;             // device's clock
    flow::VmId vm = 0;
  };
  // Whether the entry was guessed and still waits.
  bool Waits(const rules::EntryKey& entry, std::uint64_t hash) const {
    return waiting_ > 0 && Find(entry, hash) != kNone;
  }
  // Not of an entry that Waits. True when an older guess was pushed out unproved: `wrong`.
  bool Add(const Guess& guess, Guess& wrong);
  // An entry was used. True when it had been guessed: `guess`, which waits no longer.
  bool Resolve(const rules::EntryKey& entry, std::uint64_t hash, Guess& guess);
  std::size_t places() const { return places_.size(); }
  bool IsEmpty() const { return waiting_ == 0; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Place {
    Guess guess;
    std::uint32_t chain = kNone;  // next in the same bucket
    bool waits = false;
  };
  std::uint32_t& Bucket(std::uint64_t hash) { return bucket_[hash & (bucket_.size() - 1)]; }
  std::uint32_t Find(const rules::EntryKey& entry, std::uint64_t hash) const;
  void Remove(std::uint32_t place);

  std::vector<Place> places_;
  std::vector<std::uint32_t> bucket_;
  std::uint32_t next_ = 0;
  std::uint32_t waiting_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_SPECULATION_H_
