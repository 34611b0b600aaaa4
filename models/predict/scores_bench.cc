// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <vector>

#include "models/base/rng.h"
#include "models/predict/conformal.h"
#include "models/predict/drift.h"
#include "models/predict/forecaster.h"

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

}  // namespace
}  // namespace foreflow::predict
