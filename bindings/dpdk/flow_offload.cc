// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/dpdk/flow_offload.h"

#include <algorithm>
#include <map>
#include <utility>

#include "models/rules/dependency.h"
#include "models/rules/match.h"

namespace foreflow::dpdk {
namespace {

using rules::Rule;

// Of one rule and one kind of packets.
enum class State : std::uint8_t {
  kNothing,   // the rule matches none
  kInPort,    // all that match are decided there
  kLeft,      // all that match are left to software, by an entry
  kSoftware,  // no entry speaks of all that match
};

class Offloader {
 public:
  Offloader(const std::vector<Rule>& rules, const OffloadScope& scope, const InstallEntry& install)
      : scope_(scope), install_(install) {
    for (const Rule& rule : rules) {
      const bool is_of_port = rule.vm == rules::kAnyVm || !scope.vm || rule.vm == *scope.vm;
      if (is_of_port) rules_.push_back(rule);
    }
    std::sort(rules_.begin(), rules_.end(), rules::Outranks);
    for (std::size_t rank = 0; rank < rules_.size(); ++rank) rank_of_[rules_[rank].id] = rank;
    kinds_ = FlowKindsOf(rules_);
    states_.resize(rules_.size() * kinds_.size());
    priorities_.resize(states_.size());
  }

  OffloadPlan Run() {
    const rules::RuleDependencies dependencies(rules_);
    for (std::size_t rank = 0; rank < rules_.size(); ++rank) {
      decision_.reset();
      plan_.rules.emplace_back();
      plan_.rules.back().rule = rules_[rank].id;
      // Once it is full nothing more comes in: what is above whom does not matter any more.
      above_.clear();
      if (!IsFull()) {
        for (const std::uint32_t id : dependencies.Direct(rules_[rank].id)) above_.push_back(rank_of_[id]);
      }
      for (std::size_t kind = 0; kind < kinds_.size(); ++kind) Place(rank, kind);
    }
    return std::move(plan_);
  }

 private:
  State& StateOf(std::size_t rank, std::size_t kind) { return states_[rank * kinds_.size() + kind]; }
  std::uint32_t& PriorityOf(std::size_t rank, std::size_t kind) {
    return priorities_[rank * kinds_.size() + kind];
  }
  bool IsFull() const { return plan_.entries >= scope_.most_entries; }

  void Place(std::size_t rank, std::size_t kind) {
    RuleOffload& report = plan_.rules[rank];
    FlowRefusal why = Translate(rules_[rank], kinds_[kind], scope_.abilities, patterns_);
    if (why == FlowRefusal::kNone && patterns_.empty()) return;
    ++report.kinds;
    for (const std::size_t above : above_) {
      if (StateOf(above, kind) == State::kNothing) continue;
      PriorityOf(rank, kind) = std::max(PriorityOf(rank, kind), PriorityOf(above, kind) + 1);
    }
    std::string answer;
    FlowEntry entry;
    if (!ChooseFate(rank, entry)) why = FlowRefusal::kAction;
    if (why == FlowRefusal::kNone && rules_[rank].vm != rules::kAnyVm && !scope_.vm) why = FlowRefusal::kVm;
    if (why == FlowRefusal::kNone && IsFull()) why = FlowRefusal::kFull;
    if (why == FlowRefusal::kNone) why = SecureAbove(rank, kind, answer);
    entry.priority = PriorityOf(rank, kind);
    for (std::size_t i = 0; i < patterns_.size() && why == FlowRefusal::kNone; ++i) {
      entry.pattern = patterns_[i];
      why = Install(entry, report, answer);
      if (why == FlowRefusal::kNone && entry.fate == FlowEntry::Fate::kMark && !decision_) {
        decision_ = entry.decision;
        plan_.decisions.push_back({rules_[rank].id, rules_[rank].action});
      }
    }
    StateOf(rank, kind) = why == FlowRefusal::kNone ? State::kInPort : State::kSoftware;
    if (why == FlowRefusal::kNone) {
      ++report.in_port;
    } else if (report.why == FlowRefusal::kNone) {
      report.why = why;
      report.answer = answer;
    }
  }

  bool ChooseFate(std::size_t rank, FlowEntry& entry) const {
    const rules::Action& action = rules_[rank].action;
    if (scope_.drops && action.verb == rules::Verb::kDrop && !action.mirror) {
      entry.fate = FlowEntry::Fate::kDrop;
      return true;
    }
    entry.fate = FlowEntry::Fate::kMark;
    entry.decision = decision_.value_or(static_cast<std::uint32_t>(plan_.decisions.size()));
    return scope_.marks;
  }

  // Sees to it that what the rules above match is theirs, or software's.
  FlowRefusal SecureAbove(std::size_t rank, std::size_t kind, std::string& answer) {
    const Rule own = BoxOf(rules_[rank], kind);
    for (const std::size_t above : above_) {
      if (StateOf(above, kind) < State::kLeft) continue;
      if (rules::Encloses(BoxAround(rules_[above], kinds_[kind]), own)) return FlowRefusal::kCovered;
    }
    for (const std::size_t above : above_) {
      if (StateOf(above, kind) != State::kSoftware) continue;
      FlowEntry entry;
      entry.priority = PriorityOf(above, kind);
      entry.pattern = Around(rules_[above], kinds_[kind]);
      const FlowRefusal why = Install(entry, plan_.rules[rank], answer);
      if (why != FlowRefusal::kNone) return why == FlowRefusal::kFull ? why : FlowRefusal::kAbove;
      StateOf(above, kind) = State::kLeft;
    }
    return FlowRefusal::kNone;
  }

  // The rule's match, of the kind alone.
  Rule BoxOf(const Rule& rule, std::size_t kind) const {
    Rule box = rule;
    box.l3 = static_cast<std::uint8_t>(kinds_[kind].l3);
    box.ip_protocol = kinds_[kind].protocol;
    return box;
  }

  FlowRefusal Install(const FlowEntry& entry, RuleOffload& report, std::string& answer) {
    if (IsFull()) return FlowRefusal::kFull;
    answer = install_(entry);
    if (!answer.empty()) return FlowRefusal::kPort;
    ++plan_.entries;
    ++report.entries;
    return FlowRefusal::kNone;
  }

  const OffloadScope& scope_;
  const InstallEntry& install_;
  std::vector<Rule> rules_;  // by rank
  std::map<std::uint32_t, std::size_t> rank_of_;
  std::vector<FlowKind> kinds_;
  std::vector<State> states_;              // by rank and kind
  std::vector<std::uint32_t> priorities_;  // the same
  OffloadPlan plan_;
  // Of the rule that is being placed.
  std::optional<std::uint32_t> decision_;  // where it has one already
  std::vector<std::size_t> above_;         // its direct dependencies
  std::vector<FlowPattern> patterns_;
};

}  // namespace

OffloadPlan Offload(const std::vector<Rule>& rules, const OffloadScope& scope, const InstallEntry& install) {
  return Offloader(rules, scope, install).Run();
}

}  // namespace foreflow::dpdk
