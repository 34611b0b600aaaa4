// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_REHEARSAL_H_
#define FOREFLOW_MODELS_PATH_REHEARSAL_H_

#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/rules/flow_cache.h"

namespace foreflow::path {

// Two flow caches of the device's size that exist only in the host's books and see the same packets: one
// filled on misses alone, one with predictions as well. Comparing their punts tells what pre-installation
// saves or costs, the entries it displaces included, before it is done to the device. It is done only while
// the rehearsal punts at least 1 in kGain and kEvidence less than the reactive one, and the device itself has
// not punted 1 in kAllowance more. All counts are halved from time to time, so that old gains cannot pay for
// long losses.
//
// Of a device of 2048 entries or more a sample is rehearsed: 1 entry in 2, 4, 8... by its hash, in caches so
// many times smaller that still hold 1024 or more. Entries are sampled whole, with all their packets and
// predictions, so that the shares of punts stay what they are (dynamic set sampling: Qureshi, Patt 2006), at
// a fraction of the cost; evidence takes as many times longer to gather.
class Rehearsal {
 public:
  // Of a device's flow cache: its entries, its delay from asking to use, and what one VM's may take.
  Rehearsal(std::size_t capacity, Nanos install_latency, const rules::VmBound& bound = {});

  // Whether what happens to this entry is rehearsed.
  bool Rehearses(std::uint64_t hash) const { return (hash >> 40 & (sample_ - 1)) == 0; }
  // One packet, as the device sees it; before the predictions that it leads to.
  void See(const rules::EntryKey& entry, std::uint64_t hash, const rules::RuleChanges& changes, Nanos now,
           Work& work);
  // A predicted destination, whether or not the device is told. Whether its entry is there now (or is not
  // rehearsed); it is for as long as removals() stays.
  bool Predict(const rules::EntryKey& entry, std::uint64_t hash, const rules::RuleChanges& changes, Nanos now,
               Work& work);
  // Entries that have left the cache with predictions.
  std::uint64_t removals() const { return predictive_.removals(); }
  // What both take as the hash of an entry.
  std::uint64_t HashOf(const rules::EntryKey& entry) const { return reactive_.HashOf(entry); }
  // See FlowCache.
  void PrefetchBucket(std::uint64_t hash) const {
    if (!Rehearses(hash)) return;
    reactive_.PrefetchBucket(hash);
    predictive_.PrefetchBucket(hash);
  }
  void PrefetchEntry(std::uint64_t hash) const {
    if (!Rehearses(hash)) return;
    reactive_.PrefetchEntry(hash);
    predictive_.PrefetchEntry(hash);
  }
  // The device punted a packet for want of an entry.
  void SeePunt(std::uint64_t hash) { device_punts_ += Rehearses(hash) ? 1 : 0; }

  // Whether the device may be told of predictions now.
  bool AllowsPredictions() const {
    return predictive_punts_ + reactive_punts_ / kGain + kEvidence < reactive_punts_ &&
           device_punts_ <= reactive_punts_ + reactive_punts_ / kAllowance;
  }

 private:
  static constexpr std::size_t kLeastEntries = 1024;
  static constexpr std::uint64_t kGain = 100;
  static constexpr std::uint64_t kEvidence = 16;
  static constexpr std::uint64_t kAllowance = 200;
  static constexpr std::uint64_t kHalveAt = 1u << 12;

  // True when the packet would have been punted.
  bool Punts(rules::FlowCache& cache, const rules::EntryKey& entry, std::uint64_t hash,
             const rules::RuleChanges& changes, Nanos now, Work& work);

  // 1 in so many, a power of two.
  static std::uint64_t SampleOf(std::size_t capacity);

  std::uint64_t sample_;
  rules::FlowCache reactive_;
  rules::FlowCache predictive_;
  Nanos install_latency_;
  std::uint64_t reactive_punts_ = 0;
  std::uint64_t predictive_punts_ = 0;
  std::uint64_t device_punts_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_REHEARSAL_H_
