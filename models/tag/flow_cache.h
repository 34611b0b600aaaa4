// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TAG_FLOW_CACHE_H_
#define FOREFLOW_MODELS_TAG_FLOW_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/tag/rule_table.h"

namespace foreflow::tag {

// Why an entry is in the device.
enum class InstallCause : std::uint8_t { kMiss, kPredicted };

// The device's bounded memory of decisions: exact match on EntryKey. Full means evict: the least recently used
// entry, or, when next uses are known (the oracle), the one used farthest in the future (Belady 1966).
// An entry may be asked for before it is ready: writes reach the device after the install latency.
class FlowCache {
 public:
  explicit FlowCache(std::size_t capacity);

  struct Hit {
    Decision decision;
    InstallCause cause;
    bool first_use;  // of an entry installed by prediction: the prediction paid
  };
  // Finds a ready entry of the given generation and marks it used. nullptr-like: returns false on a miss.
  bool Lookup(const EntryKey& key, std::uint32_t generation, Nanos now, Hit& hit, Work& work);
  // Whether an entry is there, ready or on its way; does not count as a use.
  bool Contains(const EntryKey& key, std::uint32_t generation) const;

  struct Install {
    EntryKey key;
    Decision decision;
    std::uint32_t generation = 0;
    Nanos ready;                  // when the device can use it
    InstallCause cause = InstallCause::kMiss;
    std::uint64_t next_use = 0;   // farthest-in-future eviction; 0 everywhere means LRU
  };
  struct Evicted {
    bool any = false;
    EntryKey key;
    bool was_unused_prediction = false;  // installed by prediction, evicted before its first use
  };
  Evicted Put(const Install& install, Work& work);
  // Tells the oracle's eviction when the entry will be used next.
  void SetNextUse(const EntryKey& key, std::uint64_t next_use);

  std::size_t size() const;
  std::size_t capacity() const;
};

}  // namespace foreflow::tag

#endif  // FOREFLOW_MODELS_TAG_FLOW_CACHE_H_
