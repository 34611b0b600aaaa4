// SPDX-License-Identifier: BSD-3-Clause
#include "models/path/rehearsal.h"

namespace foreflow::path {
namespace {

rules::FlowCache::Install InstallOf(const rules::EntryKey& entry, Nanos ready, rules::InstallCause cause) {
  rules::FlowCache::Install install;
  install.key = entry;
  install.ready = ready;
  install.cause = cause;
  return install;
}

rules::VmBound ShareOf(const rules::VmBound& bound, std::uint64_t sample) {
  return {bound.entries / sample + (bound.entries % sample != 0 ? 1 : 0), bound.vms};
}

}  // namespace

Rehearsal::Rehearsal(std::size_t capacity, Nanos install_latency, const rules::VmBound& bound)
    : sample_(SampleOf(capacity)),
      reactive_(capacity / sample_, 0, ShareOf(bound, sample_)),
      predictive_(capacity / sample_, 0, ShareOf(bound, sample_)),
      install_latency_(install_latency) {}

std::uint64_t Rehearsal::SampleOf(std::size_t capacity) {
  std::uint64_t sample = 1;
  while (capacity / (2 * sample) >= kLeastEntries) sample *= 2;
  return sample;
}

void Rehearsal::See(const rules::EntryKey& entry, std::uint64_t hash, const rules::RuleChanges& changes,
                    Nanos now, Work& work) {
  if (!Rehearses(hash)) return;
  if (Punts(predictive_, entry, hash, changes, now, work)) ++predictive_punts_;
  if (Punts(reactive_, entry, hash, changes, now, work)) ++reactive_punts_;
  if (reactive_punts_ >= kHalveAt) {
    reactive_punts_ /= 2;
    predictive_punts_ /= 2;
    device_punts_ /= 2;
  }
}

bool Rehearsal::Predict(const rules::EntryKey& entry, std::uint64_t hash, const rules::RuleChanges& changes,
                        Nanos now, Work& work) {
  if (!Rehearses(hash)) return true;
  if (predictive_.Contains(entry, hash, changes)) return true;
  const rules::FlowCache::Install install =
      InstallOf(entry, now + install_latency_, rules::InstallCause::kPredicted);
  return predictive_.Put(install, hash, changes, work).installed;
}

bool Rehearsal::Punts(rules::FlowCache& cache, const rules::EntryKey& entry, std::uint64_t hash,
                      const rules::RuleChanges& changes, Nanos now, Work& work) {
  rules::FlowCache::Hit hit;
  if (cache.Lookup(entry, hash, changes, now, hit, work)) return false;
  if (!cache.Contains(entry, hash, changes)) {
    cache.Put(InstallOf(entry, now + install_latency_, rules::InstallCause::kMiss), hash, changes, work);
  }
  return true;
}

}  // namespace foreflow::path
