// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "models/base/rng.h"
#include "models/predict/conformal.h"
#include "models/predict/drift.h"
#include "models/predict/forecaster.h"
#include "models/predict/tiered_predictor.h"
#include "models/predict/types_model_test.h"

namespace foreflow::predict {
namespace {

constexpr std::size_t kValues = 4096;

std::vector<double> Values() {
  Rng rng(1, "scores_bench");
  std::vector<double> values(kValues);
  for (double& value : values) value = rng.Exponential(1);
  return values;
}

template <typename Forecaster>
void Forecast(benchmark::State& state, Forecaster forecaster) {
  const std::vector<double> values = Values();
  std::size_t i = 0;
  for (auto _ : state) {
    forecaster.Update(values[i]);
    benchmark::DoNotOptimize(forecaster);
    i = (i + 1) % kValues;
  }
  state.counters["bytes"] = sizeof(forecaster);
}
BENCHMARK_CAPTURE(Forecast, Ewma, Ewma(0.1))->Name("Predict/Ewma");
BENCHMARK_CAPTURE(Forecast, EwmaVariance, EwmaVariance(0.1))->Name("Predict/EwmaVariance");

template <std::size_t kPeriod>
void UpdateAndForecast(benchmark::State& state) {
  const std::vector<double> values = Values();
  HoltWinters<kPeriod> forecaster({});
  std::size_t i = 0;
  for (auto _ : state) {
    forecaster.Update(values[i]);
    benchmark::DoNotOptimize(forecaster.Forecast());
    i = (i + 1) % kValues;
  }
  state.counters["bytes"] = sizeof(forecaster);
}
BENCHMARK_TEMPLATE(UpdateAndForecast, 1)->Name("Predict/Holt");
BENCHMARK_TEMPLATE(UpdateAndForecast, 24)->Name("Predict/HoltWinters");

template <typename Detector>
void Detect(benchmark::State& state, Detector detector) {
  const std::vector<double> values = Values();
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(detector.Update(values[i]));
    i = (i + 1) % kValues;
  }
  state.counters["bytes"] = sizeof(detector);
}
BENCHMARK_CAPTURE(Detect, PageHinkley, PageHinkley({}))->Name("Predict/PageHinkley");
BENCHMARK_CAPTURE(Detect, Adwin, Adwin(8, 1000))->Name("Predict/Adwin");

void Conform(benchmark::State& state) {
  Rng rng(2, "scores_bench");
  std::vector<std::int32_t> scores(kValues);
  for (std::int32_t& score : scores) score = static_cast<std::int32_t>(rng.Below(65536));
  AdaptiveConformal conformal(6554);
  std::size_t i = 0;
  for (auto _ : state) {
    conformal.Learn(scores[i], conformal.Covers(scores[i]));
    benchmark::DoNotOptimize(conformal);
    i = (i + 1) % kValues;
  }
  state.counters["bytes"] = sizeof(conformal);
}
BENCHMARK(Conform)->Name("Predict/AdaptiveConformal");

// A burst of 32 packets of as many conversations out of `range(0)`: nanoseconds a packet are the time
// over 32. The table is unsure of half of its states, so that in tiers the network is asked about every other
// packet.
void ReadBurst(benchmark::State& state, bool has_table, ModelKind network, std::uint32_t hidden) {
  TieredConfig config;
  if (has_table) config.table = TypesModel(ModelKind::kAutomaton, {1000}, 0, 1);
  if (hidden != 0) config.network = TypesModel(network, {hidden}, kSequenceInputs, 2);
  config.conversations = static_cast<std::uint32_t>(state.range(0));
  config.readings_per_second = 1'000'000'000;
  TieredPredictor predictor(config);
  Rng rng(3, "scores_bench");
  std::vector<std::uint64_t> hashes(kValues);
  for (std::uint64_t& hash : hashes) hash = Mix64(rng.Below(config.conversations / 2));
  std::array<PacketSummary, TieredPredictor::kBurst> packets;
  std::array<Reading, TieredPredictor::kBurst> readings;
  std::array<TieredPredictor::Item, TieredPredictor::kBurst> items;
  Work work;
  Nanos now = Seconds(1);
  std::size_t at = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      PacketSummary& packet = packets[i];
      packet.arrival = now += Nanos(100);
      packet.key.vm = static_cast<flow::VmId>(1 + hashes[at] % 64);
      packet.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
      packet.key.ip_protocol = 6;
      packet.key.destination_port = 443;
      packet.payload_bytes = 100;
      items[i] = {&packet, hashes[at], 0, true, now, &readings[i], &work};
      predictor.Prefetch(hashes[at]);
      at = (at + 1) % kValues;
    }
    predictor.Read(items.data(), items.size());
    benchmark::DoNotOptimize(readings);
  }
  state.counters["bytes"] = static_cast<double>(predictor.bytes());
}
BENCHMARK_CAPTURE(ReadBurst, Table, true, ModelKind::kGru, 0)->Name("Predict/Read32/table")->Arg(16384);
BENCHMARK_CAPTURE(ReadBurst, Gru16, false, ModelKind::kGru, 16)->Name("Predict/Read32/gru16")->Arg(16384);
BENCHMARK_CAPTURE(ReadBurst, Gru32, false, ModelKind::kGru, 32)->Name("Predict/Read32/gru32")->Arg(16384);
BENCHMARK_CAPTURE(ReadBurst, Tiers, true, ModelKind::kGru, 32)->Name("Predict/Read32/tiers32")->Arg(16384);

}  // namespace
}  // namespace foreflow::predict
