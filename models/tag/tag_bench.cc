// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <vector>

#include "models/rules/test_rules.h"
#include "models/tag/meter.h"
#include "models/tag/prediction_tag.h"
#include "models/tag/scheduler.h"

namespace foreflow::tag {
namespace {

constexpr crypto::Key128 kMaster = {1, 2, 3};
constexpr std::size_t kKeys = 4096;
constexpr flow::VmId kVm = 1;

std::vector<flow::FlowKey> Keys() {
  rules::RuleDice dice(1);
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
