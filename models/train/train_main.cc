// SPDX-License-Identifier: BSD-3-Clause
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/train/dataset.h"
#include "models/train/distil.h"
#include "models/train/export.h"
#include "models/train/network.h"
#include "models/train/predictions.h"
#include "models/train/step_codes.h"
#include "models/train/trainer.h"
#include "models/train/trees.h"

namespace foreflow::train {
namespace {

constexpr char kModelMagic[] = "ffmodel\n";
constexpr int kFailed = 1;
constexpr int kRefused = 2;
const std::vector<float> kLevels{0.05f, 0.1f, 0.25f, 0.5f, 0.75f, 0.9f, 0.95f};
constexpr std::size_t kAutomatonBytes = 512 * 1024;
constexpr std::uint32_t kMostBins = 64;

struct Options {
  std::string data;
  std::string out;
  std::string kind = "gru";
  std::string fitted;  // trees
  std::uint32_t hidden = 32;
  std::uint32_t bits = 0;
  std::vector<std::string> weights;  // TARGET=W
  std::vector<std::string> bins;     // INPUT=N
  Tuning tuning;
  std::string device = "auto";
  Schedule schedule;
  std::string command;
  std::vector<std::string> score;  // model, data, predictions
  std::string show;
};

const std::map<std::string, NetworkKind> kKinds = {{"gru", NetworkKind::kGru},
                                                   {"lstm", NetworkKind::kLstm},
                                                   {"mlp", NetworkKind::kMlp},
                                                   {"automaton", NetworkKind::kGru}};

std::vector<std::uint8_t> ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Refusal(path + ": cannot be opened; name a model or dataset file");
  return {std::istreambuf_iterator<char>(in), {}};
}

void WriteModel(const predict::Model& model, const std::string& path) {
  const std::vector<std::uint8_t> bytes = predict::SerialiseModel(model);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error(path + ": cannot be written");
}

bool OnCuda(const std::string& device) {
  if (device == "cpu") return false;
  if (device == "cuda" || Network::HasCuda()) return true;
  std::fprintf(stderr, "no CUDA device: training on the CPU\n");
  return false;
}

// What a checkpoint must agree with.
std::string IdentityOf(const Dataset& dataset, const Options& options) {
  std::string text =
      crypto::Hex({dataset.digest.data(), dataset.digest.size()}) + " " + options.kind + " " +
      std::to_string(options.hidden) + " " + std::to_string(options.bits) + " " +
      std::to_string(options.tuning.seed) + " " + std::to_string(options.tuning.weight_decay) + " " +
      std::to_string(options.tuning.dropout) + " " + std::to_string(options.schedule.rate) + " " +
      std::to_string(options.schedule.lanes) + " " + std::to_string(options.schedule.steps) + " " +
      std::to_string(options.schedule.most_rows) + " " + std::to_string(options.schedule.epochs) + " " +
      std::to_string(options.schedule.patience);
  for (const std::string& weight : options.weights) text += " " + weight;
  for (const std::string& bins : options.bins) text += " " + bins;
  return text;
}

// The values of options NAME=VALUE by the number of the name; `value` where a name is not given.
template <typename T>
std::vector<T> ByName(const char* option, const std::vector<std::string>& given,
                      const std::vector<std::string>& names, const char* what, T value, T least, T most) {
  std::vector<T> values(names.size(), value);
  for (const std::string& one : given) {
    const std::size_t equals = std::min(one.find('='), one.size());
    const std::string name = one.substr(0, equals);
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      std::string known;
      for (const std::string& each : names) known += (known.empty() ? "" : ", ") + each;
      throw Refusal("command line", std::string("the ") + what + " of " + option, name,
                    known.empty() ? "none" : known);
    }
    char* end = nullptr;
    const double number = std::strtod(one.c_str() + std::min(equals + 1, one.size()), &end);
    const auto own =
        static_cast<T>(std::clamp(number, static_cast<double>(least), static_cast<double>(most)));
    if (*end != '\0' || equals + 1 >= one.size() || static_cast<double>(own) != number) {
      const auto range = [&](T bound) { return name + "=" + std::to_string(static_cast<long>(bound)); };
      throw Refusal("command line", option, one, range(least) + " to " + range(most));
    }
    values[static_cast<std::size_t>(at - names.begin())] = own;
  }
  return values;
}

std::vector<double> WeightsOf(const Dataset& dataset, const Options& options) {
  std::vector<std::string> targets;
  for (const Target& target : dataset.targets) targets.push_back(target.name);
  return ByName("--weight", options.weights, targets, "target", 1.0, 0.0, 1000.0);
}

