// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/program/run_program.h"
#include "models/rules/cover_plan.h"
#include "models/rules/dependency.h"
#include "models/rules/rule_table.h"

namespace foreflow {
namespace {

void Print(const std::string& file, std::size_t sample) {
  const config::RunConfig config = config::LoadRunConfig(file);
  rules::RuleTable table;
  table.Load(config.path.rules);
  const rules::RuleDependencies dependencies(config.path.rules);
  const rules::RuleDependencies::Statistics found = dependencies.Measure(sample);
  const rules::CoverPlan plan(config.path.rules);
  std::uint64_t slots = 0, merged = 0, worth_holding = 0;
  for (std::uint32_t rank = 0; rank < plan.size(); ++rank) {
    slots += 1 + plan.cover_count(rank);
    worth_holding += plan.IsWorthHolding(rank) ? 1 : 0;
    for (std::size_t i = 0; i < plan.cover_count(rank); ++i) {
      merged += plan.covers(rank)[i].shared == rules::CoverPlan::kNone ? 1 : 0;
    }
  }
  const auto rules = static_cast<double>(plan.size());
  const config::Json document = {{"rules", plan.size()},
                                 {"tuples", table.tuples()},
                                 {"measured", found.rules},
                                 {"direct", {{"mean", found.mean_direct}, {"most", found.most_direct}}},
                                 {"closure",
                                  {{"mean", found.mean_closure},
                                   {"p50", found.p50},
                                   {"p90", found.p90},
                                   {"p99", found.p99},
                                   {"most", found.most}}},
                                 {"slots_a_rule", static_cast<double>(slots) / rules},
                                 {"merged_covers", merged},
                                 {"worth_holding", static_cast<double>(worth_holding) / rules}};
  std::printf("%s\n", config::ToText(document, 2).c_str());
}

}  // namespace
}  // namespace foreflow

int main(int argc, char** argv) {
  std::string file;
  std::size_t sample = 1000;
  CLI::App app{"Says what the rules of a run depend on, and what holding them takes (JSON)."};
  app.add_option("resolved", file, "resolved configuration (JSON)")->required();
  app.add_option("--sample", sample, "rules whose dependencies are counted")->check(CLI::Range(1, 1'000'000));
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::Print(file, sample); });
}
