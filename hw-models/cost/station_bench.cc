// SPDX-License-Identifier: BSD-3-Clause
#include "hw-models/cost/station.h"

#include <benchmark/benchmark.h>

namespace foreflow::hw {
namespace {

// Arrivals at nine tenths of what the engines serve, so that most jobs wait.
void Enter(benchmark::State& state) {
  const auto engines = static_cast<std::size_t>(state.range(0));
  Station station({"bench", engines, 1024});
  const Picos occupancy(9'000 * state.range(0));
  Picos now;
  for (auto _ : state) {
    now += Picos(10'000);
    benchmark::DoNotOptimize(station.Enter(now, occupancy, occupancy));
  }
}
BENCHMARK(Enter)->Name("Cost/StationEnter")->Arg(1)->Arg(8)->Arg(64);

}  // namespace
}  // namespace foreflow::hw
