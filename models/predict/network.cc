// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/network.h"

#include <array>
#include <stdexcept>

#include "models/predict/vector_math.h"

namespace foreflow::predict {
namespace {

std::size_t StateBytesOf(const Model& model) {
  switch (model.kind) {
    case ModelKind::kGru:
      return model.hidden[0] * sizeof(float);
    case ModelKind::kLstm:
      return 2 * model.hidden[0] * sizeof(float);
    default:
      return 0;
  }
}

// What each gate of a kind is scaled by, so that the kernels take powers of 2 of the sums.
std::vector<float> GateScales(ModelKind kind) {
  constexpr float kLogistic = -vector_math::kLog2E, kTanh = 2 * vector_math::kLog2E;
  switch (kind) {
    case ModelKind::kGru:
      return {kLogistic, kLogistic, kTanh};
    case ModelKind::kLstm:
      return {kLogistic, kLogistic, kTanh, kLogistic};
    default:
      return {1};
  }
}

std::size_t IndexOfHidden(std::size_t hidden) { return hidden == 16 ? 0 : hidden == 32 ? 1 : 2; }

}  // namespace

NetworkKernels NetworkKernelsOf(InstructionSet set) {
  if (!IsUsable(set)) throw std::invalid_argument("instruction set: this processor does not have it");
  switch (set) {
    case InstructionSet::kAvx2:
      return Avx2NetworkKernels();
    case InstructionSet::kAvx512:
      return Avx512NetworkKernels();
    default:
      return ScalarNetworkKernels();
  }
}

Network::Network(const Model& model, InstructionSet set) : SequenceModel(model, StateBytesOf(model)) {
  const NetworkKernels kernels = NetworkKernelsOf(set);
  switch (model.kind) {
    case ModelKind::kGru:
      step_ = kernels.gru[IndexOfHidden(model.hidden[0])];
      break;
    case ModelKind::kLstm:
      step_ = kernels.lstm[IndexOfHidden(model.hidden[0])];
      break;
    case ModelKind::kMlp:
      step_ = kernels.mlp;
      break;
    default:
      throw std::invalid_argument("network: the model is neither gru, lstm nor mlp");
  }
  PackLayers(model);
  PackHeads(model);
}

void Network::Step(const ModelStep* steps, std::size_t count, Work& work) const {
  step_(weights_, steps, count);
  std::uint32_t products = products_ * static_cast<std::uint32_t>(count);
  for (std::size_t i = 0; i < count; ++i) products += steps[i].output == nullptr ? 0 : head_products_;
  work.Add(WorkItem::kMultiplyAdd, products);
  work.Add(WorkItem::kCacheLine, static_cast<std::uint32_t>(count * ((state_bytes() + 63) / 64)));
}

float* Network::Reserve(std::size_t floats) {
  if (floats == 0) return nullptr;
  memory_.emplace_back((floats + 15) / 16);
  return memory_.back().data()->value;
}

void Network::PackLayers(const Model& model) {
  const std::size_t hidden = weights_.hidden = model.hidden[0];
  const std::size_t inputs = weights_.inputs = model.inputs;
  const std::vector<float> scale = GateScales(model.kind);
  const std::size_t gates = scale.size(), width = gates * hidden;
  const bool is_recurrent = state_bytes() > 0;
  // Where unit `unit` of gate `gate` lies in a row of all gates' units.
  const auto place = [&](std::size_t gate, std::size_t unit) {
    return (unit / kBlock * gates + gate) * kBlock + unit % kBlock;
  };

  const std::vector<float>& embedding = model.tensor("embedding");
  float* packed = Reserve(embedding.size());
  weights_.embedding = packed;
  for (std::size_t symbol = 0; symbol < model.symbols; ++symbol) {
    for (std::size_t gate = 0; gate < gates; ++gate) {
      for (std::size_t unit = 0; unit < hidden; ++unit) {
        packed[symbol * width + place(gate, unit)] =
            embedding[symbol * width + gate * hidden + unit] * scale[gate];
      }
    }
  }

  // A matrix [gates * hidden, columns] as [block][column][gate][16].
  const auto pack = [&](const std::vector<float>& matrix, std::size_t columns) {
    float* to = Reserve(matrix.size());
    for (std::size_t gate = 0; gate < gates; ++gate) {
      for (std::size_t unit = 0; unit < hidden; ++unit) {
        for (std::size_t column = 0; column < columns; ++column) {
          to[((unit / kBlock * columns + column) * gates + gate) * kBlock + unit % kBlock] =
              matrix[(gate * hidden + unit) * columns + column] * scale[gate];
        }
      }
    }
    return to;
  };
  const auto copy = [&](const std::vector<float>& values, float factor) {
    float* to = Reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = values[i] * factor;
    return to;
  };
  if (inputs > 0) weights_.input = pack(model.tensor(is_recurrent ? "weight_ih" : "weight_1"), inputs);
  if (is_recurrent) weights_.recurrent = pack(model.tensor("weight_hh"), hidden);
  if (model.kind == ModelKind::kGru) weights_.bias_hn = copy(model.tensor("bias_hn"), scale[2]);
  weights_.input_mean = copy(model.input_mean, 1);
  weights_.input_scale = copy(model.input_scale, 1);
  products_ = static_cast<std::uint32_t>(width * (inputs + (is_recurrent ? hidden : 0)));

  if (model.kind == ModelKind::kMlp && model.hidden.size() > 1) {
    const std::size_t second = weights_.hidden_2 = model.hidden[1];
    const std::vector<float>& matrix = model.tensor("weight_2");
    float* to = Reserve(matrix.size());
    weights_.dense = to;
    for (std::size_t unit = 0; unit < second; ++unit) {
      for (std::size_t k = 0; k < hidden; ++k)
        to[(unit / kBlock * hidden + k) * kBlock + unit % kBlock] = matrix[unit * hidden + k];
    }
    weights_.bias_2 = copy(model.tensor("bias_2"), 1);
    products_ += static_cast<std::uint32_t>(second * hidden);
  }
}

void Network::PackHeads(const Model& model) {
  const std::size_t depth = model.hidden.back();
  for (const Head& head : model.heads) {
    NetworkWeights::HeadShape& shape = weights_.heads[weights_.head_count++];
    shape.first = static_cast<std::uint16_t>(weights_.head_width);
    shape.outputs = static_cast<std::uint16_t>(head.outputs());
    shape.is_class = head.IsClass();
    weights_.head_width += (head.outputs() + kGroup - 1) / kGroup * kGroup;
  }
  const std::vector<float>& weight = model.tensor("head_weight");
  const std::vector<float>& bias = model.tensor("head_bias");
  float* to = Reserve(depth * weights_.head_width);
  float* to_bias = Reserve(weights_.head_width);
  weights_.head = to;
  weights_.head_bias = to_bias;
  for (std::size_t i = 0; i < weights_.head_width; ++i) to_bias[i] = kNoLogit;
  std::size_t row = 0;
  for (std::size_t i = 0; i < model.heads.size(); ++i) {
    const float sharpness = model.heads[i].IsClass() ? 1 / model.heads[i].temperature : 1;
    for (std::size_t output = 0; output < model.heads[i].outputs(); ++output, ++row) {
      const std::size_t column = weights_.heads[i].first + output;
      to_bias[column] = bias[row] * sharpness;
      for (std::size_t k = 0; k < depth; ++k)
        to[k * weights_.head_width + column] = weight[row * depth + k] * sharpness;
    }
  }
  head_products_ = static_cast<std::uint32_t>(weight.size());
}

}  // namespace foreflow::predict
