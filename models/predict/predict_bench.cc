// SPDX-License-Identifier: BSD-3-Clause
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "models/base/rng.h"
#include "models/predict/features.h"
#include "models/predict/governor.h"
#include "models/predict/labeler.h"
#include "models/predict/sequence_features.h"
#include "models/predict/successor_table.h"
#include "models/predict/type_predictor.h"

namespace foreflow::predict {
namespace {

constexpr std::size_t kSteps = 4096;

// Symbols of a VM with habits: one of eight sequences of 3 to 10 symbols at a time, each label fixed by its
// symbol nine times in ten.
struct Step {
  Context context;
  PacketType truth = PacketType::kControl;
};
std::vector<Step> Habits() {
  Rng rng(1, "predict_bench");
  std::vector<std::vector<Symbol>> sequences(8);
  for (auto& sequence : sequences) {
    sequence.resize(3 + rng.Below(8));
    for (Symbol& symbol : sequence) symbol = static_cast<Symbol>(rng.Below(kSymbols));
  }
  std::vector<Step> steps;
  Context context;
  while (steps.size() < kSteps) {
    for (const Symbol symbol : sequences[rng.Below(8)]) {
      context.symbol = {symbol, context.symbol[0], context.symbol[1]};
      context.length = 3;
      const std::uint32_t type = rng.Below(10) == 0 ? rng.Below(kPacketTypes) : symbol % kPacketTypes;
      steps.push_back({context, static_cast<PacketType>(type)});
    }
  }
  steps.resize(kSteps);
  return steps;
}

PacketSummary Packet(std::uint32_t conversation, Nanos time, std::uint32_t payload) {
  PacketSummary packet;
  packet.arrival = time;
  packet.key.vm = static_cast<flow::VmId>(1 + conversation % 64);
  packet.key.l3 = static_cast<std::uint8_t>(wire::Layer3::kIpv4);
  packet.key.ip_protocol = 6;
  packet.key.source_address = {10, 0, 0, static_cast<std::uint8_t>(conversation % 64)};
  packet.key.destination_address = {10, 1, 0, static_cast<std::uint8_t>(conversation / 64)};
  packet.key.source_port = 40000;
  packet.key.destination_port = 443;
  packet.payload_bytes = payload;
  packet.tcp_flags = 0x10;
  return packet;
}

// `conversations` in turn, a packet each microsecond.
std::vector<PacketSummary> Packets(std::uint32_t conversations) {
  Rng rng(2, "predict_bench");
  std::vector<PacketSummary> packets;
  for (std::size_t i = 0; i < kSteps; ++i) {
    packets.push_back(Packet(rng.Below(conversations), Nanos(0), std::array{0u, 100u, 1400u}[rng.Below(3)]));
  }
  return packets;
}

void Predict(benchmark::State& state, PredictorKind kind) {
  const auto predictor = MakeTypePredictor(kind);
  const std::vector<Step> steps = Habits();
  Work work;
  for (const Step& step : steps) predictor->Learn(step.context, step.truth, work);
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(predictor->Predict(steps[i].context, work));
    i = (i + 1) % kSteps;
  }
  state.counters["bytes"] = static_cast<double>(predictor->bytes());
}
BENCHMARK_CAPTURE(Predict, Persistence, PredictorKind::kPersistence)->Name("Predict/Persistence");
BENCHMARK_CAPTURE(Predict, Majority, PredictorKind::kMajority)->Name("Predict/Majority");
BENCHMARK_CAPTURE(Predict, Markov1, PredictorKind::kMarkov1)->Name("Predict/Markov1");
BENCHMARK_CAPTURE(Predict, Markov2, PredictorKind::kMarkov2)->Name("Predict/Markov2");
BENCHMARK_CAPTURE(Predict, Markov3, PredictorKind::kMarkov3)->Name("Predict/Markov3");

// One packet's whole share: predict, then learn.
void MarkovStep(benchmark::State& state) {
  const auto predictor = MakeTypePredictor(PredictorKind::kMarkov3);
  const std::vector<Step> steps = Habits();
  Work work;
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(predictor->Predict(steps[i].context, work));
    predictor->Learn(steps[i].context, steps[i].truth, work);
    i = (i + 1) % kSteps;
  }
  state.counters["bytes"] = static_cast<double>(predictor->bytes());
}
BENCHMARK(MarkovStep)->Name("Predict/MarkovStep");

