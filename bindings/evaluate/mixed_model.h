// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_MIXED_MODEL_H_
#define FOREFLOW_BINDINGS_EVALUATE_MIXED_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "bindings/evaluate/row_model.h"
#include "models/predict/model_file.h"
#include "models/predict/tiered_predictor.h"

namespace foreflow::evaluate {

// Trained models as the data path serves them: predict::TieredPredictor, one a source, as a host has one. So
// what they say is mixed with what learns on, a VM each, and calibrated. Its token bucket runs on the clock
// of the rows.
//
// Predicts the targets whose classes are the packet types, each with models of its own.
class MixedModel : public RowModel {
 public:
  // One file, or a table and a network, which then are tiers. `data` must outlive this. Throws Refusal where
  // a file cannot be read, is no model of types (predict::RequireTypes) or not of the dataset's task and
  // features, or predicts no target; and where there are two and not one of each kind.
  MixedModel(const std::vector<std::string>& paths, const Dataset& data);
  void Step(std::size_t row, Output& output, Work& work) override;
  void Learn(std::size_t row, std::size_t target, Work& work) override;

 private:
  struct Head {
    std::size_t target = 0;
    std::vector<std::unique_ptr<predict::TieredPredictor>> host;  // by source
    std::vector<predict::TypeGuess> guess;                        // by row
  };

  const Dataset& data_;
  std::vector<Head> head_;
};

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_MIXED_MODEL_H_
