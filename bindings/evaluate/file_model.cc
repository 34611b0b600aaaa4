// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/file_model.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "models/base/refusal.h"

namespace foreflow::evaluate {
namespace {

constexpr const char* kEnding = ".model";

}  // namespace

predict::Model LoadModel(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> chars{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    throw Refusal(path + ": cannot be read; name a file that foreflow-train has written");
  }
  const std::vector<std::uint8_t> bytes(chars.begin(), chars.end());
  return predict::ParseModel({bytes.data(), bytes.size()}, path);
}

FileModel::FileModel(const std::string& path, const Dataset& data) : data_(data), head_(data.targets.size()) {
  const predict::Model model = LoadModel(path);
  predict::RequireUse(model, path, data.task, data.feature_set);
  if (model.symbols < data.symbols || (model.inputs != 0 && model.inputs != data.inputs_per_row)) {
    throw Refusal(path, "symbols and inputs",
                  std::to_string(model.symbols) + " and " + std::to_string(model.inputs),
                  std::to_string(data.symbols) + " and 0 or " + std::to_string(data.inputs_per_row) +
                      ", as in " + data.path);
  }
  std::size_t first = 0;
  bool is_any = false;
  for (const predict::Head& head : model.heads) {
    for (std::size_t t = 0; t < head_.size(); ++t) {
      const Target& target = data.targets[t];
      if (target.name != head.target) continue;
      if (target.classes != head.classes) {
        throw Refusal(path + ": its classes of " + head.target + " are not those of " + data.path +
                      "; train it again");
      }
      head_[t] = {true, first, head.levels};
      is_any = true;
    }
    first += head.outputs();
  }
  if (!is_any) throw Refusal(path + ": predicts no target that is evaluated; name others with --target");
  predict::RequireGoldens(model, path);
  model_ = predict::MakeSequenceModel(model);
  words_ = (model_->state_bytes() + sizeof(std::uint32_t) - 1) / sizeof(std::uint32_t);
  state_.resize(words_ * data.sequences);
  output_.resize(model_->outputs());
}

std::vector<float> FileModel::Levels(std::size_t target) const {
  return head_[target].is_there ? head_[target].levels : RowModel::Levels(target);
}

void FileModel::Step(std::size_t row, Output& output, Work& work) {
  predict::ModelStep step;
  step.state = state_.data() + words_ * data_.sequence[row];
  step.inputs = model_->inputs() > 0 ? &data_.inputs[row * data_.inputs_per_row] : nullptr;
  step.symbol = data_.symbol[row];
  step.output = data_.HasLabel(row) ? output_.data() : nullptr;
  model_->Step(&step, 1, work);
  if (step.output == nullptr) return;
  for (std::size_t t = 0; t < head_.size(); ++t) {
    if (head_[t].is_there)
      std::copy_n(output_.begin() + static_cast<std::ptrdiff_t>(head_[t].first), output[t].size(),
                  output[t].begin());
  }
}

std::string NameOfModelFile(const std::string& path) { return std::filesystem::path(path).stem().string(); }

bool IsModelFile(const std::string& name) { return std::filesystem::path(name).extension() == kEnding; }

}  // namespace foreflow::evaluate
