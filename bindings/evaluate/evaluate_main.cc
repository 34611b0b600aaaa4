// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/evaluate/baselines.h"
#include "bindings/evaluate/dataset.h"
#include "bindings/evaluate/file_model.h"
#include "bindings/evaluate/mixed_model.h"
#include "bindings/evaluate/monitor.h"
#include "bindings/evaluate/predictions_file.h"
#include "bindings/evaluate/row_model.h"
#include "bindings/program/run_program.h"
#include "models/base/refusal.h"

namespace foreflow::evaluate {
namespace {

// After the names of model files that are served as on the data path.
constexpr const char* kMixed = "+mixed";

// The files of FILE+mixed and of FILE+FILE+mixed; none where `name` is neither.
std::vector<std::string> MixedFiles(const std::string& name) {
  const std::size_t end = name.rfind(kMixed);
  if (end == std::string::npos || end + std::strlen(kMixed) != name.size()) return {};
  std::vector<std::string> files;
  for (std::size_t at = 0; at < end;) {
    const std::size_t next = std::min(name.find('+', at), end);
    files.push_back(name.substr(at, next - at));
    if (!IsModelFile(files.back()) || files.size() > 2) return {};
    at = next + 1;
  }
  return files;
}

struct Options {
  std::string data;
  std::string training;  // empty: data
  std::vector<std::string> models;
  std::vector<std::string> targets;
  std::string rows = "test";
  std::string out;
  std::uint64_t seed = 1;
};

// A line on standard error that is rewritten; on no terminal, one a model.
class Progress {
 public:
  Progress(std::size_t models, std::size_t rows)
      : models_(models), rows_(rows), is_terminal_(isatty(2) != 0) {}

  void Begin(const std::string& name) {
    name_ = name;
    if (!is_terminal_)
      std::fprintf(stderr, "foreflow-evaluate: %s (%zu of %zu)\n", name.c_str(), done_ + 1, models_);
  }
  void Row(std::size_t row) {
    constexpr std::size_t kEach = 1 << 14;
    if (!is_terminal_ || row % kEach != 0) return;
    const double share =
        (static_cast<double>(done_) + static_cast<double>(row) / static_cast<double>(rows_)) /
        static_cast<double>(models_);
    const double spent = std::chrono::duration<double>(Clock::now() - begin_).count();
    std::fprintf(stderr, "\r  %s: %3.0f %% of all, about %.0f s left   ", name_.c_str(), 100 * share,
                 share > 0 ? spent * (1 - share) / share : 0.0);
  }
  void End() {
    ++done_;
    if (is_terminal_) std::fprintf(stderr, "\r%60s\r", "");
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::size_t models_;
  std::size_t rows_;
  bool is_terminal_;
  std::size_t done_ = 0;
  std::string name_;
  Clock::time_point begin_ = Clock::now();
};

ModelPredictions PredictAll(const std::string& name, const Dataset& data, RowModel& model,
                            const std::vector<bool>& is_kept, Progress& progress) {
  ModelPredictions predictions;
  predictions.name = name;
  std::vector<Monitor> monitors;
  for (std::size_t t = 0; t < data.targets.size(); ++t) {
    TargetPredictions& target = predictions.targets.emplace_back();
    const std::size_t classes = data.targets[t].classes.size();
    if (classes == 0) target.levels = model.Levels(t);
    target.width = classes > 0 ? classes : target.levels.size();
    monitors.emplace_back(data, t);
  }
  progress.Begin(name);
  Walk(data, model, [&](std::size_t row, const Output& output, const Work& work) {
    progress.Row(row);
    for (std::size_t t = 0; t < output.size(); ++t) {
      TargetPredictions& target = predictions.targets[t];
      const Monitor::Row guarded = monitors[t].Step(row, output[t]);
      if (!is_kept[row]) continue;
      target.said.insert(target.said.end(), output[t].begin(), output[t].end());
      target.covered.push_back(guarded.covered);
      target.set_size.push_back(guarded.size);
    }
    if (is_kept[row]) predictions.work.insert(predictions.work.end(), work.count.begin(), work.count.end());
  });
  for (std::size_t t = 0; t < monitors.size(); ++t) predictions.targets[t].alarms = monitors[t].alarms();
  progress.End();
  return predictions;
}

void Run(const Options& options) {
  const Dataset data = LoadDataset(options.data, options.targets);
  std::optional<Dataset> other;
  if (!options.training.empty() && options.training != options.data) {
    other = LoadDataset(options.training, options.targets);
    RequireAlike(data, *other);
  }
  const Dataset& training = other ? *other : data;

  std::vector<bool> is_kept(data.rows());
  std::vector<std::int64_t> rows;
  for (std::size_t row = 0; row < data.rows(); ++row) {
    is_kept[row] = data.HasLabel(row) && (options.rows == "all" || data.split[row] == kTest);
    if (is_kept[row]) rows.push_back(static_cast<std::int64_t>(row));
  }
  if (rows.empty()) {
    throw Refusal(options.data + ": no row of the test slice has a known label; score all with --rows all");
  }
  std::vector<std::pair<std::string, std::unique_ptr<RowModel>>> models;
  for (const std::string& name : options.models) {
    if (IsModelFile(name)) {
      models.emplace_back(NameOfModelFile(name), std::make_unique<FileModel>(name, data));
      continue;
    }
    if (const std::vector<std::string> files = MixedFiles(name); !files.empty()) {
      std::string kept;
      for (const std::string& file : files) kept += NameOfModelFile(file) + "+";
      models.emplace_back(kept + "mixed", std::make_unique<MixedModel>(files, data));
      continue;
    }
    auto model = MakeBaseline(name, data, training, options.seed);
    if (!model)
      throw Refusal(
          "command line", "--model", name,
          std::string(
              "a file that ends in .model, one or two such files and +mixed (A.model+B.model+mixed), ") +
              BaselineNames());
    models.emplace_back(name, std::move(model));
  }
  PredictionsFile file(options.out, data, rows, options.seed);
  Progress progress(models.size(), data.rows());
  for (auto& [name, model] : models) {
    file.Write(data, PredictAll(name, data, *model, is_kept, progress));
    model.reset();
  }
  file.Close();
}

}  // namespace
}  // namespace foreflow::evaluate

int main(int argc, char** argv) {
  foreflow::evaluate::Options options;
  CLI::App app{"Lets models predict the rows of a dataset in order of time, and keeps what each said."};
  app.add_option("data", options.data, "dataset (HDF5, of foreflow-dataset)")->required();
  app.add_option("--model", options.models, "a baseline's name or a model file; may be repeated")->required();
  app.add_option("--train", options.training,
                 "dataset whose training rows baselines learn from; else the same");
  app.add_option("--target", options.targets, "only these targets; may be repeated");
  app.add_option("--rows", options.rows, "which are kept: test, or all")
      ->check(CLI::IsMember({"test", "all"}));
  app.add_option("--seed", options.seed, "of the random predictor");
  app.add_option("--out", options.out, "predictions (HDF5)")->required();
  return foreflow::RunProgram(app, argc, argv, [&] { foreflow::evaluate::Run(options); });
}
