// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TREE_ENSEMBLE_H_
#define FOREFLOW_MODELS_PREDICT_TREE_ENSEMBLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/predict/network_weights.h"
#include "models/predict/sequence_model.h"

namespace foreflow::predict {

// Boosted or bagged decision trees, all of one depth: an output is its base plus the leaves of its trees, in
// their order; class heads then take the softmax, quantile heads the running maximum. Every step stands
// alone.
//
// No branch depends on the data: a node's number doubles on each level, and eight trees go down together, so
// that their loads overlap. A NaN goes right.
//
// Work: a table_step a level of each tree.
class TreeEnsemble : public SequenceModel {
 public:
  // A model of kind trees. Throws std::invalid_argument where the set is not usable.
  TreeEnsemble(const Model& model, InstructionSet set);

  void Step(const ModelStep* steps, std::size_t count, Work& work) const override;

 private:
  struct Node {
    float threshold;
    std::uint32_t feature;
  };
  struct HeadShape {
    std::uint16_t outputs = 0;
    bool is_class = true;
    float sharpness = 1;
  };

  void StepOne(const ModelStep& step) const;

  std::size_t trees_;
  std::size_t depth_;
  std::vector<Node> node_;   // [trees][2^depth - 1]
  std::vector<float> leaf_;  // [trees][2^depth]
  std::vector<std::uint16_t> tree_output_;
  std::vector<float> base_;
  std::vector<float> input_mean_;
  std::vector<float> input_scale_;
  std::vector<HeadShape> heads_;
  void (*softmax_)(float* logit, std::size_t outputs, float* output);
};

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TREE_ENSEMBLE_H_
