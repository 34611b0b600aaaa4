// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_TABLE_PAIR_H_
#define FOREFLOW_MODELS_RULES_TABLE_PAIR_H_

#include "models/rules/rule_table.h"

namespace foreflow::rules {

// Two tables of the same rules, so that one can be read while the other is changed (left-right: Ramalhete and
// Correia 2015). Of versions a rule, readers would have to judge every one that they meet, and somebody would
// have to know when no reader can meet an old one; here readers pay a pointer a burst, and what the writer
// prepares is whole before anyone sees it. It costs the memory of a second table, and every change is made
// twice, by the writer.
//
// One of them is at home in the readers' caches: they read the stand-in only while the other is changed, and
// then come back. If they stayed in turn with either, they would find it cold each time.
//
// Knows no threads: whoever has readers tells them of published() after Apply, calls CatchUp when all of them
// have left home, tells them of published() again, and calls Apply again when all have left the stand-in.
class TablePair {
 public:
  explicit TablePair(const RuleTable& table) : home_(table), stand_in_(table) {}

  const RuleTable& published() const { return is_away_ ? stand_in_ : home_; }
  // Changes the stand-in, or throws Refusal and changes nothing (RuleTable::Apply). It is the published one
  // from now on. Between two of them belongs a CatchUp.
  void Apply(const RuleBatch& batch) {
    stand_in_.Apply(batch);
    behind_ = batch;
    is_away_ = true;
  }
  // Nobody reads home: it gets the same changes, and is the published one from now on.
  void CatchUp() {
    if (is_away_) home_.Apply(behind_);
    is_away_ = false;
  }

 private:
  RuleTable home_;
  RuleTable stand_in_;
  bool is_away_ = false;
  RuleBatch behind_;  // what home has not yet
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_TABLE_PAIR_H_
