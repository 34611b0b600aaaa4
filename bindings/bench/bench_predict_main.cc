// SPDX-License-Identifier: BSD-3-Clause
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bench/measure.h"
#include "bindings/bench/peer_process.h"
#include "models/predict/forecaster.h"
#include "models/predict/sequence_model.h"
#include "models/predict/test_models.h"
#include "models/predict/type_predictor.h"

namespace foreflow::bench {
namespace {

using predict::ModelKind;
using predict::ModelStep;
using predict::RandomModel;
using predict::SequenceModel;

constexpr std::size_t kFlows = 1'000'000;
constexpr std::size_t kBurst = 32;
constexpr std::size_t kHugePage = 2u << 20;

double NanosSince(double begin, std::size_t steps) {
  return (ThreadSeconds() - begin) * 1e9 / static_cast<double>(steps);
}

// Zeroed memory of huge pages, as a data path keeps its tables in.
class Table {
 public:
  explicit Table(std::size_t bytes) : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
    memory_ = static_cast<char*>(std::aligned_alloc(kHugePage, bytes_));
    if (memory_ == nullptr) throw std::bad_alloc();
    madvise(memory_, bytes_, MADV_HUGEPAGE);
    std::memset(memory_, 0, bytes_);
  }
  ~Table() { std::free(memory_); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  char* at(std::size_t offset) { return memory_ + offset; }

 private:
  std::size_t bytes_;
  char* memory_;
};

// The states of kFlows flows, stepped in an order that no cache foresees. Bursts of 32 packets, which the
// model sees whole (four flows share each load of weights) or one packet at a time.
class FlowTable {
 public:
  FlowTable(const RandomModel& shape, bool with_output, std::size_t steps)
      : model_(predict::MakeSequenceModel(predict::MakeModel(shape, 1))),
        steps_(steps),
        // A state does not straddle cache lines.
        stride_(model_->state_bytes() < 64 ? model_->state_bytes() : (model_->state_bytes() + 63) / 64 * 64),
        states_(std::make_unique<Table>(kFlows * std::max<std::size_t>(stride_, 1))),
        order_(kFlows),
        symbol_(kFlows),
        input_(InputsOf(kBurst * model_->inputs())),
        output_(with_output ? kBurst * model_->outputs() : 0) {
    std::mt19937_64 random(1);
    std::iota(order_.begin(), order_.end(), 0u);
    std::shuffle(order_.begin(), order_.end(), random);
    for (std::uint8_t& symbol : symbol_) symbol = static_cast<std::uint8_t>(random() % model_->symbols());
  }

  // Nanoseconds a step; `whole` bursts or one packet at a time.
  double Measure(bool whole) {
    ModelStep burst[kBurst];
    Work work;
    const double begin = ThreadSeconds();
    for (std::size_t done = 0; done < steps_; done += kBurst, at_ = (at_ + kBurst) % kFlows) {
      for (std::size_t i = 0; i < kBurst; ++i) {
        burst[i] = {states_->at(order_[at_ + i] * stride_), input_.data() + i * model_->inputs(),
                    output_.empty() ? nullptr : &output_[i * model_->outputs()], symbol_[at_ + i]};
      }
      if (whole) {
        model_->Step(burst, kBurst, work);
        continue;
      }
      for (const ModelStep& step : burst) {
        for (std::size_t line = 0; line < stride_; line += 64)
          __builtin_prefetch(static_cast<char*>(step.state) + line, 1);
      }
      for (const ModelStep& step : burst) model_->Step(&step, 1, work);
    }
    const double nanos = NanosSince(begin, steps_);
    Keep(work[WorkItem::kMultiplyAdd]);
    return nanos;
  }

 private:
  static std::vector<float> InputsOf(std::size_t count) {
    std::mt19937_64 random(2);
    std::uniform_real_distribution<float> anywhere(-0.5f, 0.5f);
    std::vector<float> inputs(count);
    for (float& input : inputs) input = anywhere(random);
    return inputs;
  }

