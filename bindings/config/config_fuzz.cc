// SPDX-License-Identifier: BSD-3-Clause
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "bindings/config/impairment.h"
#include "bindings/config/packet_dynamics.h"
#include "bindings/config/report_json.h"
#include "bindings/config/run_config.h"
#include "bindings/config/strict_json.h"
#include "models/base/refusal.h"

// Bytes as RESOLVED.json, as a profile, as rules, as an impairment and as a unit: refused in one sentence, or
// accepted within its ranges.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace config = foreflow::config;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto guard = [](const auto& read) {
    try {
      read();
    } catch (const foreflow::Refusal& refusal) {
      if (std::string(refusal.what()).rfind("fuzz", 0) != 0) std::abort();  // names its file
    }
  };
  guard([&] {
    config::RunConfig run = config::ParseRunConfig("fuzz", text);
    config::ResolveFlowEntries(run, 1000);
    if ((run.path.flow_entries == 0 && run.path.rule_slots == 0 && run.flow_entries.parts_per_million == 0) ||
        run.path.vms == 0 || run.link.rate.count() == 0)
      std::abort();
    config::ToText(config::ToJson(run.path));
  });
  guard([&] { config::ParseDeviceProfile("fuzz", text); });
  guard([&] { config::ParseBusProfile("fuzz", text); });
  guard([&] { config::ParseRules("fuzz", text); });
  guard([&] {
    const config::Json json = config::ParseJson("fuzz", text);
    if (config::ReadImpairment({json, "fuzz", ""}).paths.empty()) std::abort();
  });
  guard([&] {
    const config::Json json = config::ParseJson("fuzz", text);
    if (config::ReadUnit({json, "fuzz", ""}).path_weights.empty()) std::abort();
  });
  return 0;
}