// What an automaton reads of a step.
StepCodes CodesOf(const Dataset& dataset, const Options& options, const std::vector<double>& weight) {
  if (options.bins.empty()) return SymbolsAsCodes(dataset.symbols);
  const auto bins =
      ByName<std::uint32_t>("--bins", options.bins, dataset.input_names, "input", 1, 1, kMostBins);
  return ChooseCodes(dataset, bins, weight);
}

void Fit(Options options) {
  const Dataset dataset = ReadDataset(options.data);
  if (!options.bins.empty() && options.kind != "automaton") {
    throw Refusal("command line: --bins is for --model automaton; " + options.kind +
                  " reads all inputs as they are");
  }
  const std::vector<predict::Head> heads = HeadsOf(dataset, kLevels);
  predict::Model frame = Frame(dataset, heads, options.tuning.seed, options.command);
  if (options.kind == "trees") {
    WriteModel(TreesModel(options.fitted, dataset, std::move(frame)), options.out);
    return;
  }
  NetworkShape shape;
  const bool is_automaton = options.kind == "automaton";
  shape.kind = is_automaton && options.bits > 0 ? NetworkKind::kBinary : kKinds.at(options.kind);
  shape.symbols = dataset.symbols;
  shape.inputs = is_automaton ? 0 : static_cast<std::uint32_t>(dataset.input_names.size());
  shape.hidden = options.hidden;
  shape.bits = options.bits;
  shape.parts = PartsOf(dataset.task, dataset.feature_set, dataset.symbols);
  shape.heads = heads;
  shape.head_weight = WeightsOf(dataset, options);
  const StepCodes codes = CodesOf(dataset, options, shape.head_weight);
  const bool is_coded = !codes.edges.empty();
  const Dataset coded = is_coded ? Coded(dataset, codes) : Dataset{};
  const Dataset& learnt = is_coded ? coded : dataset;
  if (is_coded) {
    shape.symbols = codes.count;
    shape.parts = PartsOf(dataset, codes);
    std::fprintf(stderr, "  %u codes of %u symbols and the inputs\n", codes.count, codes.symbols);
  }
  FillFromTraining(learnt, shape);
  options.tuning.on_cuda = OnCuda(options.device);
  options.schedule.seed = options.tuning.seed;
  options.schedule.identity = IdentityOf(dataset, options);
  Network network(shape, options.tuning);
  const Outcome outcome = Train(network, learnt, shape.head_weight, options.schedule);

  predict::Model model;
  if (is_automaton) {
    const std::size_t bytes = kAutomatonBytes - (is_coded ? codes.code.size() * sizeof(codes.code[0]) : 0);
    const std::uint32_t most = MostStates(bytes, shape.symbols, frame.outputs());
    model = ModelOf(Distil(network, shape, learnt, most), codes, dataset, std::move(frame));
  } else {
    model = ModelOf(network, shape, dataset, std::move(frame));
  }
  WriteModel(model, options.out);
  nlohmann::ordered_json document{
      {"task", dataset.task},
      {"model", options.kind},
      {"rows", dataset.rows()},
      {"data_sha256", crypto::Hex({dataset.digest.data(), dataset.digest.size()})},
      {"epochs", outcome.epochs},
      {"best_epoch", outcome.best},
      {"hidden", model.hidden}};
  for (std::size_t i = 0; i < heads.size(); ++i) {
    document["validation_loss"][heads[i].target] = outcome.validation[i];
    if (model.heads[i].IsClass()) document["temperature"][heads[i].target] = model.heads[i].temperature;
  }
  std::printf("%s\n", document.dump(1).c_str());
}

void ScoreFile(const std::vector<std::string>& files) {
  const std::vector<std::uint8_t> bytes = ReadBytes(files[0]);
  const predict::Model model = predict::ParseModel({bytes.data(), bytes.size()}, files[0]);
  const Dataset dataset = ReadDataset(files[1]);
  predict::RequireUse(model, files[0], dataset.task, dataset.feature_set);
  WritePredictions(files[2], files[1], model, dataset);
}

