// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PATH_PACKET_PATH_H_
#define FOREFLOW_MODELS_PATH_PACKET_PATH_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "models/path/arrival.h"
#include "models/path/counters.h"
#include "models/path/description.h"
#include "models/path/expectation.h"
#include "models/path/future.h"
#include "models/path/path_config.h"
#include "models/path/rule_set.h"
#include "models/path/stages.h"
#include "models/path/tagged.h"
#include "models/path/verdict.h"

namespace foreflow::path {

// One packet to decide, in the caller's memory. `parsed` is Parse(*arrival); `verdict` is written; `work` is
// added to: it may be the same for several jobs.
struct Job {
  const Arrival* arrival = nullptr;
  const Parsed* parsed = nullptr;
  Verdict* verdict = nullptr;
  StageWork* work = nullptr;
};

// The whole path of one lane of a host and its device (lanes.h). Not thread-safe.
// The verdict stream depends on configuration, arrivals and their times alone; never on how long anything
// took.
class PacketPath {
 public:
  // `future` is needed by the oracle arms only (else may be nullptr) and must outlive the path. Throws
  // Refusal on an impossible configuration. All memory is sized here.
  PacketPath(const PathConfig& config, const Future* future);
  ~PacketPath();
  PacketPath(const PacketPath&) = delete;
  PacketPath& operator=(const PacketPath&) = delete;

  // Decides up to kBurst packets; `work` (one a packet) is added to. A burst of one gives the same verdicts.
  void Process(const Arrival* arrivals, std::size_t count, Verdict* verdicts, StageWork* work);
  // The same for packets that are parsed already and do not lie side by side. Arrival times never run
  // backwards, from call to call either.
  void Process(const Job* jobs, std::size_t count);

  // The two halves of Process for one packet, for doors that put a bus between host and device. HostSide must
  // be called before DeviceSide, packet by packet in arrival order. The tag may be altered in between: that
  // is what it protects from.
  // `parsed` is Parse(arrival).
  void HostSide(const Arrival& arrival, const Parsed& parsed, Tagged& tagged, StageWork& work);
  void DeviceSide(const Arrival& arrival, const Tagged& tagged, Verdict& verdict, StageWork& work);

  // Decides by the rules, tag rules and meters of `set` from the next packet on; `set` takes those that were
  // in use. Takes no memory and no longer than the exchange of a few pointers and the meters' tokens. Not for
  // arms that know the future: what they know is of the rules they began with.
  void SwapRules(RuleSet& set) noexcept;

  // Makes the changes from the next packet on, or throws Refusal and makes none (RuleTable::Apply; besides, a
  // meter that is not defined, and a device with a table of rules). Flow entries that they do not touch stay.
  // Takes memory: for doors whose packets can wait. Not for arms that know the future, nor after AdoptRules.
  void ApplyRules(const rules::RuleBatch& batch);
  // The same for doors whose packets cannot: decides by `table` from the next packet on, at the cost of a
  // pointer. `table` has the rules of rules() and changes that CheckRules let pass, must stay as it is until
  // another has been adopted or swapped in, and may be that of several lanes.
  void AdoptRules(const rules::RuleTable& table) noexcept;
  void CheckRules(const rules::RuleBatch& batch) const;
  // What decides now.
  const rules::RuleTable& rules() const;

  // Seals tags of `epoch`, with keys from `master`, from the next packet on, and accepts the epoch before
  // until `overlap` after `now`. False, and nothing done, where the epoch is not later than the one in use,
  // or the configuration rotates keys by time. Takes no memory; derives two keys a VM.
  bool RotateTagKeys(std::uint64_t epoch, const crypto::Key128& master, Nanos now, Nanos overlap);

  // What stands behind a packet's decision. To be called between its HostSide and DeviceSide, which are not
  // affected. Not for the data path: allocates.
  Description Describe(const Arrival& arrival) const;

  // What the profiling module expects of a VM here, the nearest first; `limit` of them at most. Returns how
  // many: none in arms without a profile. Takes no memory.
  std::size_t Expect(flow::VmId vm, Expectation* out, std::size_t limit) const;
  // What somebody else expects of expected.key.vm, in arm predictive. Has the device made ready: an entry (or
  // a rule) ahead of its first packet, by the full table's decision. Of likelihoods from
  // config.minimum_confidence on, within the budgets of predictions; after the first 32 of a VM that came
  // true or did not, only while those told of it pay (h > h*). The type is said of the destination's packets
  // where that is no less sure than what is predicted here, by tags, hence within config.tag_authority, while
  // types that were told and would move packets that way pay: of this VM, or of all where it has had less
  // than 32 of them (ToldTypes says for how long). True where something was written. Takes no memory.
  bool TakeExpectation(const Expectation& expected, Nanos now);

  const Counters& counters() const;
  // What actions in use do to packets, by Verdict::change.
  const std::vector<rules::PacketChange>& changes() const;
  // What each rule in use has decided, and for what packets each tag rule chose, since it came into use.
  const rules::RuleStatistics& rule_statistics() const;
  const rules::RuleStatistics& tag_rule_statistics() const;
  // The trained models that predict types, to look at; null where there are none.
  const predict::TieredPredictor* models() const;

 private:
  void RotateByTime(Nanos now);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace foreflow::path

#endif  // FOREFLOW_MODELS_PATH_PACKET_PATH_H_
