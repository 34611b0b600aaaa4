// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_BINDINGS_EVALUATE_PREDICTIONS_FILE_H_
#define FOREFLOW_BINDINGS_EVALUATE_PREDICTIONS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bindings/evaluate/dataset.h"
#include "bindings/evaluate/monitor.h"
#include "bindings/hdf5/definitions.h"
#include "models/base/work.h"

namespace foreflow::evaluate {

// What one model said of the M kept rows of one target.
struct TargetPredictions {
  std::vector<float> said;    // [M, width]
  std::size_t width = 0;      // classes, or quantiles
  std::vector<float> levels;  // of quantiles; empty for classes
  std::vector<std::uint8_t> covered;
  std::vector<float> set_size;
  std::vector<Monitor::Alarm> alarms;
  bool IsSilent() const;  // nothing was said of any row
};

// What one model said of the M kept rows.
struct ModelPredictions {
  std::string name;                        // of its group in the file
  std::vector<TargetPredictions> targets;  // in the dataset's order
  std::vector<std::uint32_t> work;         // [M, kWorkItems], learning included
};

// predictions.h5: what models said of rows of a dataset.
//
//   attributes          | format = 1, task, dataset (path), seed
//   /rows               | i64[M]: rows of the dataset that are scored, in order
//   /models/NAME/work   | u32[M, items], attribute `items`: counted since the row before that was shown
//   /models/NAME/TARGET | group:
//     probability       | f32[M, C] of a class target, or
//     quantiles         | f32[M, Q] of a real one, with the attribute `levels`
//     covered, set_size | u8[M], f32[M]: did the adaptive conformal set hold the truth; how large it was
//     alarms            | i64[K, 2]: index in the attribute `detectors`, row of the dataset
//
// The same predictions give the same bytes.
class PredictionsFile {
 public:
  // Throws Refusal where the file cannot be created.
  PredictionsFile(const std::string& path, const Dataset& data, const std::vector<std::int64_t>& rows,
                  std::uint64_t seed);
  // Targets of which the model says nothing are left out. Throws std::runtime_error when the disk is full.
  void Write(const Dataset& data, const ModelPredictions& model);
  // After the last Write. Throws as Write does.
  void Close();

 private:
  std::string path_;
  hdf5::Id file_;
};

}  // namespace foreflow::evaluate

#endif  // FOREFLOW_BINDINGS_EVALUATE_PREDICTIONS_FILE_H_
