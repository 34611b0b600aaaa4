// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_ONLINE_MODEL_H_
#define FOREFLOW_BINDINGS_EVALUATE_ONLINE_MODEL_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bindings/evaluate/classifier.h"
#include "bindings/evaluate/file_model.h"
#include "bindings/evaluate/row_model.h"
#include "models/predict/calibrator.h"
#include "models/predict/fixed_share.h"
#include "models/predict/model_watch.h"

namespace foreflow::evaluate {

// How a model file and Markov-3, which learns online, a VM each, predict together.
enum class Together : std::uint8_t {
  // As the data path serves models: a temperature that follows the labels, and a watch that lets Markov-3
  // predict while that has lately been better. Calibration and watch are one a source, as a host has one of
  // each. One label in kShadow teaches Markov-3 while the model serves, all do while it does not.
  kWatched,
  // Mixed by predict::FixedShare, a VM each: both predict and learn always.
  kMixed,
};

// Predicts the targets whose classes are the packet types.
class OnlineModel : public RowModel {
 public:
  // As FileModel; throws Refusal also where no target has packet types.
  OnlineModel(const std::string& path, const Dataset& data, Together together);
  void Step(std::size_t row, Output& output, Work& work) override;
  void Learn(std::size_t row, std::size_t target, Work& work) override;

 private:
  static constexpr std::uint64_t kShadow = 8;

  struct Source {
    predict::Calibrator calibrator;
    predict::ModelWatch watch;
  };
  struct Vm {
    PathClassifier fallback{predict::PredictorKind::kMarkov3};
    predict::FixedShare share;
    std::int8_t last = -1;
  };
  struct Head {
    std::size_t target = 0;
    std::vector<predict::Distribution> reading;  // by row: what the model itself said
    std::vector<predict::Distribution> learner;  // by row: what Markov-3 said; kMixed alone
    std::vector<std::int8_t> last;               // by row: the VM's last label
    std::vector<Source> source;
    std::map<std::pair<std::uint16_t, std::uint16_t>, Vm> vm;  // by source and VM
  };

  Vm& VmOf(Head& head, std::size_t row) { return head.vm[{data_.source[row], data_.vm[row]}]; }
  std::vector<float> Fallback(Head& head, std::size_t row, Work& work);

  const Dataset& data_;
  FileModel model_;
  Together together_;
  std::vector<Head> head_;
};

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_ONLINE_MODEL_H_
