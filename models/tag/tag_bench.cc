// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <vector>

#include "models/tag/flow_cache.h"
#include "models/tag/meter.h"
#include "models/tag/prediction_tag.h"
#include "models/tag/rule_table.h"
#include "models/tag/scheduler.h"
#include "models/tag/test_rules.h"

namespace foreflow::tag {
namespace {

constexpr crypto::Key128 kMaster = {1, 2, 3};
constexpr std::size_t kKeys = 4096;
constexpr flow::VmId kVm = 1;

std::vector<flow::FlowKey> Keys() {
  RuleDice dice(1);
  std::vector<flow::FlowKey> keys(kKeys);
  for (flow::FlowKey& key : keys) {
    key = dice.Key();
    key.vm = kVm;
  }
  return keys;
}

void Seal(benchmark::State& state) {
  const std::vector<flow::FlowKey> keys = Keys();
  TagSealer sealer(kMaster, kVm);
  Work work;
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        sealer.Seal(kVm, predict::PacketType::kBulk, 50000, keys[i++ % kKeys], 1514, work));
  }
}
BENCHMARK(Seal)->Name("Tag/Seal");

// Valid tags in order; sealed beforehand in blocks, outside the timing.
void Check(benchmark::State& state) {
  const std::vector<flow::FlowKey> keys = Keys();
  TagSealer sealer(kMaster, kVm);
  TagChecker checker(kMaster, kVm);
  Work work;
  PredictionTag tag;
  std::vector<SealedTag> tags(kKeys);
  std::size_t valid = 0;
  while (state.KeepRunningBatch(kKeys)) {
    state.PauseTiming();
    for (std::size_t i = 0; i < kKeys; ++i) {
      tags[i] = sealer.Seal(kVm, predict::PacketType::kBulk, 50000, keys[i], 1514, work);
    }
    state.ResumeTiming();
    for (std::size_t i = 0; i < kKeys; ++i) {
      valid += checker.Check(&tags[i], keys[i], 1514, tag, work) == TagStatus::kValid;
    }
  }
  if (valid != static_cast<std::size_t>(state.iterations())) state.SkipWithError("a tag was not valid");
}
BENCHMARK(Check)->Name("Tag/Check");

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
BENCHMARK(Classify)->Name("Tag/Classify")->Arg(10)->Arg(1000);

void Hit(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  FlowCache cache(entries);
  std::vector<EntryKey> keys(entries);
  Work work;
  for (std::size_t n = 0; n < entries; ++n) {
    keys[n].fields.destination_address = {10, static_cast<std::uint8_t>(n >> 16),
                                          static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
    FlowCache::Install install;
    install.key = keys[n];
    cache.Put(install, work);
  }
  RuleDice dice(3);
  std::vector<std::uint32_t> order(kKeys);
  for (std::uint32_t& n : order) n = static_cast<std::uint32_t>(dice.Below(entries));
  FlowCache::Hit hit;
  std::size_t i = 0;
  std::size_t hits = 0;
  for (auto _ : state) hits += cache.Lookup(keys[order[i++ % kKeys]], 0, Nanos(0), hit, work);
  if (hits != static_cast<std::size_t>(state.iterations())) state.SkipWithError("a look-up missed");
}
BENCHMARK(Hit)->Name("Tag/FlowCacheHit")->Arg(64)->Arg(65536);

// A full cache and a key that is never there: look-up, eviction, install.
void MissAndInstall(benchmark::State& state) {
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
    if (!cache.Lookup(install.key, 0, Nanos(0), hit, work)) cache.Put(install, work);
  }
}
BENCHMARK(MissAndInstall)->Name("Tag/FlowCacheMissAndInstall")->Arg(64)->Arg(65536);

void Mark(benchmark::State& state) {
  Meter meter({BitsPerSecond(1'000'000'000), Bytes(64000), BitsPerSecond(2'000'000'000), Bytes(128000)});
  std::int64_t now = 0;
  for (auto _ : state) benchmark::DoNotOptimize(meter.Mark(Nanos(now += 5000), 1514));
}
BENCHMARK(Mark)->Name("Tag/Meter");

void EnqueueDequeue(benchmark::State& state) {
  Scheduler scheduler{Scheduler::Config{}};
  for (std::uint32_t i = 0; i < 300; ++i)
    scheduler.Enqueue(static_cast<std::uint8_t>(1 + i % 3), i, 64 + i * 4);
  Scheduler::Handle handle = 0;
  std::uint8_t queue = 0;
  for (auto _ : state) {
    scheduler.Dequeue(handle, queue);
    scheduler.Enqueue(queue, handle, static_cast<std::uint32_t>(64 + handle * 4));
  }
}
BENCHMARK(EnqueueDequeue)->Name("Tag/Scheduler");

}  // namespace
}  // namespace foreflow::tag
