// SPDX-License-Identifier: BSD-3-Clause
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bindings/config/classbench.h"
#include "models/base/refusal.h"
#include "models/rules/rule_table.h"

// Bytes as a filter set: refused in one sentence that names the file, or rules that a table takes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foreflow;
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::vector<rules::Rule> rules;
  try {
    rules = config::ParseClassBench("fuzz", text);
  } catch (const Refusal& refusal) {
    if (std::string(refusal.what()).rfind("fuzz", 0) != 0) std::abort();
    return 0;
  }
  if (rules.empty()) std::abort();
  rules::RuleTable table;
  table.Load(rules);
  return 0;
}
