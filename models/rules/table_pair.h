// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_RULES_TABLE_PAIR_H_
#define FOREFLOW_MODELS_RULES_TABLE_PAIR_H_

#include <array>

#include "models/rules/rule_table.h"

namespace foreflow::rules {

// Two tables of the same rules, so that one can be read while the other is changed (left-right: Ramalhete and
// Correia 2015). Of versions a rule, readers would have to judge every one that they meet, and somebody would
// have to know when no reader can meet an old one; here readers pay a pointer a burst, and what the writer
// prepares is whole before anyone sees it. It costs the memory of a second table, and every change is made
// twice, by the writer.
//
// Knows no threads: whoever has readers tells them of the new table between Apply and CatchUp, and calls
// CatchUp when all of them have left the old one.
class TablePair {
 public:
  explicit TablePair(const RuleTable& table) : tables_{table, table} {}

  const RuleTable& published() const { return tables_[published_]; }
  // Changes the other table, or throws Refusal and changes nothing (RuleTable::Apply). It is the published
  // one from now on. Between two of them belongs a CatchUp.
  void Apply(const RuleBatch& batch) {
    tables_[1 - published_].Apply(batch);
    published_ = 1 - published_;
    behind_ = batch;
  }
  // Nobody reads the table that was published before.
  void CatchUp() {
    RuleTable& table = tables_[1 - published_];
    if (table.generation() != published().generation()) table.Apply(behind_);
  }

 private:
  std::array<RuleTable, 2> tables_;
  std::size_t published_ = 0;
  RuleBatch behind_;  // what one table has and the other has not
};

}  // namespace foreflow::rules

#endif  // FOREFLOW_MODELS_RULES_TABLE_PAIR_H_
