// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <array>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/flow/flow_table.h"

namespace foreflow::flow {
namespace {

std::vector<FlowKey> Keys(std::size_t count) {
  Rng rng(1, "flow table bench");
  std::vector<FlowKey> keys(count);
  for (FlowKey& key : keys) {
    key.vm = static_cast<VmId>(rng.Below(64));
    key.source_address = {10, 0, 0, static_cast<std::uint8_t>(key.vm)};
    const std::uint32_t server = rng.Next32();
    std::memcpy(key.destination_address.data(), &server, sizeof(server));
    key.source_port = static_cast<std::uint16_t>(rng.Next32());
    key.destination_port = 443;
    key.ip_protocol = 6;
    key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  }
  return keys;
}

FlowTableConfig ConfigFor(std::size_t capacity) {
  FlowTableConfig config;
  config.capacity = capacity;
  config.vms = 64;
  return config;
}

std::size_t Capacity(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

// Bursts of hits in an order of their own, in a table 90 % full.
void Lookup(benchmark::State& state) {
  std::vector<FlowKey> keys = Keys(Capacity(state) / 10 * 9 / kBurst * kBurst);
  FlowTable table(ConfigFor(Capacity(state)));
  Work work;
  for (const FlowKey& key : keys) table.FindOrInsert(key, Nanos(0), work);
  Rng rng(2, "order");
  for (std::size_t i = keys.size(); i > 1; --i) {
    std::swap(keys[i - 1], keys[rng.Below(static_cast<std::uint32_t>(i))]);
  }
  std::array<Slot, kBurst> slots;
  std::size_t at = 0;
  for (auto _ : state) {
    table.FindBulk(&keys[at], kBurst, slots.data(), work);
    benchmark::DoNotOptimize(slots);
    at = at + kBurst == keys.size() ? 0 : at + kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBurst));
  state.counters["bytes_per_flow"] =
      static_cast<double>(table.bytes()) / static_cast<double>(table.capacity());
}

// Bursts of new flows into a full table: each evicts another.
void InsertFull(benchmark::State& state) {
  const std::vector<FlowKey> keys = Keys(Capacity(state) * 2);
  FlowTable table(ConfigFor(Capacity(state)));
  Work work;
  for (std::size_t i = 0; i < Capacity(state); ++i) table.FindOrInsert(keys[i], Nanos(0), work);
  std::size_t at = Capacity(state);
  std::int64_t now = 0;
  for (auto _ : state) {
    table.Prefetch(&keys[at], kBurst);
    for (std::size_t i = 0; i < kBurst; ++i) {
      benchmark::DoNotOptimize(table.FindOrInsert(keys[at + i], Nanos(now++), work));
    }
    at = at + kBurst == keys.size() ? 0 : at + kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBurst));
}

BENCHMARK(Lookup)->Name("Flow/Lookup")->Arg(1 << 16)->Arg(1 << 20);
BENCHMARK(InsertFull)->Name("Flow/InsertFull")->Arg(1 << 16)->Arg(1 << 20);

void Expire(benchmark::State& state) {
  const std::vector<FlowKey> keys = Keys(Capacity(state));
  Work work;
  FlowRecord gone;
  for (auto _ : state) {
    state.PauseTiming();
    FlowTable table(ConfigFor(Capacity(state)));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      table.FindOrInsert(keys[i], Micros(static_cast<std::int64_t>(i)), work);
    }
    state.ResumeTiming();
    while (table.Expire(Seconds(60), gone, work)) benchmark::DoNotOptimize(gone);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(Expire)->Name("Flow/Expire")->Arg(1 << 16);

void HashKey(benchmark::State& state) {
  const std::vector<FlowKey> keys = Keys(1024);
  const KeyHasher hasher(1);
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(hasher(&keys[i++ % keys.size()]));
}

BENCHMARK(HashKey)->Name("Flow/HashKey");

}  // namespace
}  // namespace foreflow::flow
