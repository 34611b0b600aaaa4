// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_REHEARSAL_H_
#define FOREFLOW_MODELS_PATH_REHEARSAL_H_

#include <cstddef>
#include <cstdint>

#include "models/base/units.h"
#include "models/tag/flow_cache.h"

namespace foreflow::path {

// Two flow caches of the device's size that exist only in the host's books and see the same packets: one
// filled on misses alone, one with predictions as well. Comparing their punts tells what pre-installation
// saves or costs, the entries it displaces included, before it is done to the device. It is done only while
// the rehearsal punts at least 1 in kGain and kEvidence less than the reactive one, and the device itself has
// not punted 1 in kAllowance more. All counts are halved from time to time, so that old gains cannot pay for
// long losses.
class Rehearsal {
 public:
  Rehearsal(std::size_t capacity, Nanos install_latency);

  // One packet, as the device sees it; before the predictions that it leads to.
  void See(const tag::EntryKey& entry, std::uint64_t hash, std::uint32_t generation, Nanos now, Work& work);
  // A predicted destination, whether or not the device is told. Whether its entry is there now; it is for as
  // long as removals() stays.
  bool Predict(const tag::EntryKey& entry, std::uint64_t hash, std::uint32_t generation, Nanos now,
               Work& work);
  std::uint64_t removals() const { return predictive_.removals(); }
  // What both take as the hash of an entry.
  std::uint64_t HashOf(const tag::EntryKey& entry) const { return reactive_.HashOf(entry); }
  void PrefetchBucket(std::uint64_t hash) const {
    reactive_.PrefetchBucket(hash);
    predictive_.PrefetchBucket(hash);
  }
  void PrefetchEntry(std::uint64_t hash) const {
    reactive_.PrefetchEntry(hash);
    predictive_.PrefetchEntry(hash);
  }
  // The device punted a packet for want of an entry.
  void SeePunt() { ++device_punts_; }

  bool AllowsPredictions() const {
    return predictive_punts_ + reactive_punts_ / kGain + kEvidence < reactive_punts_ &&
           device_punts_ <= reactive_punts_ + reactive_punts_ / kAllowance;
  }

 private:
  static constexpr std::uint64_t kGain = 100;
  static constexpr std::uint64_t kEvidence = 16;
  static constexpr std::uint64_t kAllowance = 200;
  static constexpr std::uint64_t kHalveAt = 1u << 12;

  // True when the packet would have been punted.
  bool Punts(tag::FlowCache& cache, const tag::EntryKey& entry, std::uint64_t hash, std::uint32_t generation,
             Nanos now, Work& work);

  tag::FlowCache reactive_;
  tag::FlowCache predictive_;
  Nanos install_latency_;
  std::uint64_t reactive_punts_ = 0;
  std::uint64_t predictive_punts_ = 0;
  std::uint64_t device_punts_ = 0;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_REHEARSAL_H_
