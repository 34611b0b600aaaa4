// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_RESIDENCY_BOUND_SCRIPT_LAW_H_
#define FOREFLOW_BINDINGS_RESIDENCY_BOUND_SCRIPT_LAW_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/flow/flow_key.h"

namespace foreflow::bound {

// The law by which traffic over a rule set was made (datasets/generate/sessions.py): each VM plays scripts,
// one after another, and visits in each step a header, with several packets.
struct ScriptLaw {
  using Header = std::uint32_t;  // an index into `headers`
  using Scripts = std::vector<std::vector<Header>>;
  struct Phase {
    std::uint64_t begin = 0;  // packet of the VM from which on it has these scripts
    Scripts scripts;          // as many as `popularity` has shares
  };
  double sure = 0;                 // a step is to the script's own header, else to one drawn from all scripts
  double goes_on = 0;              // a packet is followed by one of the same visit
  double gap_s = 0, pause_s = 0;   // means: of the gap between packets, and of what is added between visits
  std::vector<double> popularity;  // which script is next; sums to 1
  std::vector<flow::FlowKey> headers;
  std::map<std::uint64_t, std::vector<Phase>> vms;  // by source MAC, first byte highest
};

// The key "law" of the sidecar of a capture. Throws Refusal where it is not there, or not as above.
ScriptLaw LoadScriptLaw(const std::string& sidecar);

// What one VM's past says of its next packet where the law is known: Bayes' rule over where in which script
// it is. Visits to the header of the visit before are told apart by the gaps alone.
class ScriptFilter {
 public:
  // Of packets, a second, after a silence: that go on with the visit, and that begin another.
  struct Hazard {
    double on = 0;
    double turn = 0;
  };
  // `seen_only`: of a step that the VM has not come to before it knows nothing, nor of a header. The law must
  // outlive it.
  ScriptFilter(const ScriptLaw& law, const std::vector<ScriptLaw::Phase>& phases, bool seen_only);

  // The VM's next packet, `gap_s` after its last one.
  void See(ScriptLaw::Header header, double gap_s);
  Hazard After(double silence_s) const;
  ScriptLaw::Header header() const { return header_; }
  // By header, the probability that the next visit is to it, as far as it is known.
  const std::vector<double>& next() const { return next_; }
  // Those that it may be to, each once.
  const std::vector<ScriptLaw::Header>& steps() const { return distinct_; }

 private:
  void Begin(const ScriptLaw::Scripts& scripts);
  std::size_t At(std::size_t script, std::size_t step) const { return first_[script] + step; }
  // The steps of the next visit, from those of this one.
  void Advance(std::vector<double>& steps) const;
  void Foretell();

  const ScriptLaw& law_;
  const std::vector<ScriptLaw::Phase>& phases_;
  bool seen_only_;
  std::uint64_t packets_ = 0;
  std::size_t phase_ = 0;
  const ScriptLaw::Scripts* scripts_ = nullptr;
  std::vector<std::size_t> first_;  // by script
  std::vector<ScriptLaw::Header> distinct_;
  std::vector<ScriptLaw::Header> header_of_step_;  // of all scripts, one after another
  std::vector<double> step_;                       // probability that this visit is of the step
  std::vector<double> moved_;                      // scratch
  std::vector<bool> has_been_;                     // in the step
  std::vector<bool> is_seen_;                      // by header
  std::vector<double> strays_;  // by header: probability where the step's own is not visited
  std::vector<double> next_;
  ScriptLaw::Header header_ = 0;
};

}  // namespace foreflow::bound

#endif  // FOREFLOW_BINDINGS_RESIDENCY_BOUND_SCRIPT_LAW_H_
