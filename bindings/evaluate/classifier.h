// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_CLASSIFIER_H_
#define FOREFLOW_BINDINGS_EVALUATE_CLASSIFIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bindings/evaluate/dataset.h"
#include "models/base/work.h"
#include "models/predict/type_predictor.h"

namespace foreflow::evaluate {

// The context of the data path's predictors. `last`: the last label known of the VM, -1 none.
predict::Context ContextOf(const History& history, int last);

// A baseline that predicts a class from the last symbols.
class Classifier {
 public:
  virtual ~Classifier() = default;
  // `last`: the last label known of the same VM, -1 none. `probability`: one a class, sums to 1.
  virtual void Predict(const History& history, int last, std::vector<float>& probability, Work& work) = 0;
  // `history` and `last` as they were when the row arrived.
  virtual void Learn(const History& history, int last, int truth, Work& work) = 0;
};

// The predictors of the data path (models/predict/type_predictor.h): integers, fading counts, calibration.
// For targets whose classes are the packet types.
class PathClassifier : public Classifier {
 public:
  explicit PathClassifier(predict::PredictorKind kind) : predictor_(predict::MakeTypePredictor(kind)) {}
  void Predict(const History& history, int last, std::vector<float>& probability, Work& work) override;
  void Learn(const History& history, int last, int truth, Work& work) override;

 private:
  std::unique_ptr<predict::TypePredictor> predictor_;
};

// Markov of order `order` <= 7 by exact counts that never fade, in as much memory as it takes: the best that
// a table could do. Orders are mixed by Witten and Bell's method C ("The zero-frequency problem", 1991),
// below the lowest the uniform distribution. Order 0: how often each class came.
class CountingClassifier : public Classifier {
 public:
  CountingClassifier(std::size_t order, std::size_t classes);
  void Predict(const History& history, int last, std::vector<float>& probability, Work& work) override;
  void Learn(const History& history, int last, int truth, Work& work) override;

 private:
  struct Counts {
    std::vector<std::uint32_t> count;
    std::uint32_t total = 0;
    std::uint32_t distinct = 0;
  };

  std::size_t order_;
  std::size_t classes_;
  std::unordered_map<std::uint64_t, Counts> contexts_;  // looked up only
};

// The last label again, as sure as it has been right.
class PersistenceClassifier : public Classifier {
 public:
  explicit PersistenceClassifier(std::size_t classes) : classes_(classes) {}
  void Predict(const History& history, int last, std::vector<float>& probability, Work& work) override;
  void Learn(const History& history, int last, int truth, Work& work) override;

 private:
  std::size_t classes_;
  std::uint64_t seen_ = 0;
  std::uint64_t hits_ = 0;
};

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_CLASSIFIER_H_
