// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_TYPES_MODEL_TEST_H_
#define FOREFLOW_MODELS_PREDICT_TYPES_MODEL_TEST_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "models/base/rng.h"
#include "models/predict/packet_type.h"
#include "models/predict/sequence_features.h"
#include "models/predict/test_models.h"

namespace foreflow::predict {

// A random model for next-type: another head, then the types.
inline std::shared_ptr<Model> TypesModel(ModelKind kind, std::vector<std::uint32_t> hidden,
                                         std::uint32_t inputs, std::uint64_t seed) {
  RandomModel sizes;
  sizes.kind = kind;
  sizes.hidden = std::move(hidden);
  sizes.symbols = kSequenceSymbols;
  sizes.inputs = inputs;
  sizes.classes = {3, kPacketTypes};
  auto model = std::make_shared<Model>(MakeModel(sizes, seed));
  model->feature_set = kSequenceFeatureSet;
  model->goldens.clear();  // a random model's are not what it answers
  Head& head = model->heads[1];
  head.target = "type";
  for (std::size_t i = 0; i < kPacketTypes; ++i) head.classes[i] = Name(static_cast<PacketType>(i));
  if (kind == ModelKind::kAutomaton) {
    // Distributions, some sure and some not.
    for (Tensor& tensor : model->tensors) {
      if (tensor.name != "output") continue;
      Rng rng(seed, "tiered_test.table");
      for (std::size_t at = 0; at < tensor.value.size(); at += 3 + kPacketTypes) {
        const bool sure = rng.Below(2) == 0;
        for (std::size_t i = 0; i < kPacketTypes; ++i) {
          tensor.value[at + 3 + i] = sure ? (i == at % kPacketTypes ? 0.94F : 0.01F) : 1.0F / kPacketTypes;
        }
      }
    }
  }
  return model;
}

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_TYPES_MODEL_TEST_H_
