// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <vector>

#include "models/rules/flow_cache.h"
#include "models/rules/rule_table.h"
#include "models/rules/test_rules.h"

namespace foreflow::rules {
namespace {

constexpr std::size_t kKeys = 4096;

void Classify(benchmark::State& state) {
  RuleDice dice(7);
  RuleTable table;
  table.Load(dice.Rules(static_cast<std::size_t>(state.range(0))));
  std::vector<flow::FlowKey> keys;
  for (std::size_t i = 0; i < kKeys; ++i) keys.push_back(dice.Key());
  Work work;
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table.Classify(keys[i++ % kKeys], work));
  Work all;
  for (const flow::FlowKey& key : keys) table.Classify(key, all);
  state.counters["tuples"] = static_cast<double>(table.tuples());
  state.counters["hashes"] = static_cast<double>(all[WorkItem::kHash]) / kKeys;
}
BENCHMARK(Classify)->Name("Rules/Classify")->Arg(10)->Arg(1000);

void Hit(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  const RuleChanges rules;
  FlowCache cache(entries);
  std::vector<EntryKey> keys(entries);
  Work work;
  for (std::size_t n = 0; n < entries; ++n) {
    keys[n].fields.destination_address = {10, static_cast<std::uint8_t>(n >> 16),
                                          static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
    FlowCache::Install install;
    install.key = keys[n];
    cache.Put(install, rules, work);
  }
  RuleDice dice(3);
  std::vector<std::uint32_t> order(kKeys);
  for (std::uint32_t& n : order) n = static_cast<std::uint32_t>(dice.Below(entries));
  FlowCache::Hit hit;
  std::size_t i = 0;
  std::size_t hits = 0;
  for (auto _ : state) hits += cache.Lookup(keys[order[i++ % kKeys]], rules, Nanos(0), hit, work);
  if (hits != static_cast<std::size_t>(state.iterations())) state.SkipWithError("a look-up missed");
}
BENCHMARK(Hit)->Name("Rules/FlowCacheHit")->Arg(64)->Arg(65536);

// A full cache and a key that is never there: look-up, eviction, install.
void MissAndInstall(benchmark::State& state) {
  const RuleChanges rules;
  FlowCache cache(static_cast<std::size_t>(state.range(0)));
  Work work;
  FlowCache::Hit hit;
  FlowCache::Install install;
  std::uint32_t n = 0;
  for (auto _ : state) {
    ++n;
    install.key.fields.destination_address = {
        static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
        static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
    if (!cache.Lookup(install.key, rules, Nanos(0), hit, work)) cache.Put(install, rules, work);
  }
}
BENCHMARK(MissAndInstall)->Name("Rules/FlowCacheMissAndInstall")->Arg(64)->Arg(65536);

}  // namespace
}  // namespace foreflow::rules
