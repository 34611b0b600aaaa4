// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_FILE_MODEL_H_
#define FOREFLOW_BINDINGS_EVALUATE_FILE_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bindings/evaluate/row_model.h"
#include "models/predict/model_file.h"
#include "models/predict/sequence_model.h"

namespace foreflow::evaluate {

// Throws Refusal where the file cannot be read or is no model.
predict::Model LoadModel(const std::string& path);

// A model file, served by the kernels of the data path: one state a sequence, stepped by each of its rows.
// It learns nothing from the rows.
class FileModel : public RowModel {
 public:
  // `data` must outlive this. Throws Refusal where the file cannot be read or is no model of the dataset's
  // task, features and inputs, where it predicts none of its targets or other classes of one, and where this
  // build does not compute its golden outputs.
  FileModel(const std::string& path, const Dataset& data);
  void Step(std::size_t row, Output& output, Work& work) override;
  std::vector<float> Levels(std::size_t target) const override;

 private:
  const Dataset& data_;
  std::unique_ptr<predict::SequenceModel> model_;
  struct Head {
    bool is_there = false;
    std::size_t first = 0;  // of the model's outputs
    std::vector<float> levels;
  };
  std::vector<Head> head_;            // a target of the dataset
  std::vector<std::uint32_t> state_;  // of all sequences
  std::size_t words_ = 0;             // of a state
  std::vector<float> output_;
};

// The name that a model file's predictions are kept by: the file's, without folder and ending.
std::string NameOfModelFile(const std::string& path);
// Whether `name` means a file.
bool IsModelFile(const std::string& name);

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_FILE_MODEL_H_