// Where a model file comes from, or what a dataset file holds.
void Show(const std::string& path) {
  const std::vector<std::uint8_t> bytes = ReadBytes(path);
  nlohmann::ordered_json document;
  if (bytes.size() >= sizeof kModelMagic - 1 &&
      std::equal(bytes.begin(), bytes.begin() + sizeof kModelMagic - 1, kModelMagic)) {
    const predict::Model model = predict::ParseModel({bytes.data(), bytes.size()}, path);
    document = {{"task", model.task},
                {"model", predict::Name(model.kind)},
                {"feature_set", model.feature_set},
                {"symbols", model.symbols},
                {"inputs", model.inputs},
                {"hidden", model.hidden},
                {"seed", model.seed},
                {"command", model.command},
                {"data_sha256", crypto::Hex({model.data_sha256.data(), model.data_sha256.size()})}};
    for (const predict::Head& head : model.heads) {
      if (head.IsClass()) document["temperature"][head.target] = head.temperature;
    }
  } else {
    const Dataset dataset = ReadDataset(path);
    document = {{"task", dataset.task},
                {"feature_set", dataset.feature_set},
                {"symbols", dataset.symbols},
                {"inputs", dataset.input_names},
                {"rows", dataset.rows()},
                {"data_sha256", crypto::Hex({dataset.digest.data(), dataset.digest.size()})}};
  }
  std::printf("%s\n", document.dump(1).c_str());
}

int Run(int argc, char** argv) {
  Options options;
  Schedule& schedule = options.schedule;
  CLI::App app{"Trains a model on a dataset file, by libtorch, and writes a model file."};
  auto* data = app.add_option("--data", options.data, "dataset file, by foreflow-dataset");
  auto* out = app.add_option("--out", options.out, "model file to write");
  app.add_option("--model", options.kind, "gru, lstm, mlp, automaton or trees")
      ->check(CLI::IsMember({"gru", "lstm", "mlp", "automaton", "trees"}));
  app.add_option("--fitted", options.fitted, "trees: the ensemble that was fitted, as JSON");
  app.add_option("--hidden", options.hidden, "width of the state")->check(CLI::IsMember({16, 32, 64}));
  app.add_option("--bits", options.bits, "automaton: of a binary state; 0: clusters of a real one")
      ->check(CLI::Range(0u, NetworkShape::kMostBits));
  app.add_option("--bins", options.bins, "INPUT=N: automaton: reads that input too, in N bins");
  app.add_option("--weight", options.weights, "TARGET=W: weight of a target's mean loss, otherwise 1");
  app.add_option("--seed", options.tuning.seed, "of weights, order and dropout");
  app.add_option("--epochs", schedule.epochs, "passes over the training rows, at most")
      ->check(CLI::Range(1, 100000));
  app.add_option("--patience", schedule.patience, "epochs without a better validation loss until it stops")
      ->check(CLI::Range(1, 100000));
  app.add_option("--rate", schedule.rate, "learning rate")->check(CLI::Range(1e-7, 1.0));
  app.add_option("--decay", options.tuning.weight_decay, "weight decay")->check(CLI::Range(0.0, 10.0));
  app.add_option("--dropout", options.tuning.dropout, "share of the state that the heads miss")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--lanes", schedule.lanes, "sequences learnt side by side")->check(CLI::Range(1, 4096));
  app.add_option("--steps", schedule.steps, "steps that a gradient flows back")->check(CLI::Range(1, 1024));
  app.add_option("--curve", schedule.curve, "write the losses of every epoch to this CSV file");
  app.add_option("--checkpoint", schedule.checkpoint, "keep what a later --resume needs in this file");
  app.add_option("--checkpoint-seconds", schedule.checkpoint_seconds, "how often")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_flag("--resume", schedule.resume, "go on from the checkpoint, where there is one");
  app.add_option("--device", options.device, "auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  app.add_option("--command", options.command, "the command that the model file names");
  auto* score =
      app.add_option("--score", options.score, "MODEL DATA OUT: what libtorch makes of a model file")
          ->expected(3);
  auto* show = app.add_option("--show", options.show,
                              "say where a model file comes from, or what a dataset file holds");
  for (CLI::Option* one : {data, out}) one->excludes(score)->excludes(show);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "command line: %s\n", error.what());
    return kRefused;
  }
  try {
    if (!options.show.empty()) {
      Show(options.show);
    } else if (!options.score.empty()) {
      ScoreFile(options.score);
    } else {
      if (options.data.empty() || options.out.empty()) {
        throw Refusal("command line: --data and --out are needed; see --help");
      }
      Fit(options);
    }
  } catch (const Refusal& refusal) {
    std::fprintf(stderr, "%s\n", refusal.what());
    return kRefused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return kFailed;
  }
  return 0;
}

}  // namespace
}  // namespace foreflow::train

int main(int argc, char** argv) { return foreflow::train::Run(argc, argv); }
