// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/reference.h"

#include <torch/torch.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "models/base/refusal.h"

namespace foreflow::train {
namespace {

using torch::Tensor;

// A batch: a symbol is one-hot here, so a padded step takes about 1 KiB.
constexpr std::size_t kMostLanes = 256;
constexpr std::size_t kMostPadded = std::size_t{1} << 16;

Tensor TensorOf(const predict::Model& model, const char* name, torch::IntArrayRef sizes) {
  const std::vector<float>& value = model.tensor(name);
  return torch::from_blob(const_cast<float*>(value.data()), sizes, torch::kFloat32).clone();
}

}  // namespace

struct Reference::State {
  explicit State(const predict::Model& m) : model(m) {
    const torch::NoGradGuard no_gradient;
    const std::int64_t symbols = model.symbols, inputs = model.inputs, first = model.hidden[0];
    const std::int64_t last = model.hidden.back(), outputs = static_cast<std::int64_t>(model.outputs());
    const bool is_mlp = model.kind == predict::ModelKind::kMlp;
    const std::int64_t gates = is_mlp ? 1 : model.kind == predict::ModelKind::kGru ? 3 : 4;
    // A symbol is one of `symbols` inputs that is 1: so the embedding is a part of the input weights.
    Tensor weight = TensorOf(model, "embedding", {symbols, gates * first}).t();
    if (inputs > 0) {
      weight = torch::cat(
          {weight, TensorOf(model, is_mlp ? "weight_1" : "weight_ih", {gates * first, inputs})}, 1);
      mean = torch::tensor(model.input_mean);
      scale = torch::tensor(model.input_scale);
    }
    const auto load = [&](auto& recurrent) {
      auto named = recurrent->named_parameters();
      named["weight_ih_l0"].copy_(weight);
      named["weight_hh_l0"].copy_(TensorOf(model, "weight_hh", {gates * first, first}));
      named["bias_ih_l0"].zero_();
      named["bias_hh_l0"].zero_();
    };
    if (model.kind == predict::ModelKind::kGru) {
      gru = torch::nn::GRU(torch::nn::GRUOptions(symbols + inputs, first));
      load(gru);
      gru->named_parameters()["bias_hh_l0"]
          .narrow(0, 2 * first, first)
          .copy_(TensorOf(model, "bias_hn", {first}));
    } else if (model.kind == predict::ModelKind::kLstm) {
      lstm = torch::nn::LSTM(torch::nn::LSTMOptions(symbols + inputs, first));
      load(lstm);
    } else {
      dense = torch::nn::Linear(symbols + inputs, first);
      dense->weight.copy_(weight);
      dense->bias.zero_();
      if (model.hidden.size() == 2) {
        second = torch::nn::Linear(first, last);
        second->weight.copy_(TensorOf(model, "weight_2", {last, first}));
        second->bias.copy_(TensorOf(model, "bias_2", {last}));
      }
    }
    head = torch::nn::Linear(last, outputs);
    head->weight.copy_(TensorOf(model, "head_weight", {outputs, last}));
    head->bias.copy_(TensorOf(model, "head_bias", {outputs}));
  }

  // [steps, lanes, outputs]
  Tensor Forward(const Tensor& symbol, const Tensor& inputs) {
    Tensor x = torch::one_hot(symbol, model.symbols).to(torch::kFloat32);
    if (model.inputs > 0) x = torch::cat({x, (inputs - mean) * scale}, 2);
    Tensor states;
    if (gru) {
      states = std::get<0>(gru->forward(x));
    } else if (lstm) {
      states = std::get<0>(lstm->forward(x));
    } else {
      states = torch::relu(dense->forward(x));
      if (second) states = torch::relu(second->forward(states));
    }
    const Tensor logits = head->forward(states);
    std::vector<Tensor> results;
    std::int64_t first = 0;
    for (const predict::Head& one : model.heads) {
      const auto count = static_cast<std::int64_t>(one.outputs());
      const Tensor own = logits.narrow(2, first, count);
      first += count;
      results.push_back(one.IsClass() ? torch::softmax(own / one.temperature, 2)
                                      : std::get<0>(torch::cummax(own, 2)));
    }
    return torch::cat(results, 2).contiguous();
  }

  predict::Model model;
  torch::nn::GRU gru{nullptr};
  torch::nn::LSTM lstm{nullptr};
  torch::nn::Linear dense{nullptr}, second{nullptr}, head{nullptr};
  Tensor mean, scale;
};

Reference::Reference(const predict::Model& model) {
  if (model.kind == predict::ModelKind::kAutomaton || model.kind == predict::ModelKind::kTrees) {
    throw Refusal(std::string("a model of kind ") + predict::Name(model.kind) +
                  " has no libtorch network, allowed: gru, lstm, mlp");
  }
  torch::set_num_threads(1);
  state_ = std::make_unique<State>(model);
}

Reference::~Reference() = default;

std::vector<std::vector<float>> Reference::Run(const std::vector<Steps>& sequences) {
  const torch::NoGradGuard no_gradient;
  const std::size_t inputs = state_->model.inputs, outputs = state_->model.outputs();
  std::vector<std::vector<float>> results;
  for (std::size_t begin = 0; begin < sequences.size();) {
    std::size_t lanes = 0, steps = 1;
    for (; lanes < kMostLanes && begin + lanes < sequences.size(); ++lanes) {
      const std::size_t longest = std::max(steps, sequences[begin + lanes].symbol.size());
      if (lanes > 0 && longest * (lanes + 1) > kMostPadded) break;
      steps = longest;
    }
    const auto t = static_cast<std::int64_t>(steps), b = static_cast<std::int64_t>(lanes);
    Tensor symbol = torch::zeros({t, b}, torch::kInt64);
    Tensor input = torch::zeros({t, b, static_cast<std::int64_t>(inputs)});
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const Steps& from = sequences[begin + lane];
      for (std::size_t step = 0; step < from.symbol.size(); ++step) {
        symbol.data_ptr<std::int64_t>()[step * lanes + lane] = from.symbol[step];
        std::copy_n(from.input.begin() + static_cast<std::ptrdiff_t>(step * inputs), inputs,
                    input.data_ptr<float>() + (step * lanes + lane) * inputs);
      }
    }
    const Tensor out = state_->Forward(symbol, input);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      std::vector<float> result;
      for (std::size_t step = 0; step < sequences[begin + lane].symbol.size(); ++step) {
        const float* from = out.data_ptr<float>() + (step * lanes + lane) * outputs;
        result.insert(result.end(), from, from + outputs);
      }
      results.push_back(std::move(result));
    }
    begin += lanes;
  }
  return results;
}

}  // namespace foreflow::train
