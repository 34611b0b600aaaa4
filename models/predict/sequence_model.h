// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_SEQUENCE_MODEL_H_
#define FOREFLOW_MODELS_PREDICT_SEQUENCE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "models/base/work.h"
#include "models/predict/model_file.h"

namespace foreflow::predict {

// One step of one sequence. All memory is the caller's.
struct ModelStep {
  void* state = nullptr;          // state_bytes() of the sequence, aligned to 4 B; read and written
  const float* inputs = nullptr;  // inputs() floats; null where the model takes none
  float* output = nullptr;        // outputs() floats, written; null: only the state is stepped
  std::uint8_t symbol = 0;        // below symbols()
};

// A model that is ready to serve: read-only weights, and any number of sequences whose states the caller
// keeps. A state is plain memory: all bytes zero where a sequence begins, and copied, saved and restored as
// bytes. Const calls may come from several threads at once.
class SequenceModel {
 public:
  virtual ~SequenceModel() = default;

  // Makes `count` steps, in order: where two are of the same sequence the second sees what the first left.
  // What comes out does not depend on what else is in the batch. No allocation. Counts what it did in `work`.
  virtual void Step(const ModelStep* steps, std::size_t count, Work& work) const = 0;

  std::size_t state_bytes() const { return state_bytes_; }  // 0: every step stands alone
  std::size_t symbols() const { return symbols_; }
  std::size_t inputs() const { return inputs_; }
  // Of all heads, one head after the other: probabilities of classes, or values at quantile levels.
  std::size_t outputs() const { return outputs_; }

 protected:
  SequenceModel(const Model& model, std::size_t state_bytes)
      : state_bytes_(state_bytes),
        symbols_(model.symbols),
        inputs_(model.inputs),
        outputs_(model.outputs()) {}

 private:
  std::size_t state_bytes_;
  std::size_t symbols_;
  std::size_t inputs_;
  std::size_t outputs_;
};

// The instructions that gru, lstm and mlp are computed with. All give the same bits.
enum class InstructionSet : std::uint8_t { kScalar, kAvx2, kAvx512 };

// scalar, avx2, avx512; nullptr out of range.
const char* Name(InstructionSet set);
// Whether this processor, and this build, have it.
bool IsUsable(InstructionSet set);
// The widest that is usable.
InstructionSet WidestUsable();

// Serves a model of any kind; the model itself is not needed afterwards. Throws std::invalid_argument where
// the set is not usable.
std::unique_ptr<SequenceModel> MakeSequenceModel(const Model& model, InstructionSet set = WidestUsable());

// Runs the model's golden sequences and returns the largest deviation from what they expect: absolute for
// probabilities, relative to the expected value where that exceeds 1 for quantiles. 0 without any.
double LargestGoldenDeviation(const Model& model, InstructionSet set = WidestUsable());

// What every user of a model file calls once at set-up: throws Refusal where the deviation exceeds 1e-5, so
// that this build does not compute what was trained.
void RequireGoldens(const Model& model, const std::string& where);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_SEQUENCE_MODEL_H_