  std::unique_ptr<SequenceModel> model_;
  std::size_t steps_;
  std::size_t stride_;
  std::unique_ptr<Table> states_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint8_t> symbol_;
  std::vector<float> input_;
  std::vector<float> output_;
  std::size_t at_ = 0;
};
static_assert(kFlows % kBurst == 0);

std::shared_ptr<FlowTable> TableOf(const RandomModel& shape, bool with_output, std::size_t steps) {
  return std::make_shared<FlowTable>(shape, with_output, steps);
}

// Predict and learn of the online Markov-3 of one VM.
double MarkovStep() {
  constexpr std::size_t kSteps = 200'000;
  const auto predictor = predict::MakeTypePredictor(predict::PredictorKind::kMarkov3);
  std::mt19937_64 random(1);
  std::vector<predict::Symbol> symbols(4096);
  for (auto& symbol : symbols) symbol = static_cast<predict::Symbol>(random() % 16);
  predict::Context context;
  context.length = 3;
  Work work;
  std::uint64_t sum = 0;
  const double begin = ThreadSeconds();
  for (std::size_t i = 0; i < kSteps; ++i) {
    context.symbol = {symbols[i % 4096], context.symbol[0], context.symbol[1]};
    sum += predictor->Predict(context, work).confidence;
    predictor->Learn(context,
                     static_cast<predict::PacketType>(symbols[(i + 1) % 4096] % predict::kPacketTypes), work);
  }
  Keep(sum);
  return NanosSince(begin, kSteps);
}

// Update and forecast of one additive series with a season of 16 values.
double HoltWintersStep() {
  constexpr std::size_t kSteps = 2'000'000;
  predict::HoltWinters<16> series({0.3, 0.1, 0.2});
  double sum = 0;
  const double begin = ThreadSeconds();
  for (std::size_t i = 0; i < kSteps; ++i) {
    series.Update(static_cast<double>(i * 7 % 31));
    sum += series.Forecast(1);
  }
  const double nanos = NanosSince(begin, kSteps);
  Keep(static_cast<std::uint64_t>(sum));
  return nanos;
}

// A row, and where in the list of contenders ours and the peer's are.
struct Plan {
  std::string name;
  std::size_t ours;
  std::string peer;
  std::size_t peers = 0;
};

std::vector<Row> MeasureAll(const char* peer_program) {
  std::unique_ptr<PeerProcess> peer;
  if (peer_program != nullptr) peer = std::make_unique<PeerProcess>(peer_program);
  std::vector<Contender> contenders;
  std::vector<Plan> plans;
  const auto add = [&](Contender contender) {
    contenders.push_back(std::move(contender));
    return contenders.size() - 1;
  };
  for (const ModelKind kind : {ModelKind::kGru, ModelKind::kLstm}) {
    for (const std::uint32_t hidden : {16u, 32u, 64u}) {
      RandomModel shape;
      shape.kind = kind;
      shape.hidden = {hidden};
      const std::string name = std::string("predict/") + predict::Name(kind) + "_" + std::to_string(hidden);
      const auto table = TableOf(shape, true, 1 << 15);
      const std::size_t single = add([table] { return table->Measure(false); });
      const std::size_t batch = add([table] { return table->Measure(true); });
      plans.push_back({name + "_single", single, "", 0});
      plans.push_back({name + "_batch4", batch, "", 0});
      plans.push_back({name + "_batch4_beside_batch1", batch, "", 0});
      if (peer == nullptr) continue;
      const auto ask = [&](const char* many) {
        const std::string question =
            std::string(predict::Name(kind)) + " " + std::to_string(hidden) + " " + many;
        return add([&peer = *peer, question] { return peer.Ask(question); });
      };
      const std::size_t one = ask("1"), many = ask("32");
      const std::string cell = kind == ModelKind::kGru ? "libtorch GRUCell" : "libtorch LSTMCell";
      Plan* last = &plans.back();
      last[-2].peer = last[0].peer = cell + ", batch 1";
      last[-2].peers = last[0].peers = one;
      last[-1].peer = cell + ", batch 32, a flow";
      last[-1].peers = many;
    }
  }
  const auto whole = [&](const RandomModel& shape, bool with_output, std::size_t steps) {
    return add([table = TableOf(shape, with_output, steps)] { return table->Measure(true); });
  };
  RandomModel automaton;
  automaton.kind = ModelKind::kAutomaton;
  automaton.hidden = {2048};
  automaton.symbols = 128;
  plans.push_back({"predict/automaton_step", whole(automaton, false, 1 << 20), "", 0});
  plans.push_back({"predict/automaton_step_and_output", whole(automaton, true, 1 << 20), "", 0});
  // The sizes of models/trained/next-type-automaton.model.
  automaton.hidden = {788, 256, 0, 0, 13, 8};
  automaton.symbols = 126;
  automaton.inputs = 4;
  plans.push_back({"predict/automaton_of_codes_step", whole(automaton, false, 1 << 20), "", 0});
  RandomModel mlp;
  mlp.kind = ModelKind::kMlp;
  mlp.hidden = {32};
  mlp.inputs = 8;
  plans.push_back({"predict/mlp_32", whole(mlp, true, 1 << 16), "", 0});
  RandomModel trees;
  trees.kind = ModelKind::kTrees;
  trees.hidden = {64, 6};
  trees.inputs = 8;
  plans.push_back({"predict/trees_64x6", whole(trees, true, 1 << 15), "", 0});
  plans.push_back({"predict/markov3_step", add(MarkovStep), "", 0});
  plans.push_back({"predict/holt_winters_step", add(HoltWintersStep), "", 0});

  const std::vector<double> medians = Medians(contenders);
  std::vector<Row> rows;
  for (const Plan& plan : plans) {
    rows.push_back({plan.name, "ns/step", medians[plan.ours], plan.peer,
                    plan.peer.empty() ? 0 : medians[plan.peers], Better::kLess});
  }
  return rows;
}

}  // namespace
}  // namespace foreflow::bench

// The argument is the program of libtorch's part; without it those rows have no peer.
int main(int argc, char** argv) {
  return foreflow::bench::Report([&] { return foreflow::bench::MeasureAll(argc > 1 ? argv[1] : nullptr); });
}