void Features(benchmark::State& state) {
  std::vector<PacketSummary> packets = Packets(100);
  FeatureState features;
  Nanos now;
  std::size_t i = 0;
  for (auto _ : state) {
    packets[i].arrival = now += Micros(1);
    benchmark::DoNotOptimize(SymbolOf(packets[i], features));
    i = (i + 1) % kSteps;
  }
  state.counters["bytes"] = sizeof(FeatureState);
}
BENCHMARK(Features)->Name("Predict/Symbol");

void SequenceInput(benchmark::State& state) {
  std::vector<PacketSummary> packets = Packets(100);
  std::vector<ConversationState> conversations(kSteps);
  SenderState sender;
  SequenceInputs inputs;
  Nanos now;
  std::size_t i = 0;
  for (auto _ : state) {
    packets[i].arrival = now += Micros(1);
    SequenceStep(packets[i], 0, conversations[i % 128], sender, inputs);
    benchmark::DoNotOptimize(inputs);
    i = (i + 1) % kSteps;
  }
  state.counters["bytes"] = sizeof(ConversationState);
}
BENCHMARK(SequenceInput)->Name("Predict/SequenceInput");

// The argument is the number of conversations; 10 ms of horizon keep 10 000 packets pending.
void Label(benchmark::State& state) {
  std::vector<PacketSummary> packets = Packets(static_cast<std::uint32_t>(state.range(0)));
  Labeler labeler(Millis(10), 16384);
  Nanos now;
  std::uint64_t i = 0;
  for (auto _ : state) {
    PacketSummary& packet = packets[i % kSteps];
    packet.arrival = now += Micros(1);
    labeler.Push(i++, packet);
    struct Label label;
    while (labeler.Pop(label)) benchmark::DoNotOptimize(label);
  }
  state.counters["bytes"] = static_cast<double>(labeler.bytes());
}
BENCHMARK(Label)->Name("Predict/Label")->Arg(16)->Arg(4096);

void SuccessorObserve(benchmark::State& state) {
  SuccessorTable table(1000, 4);
  Rng rng(3, "predict_bench");
  std::vector<DestinationId> destinations(kSteps);
  for (DestinationId& id : destinations) id = static_cast<DestinationId>(rng.Below(1 + rng.Below(1000)));
  Work work;
  std::size_t i = 0;
  for (auto _ : state) {
    table.Observe(destinations[i], destinations[(i + 1) % kSteps], work);
    i = (i + 1) % kSteps;
  }
  state.counters["bytes"] = static_cast<double>(table.bytes());
}
BENCHMARK(SuccessorObserve)->Name("Predict/SuccessorObserve");

void SuccessorPredict(benchmark::State& state) {
  SuccessorTable table(1000, 4);
  Rng rng(3, "predict_bench");
  Work work;
  for (int k = 0; k < 100'000; ++k) {
    table.Observe(static_cast<DestinationId>(rng.Below(1000)), static_cast<DestinationId>(rng.Below(10)),
                  work);
  }
  std::array<NextDestination, 4> next{};
  DestinationId from = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.Predict(from, next.data(), 2, work));
    from = static_cast<DestinationId>((from + 7) % 1000);
  }
}
BENCHMARK(SuccessorPredict)->Name("Predict/SuccessorPredict");

void Govern(benchmark::State& state) {
  Governor governor({10, 5, 35, 165}, 1311, 32);
  std::uint32_t i = 0;
  for (auto _ : state) {
    governor.Record(i++ % 3 == 0);
    benchmark::DoNotOptimize(governor);
  }
}
BENCHMARK(Govern)->Name("Predict/Govern");

}  // namespace
}  // namespace foreflow::predict
