// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/network.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <tuple>
#include <utility>

#include "models/base/refusal.h"

namespace foreflow::train {
namespace {

using torch::Tensor;

constexpr std::int64_t kEmbedding =
    24;  // a symbol's coordinates: few, so that rare symbols share what is learnt
constexpr std::int64_t kBinaryReadout = 64;  // hidden width between a binary state and the heads
constexpr double kGradientNorm = 1.0;
constexpr std::size_t kNearestRows = 4096;  // at a time
// How often a symbol is learnt from as the sum of its parts alone.
constexpr double kPartsAlone = 0.1;

std::int64_t Gates(NetworkKind kind) {
  switch (kind) {
    case NetworkKind::kGru:
    case NetworkKind::kBinary:
      return 3;
    case NetworkKind::kLstm:
      return 4;
    case NetworkKind::kMlp:
      break;
  }
  return 1;
}

predict::Tensor Exported(const std::string& name, const Tensor& tensor) {
  const Tensor flat = tensor.detach().to(torch::kCPU).to(torch::kFloat32).contiguous();
  predict::Tensor out;
  out.name = name;
  for (const std::int64_t size : flat.sizes()) out.shape.push_back(static_cast<std::uint32_t>(size));
  out.value.assign(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  return out;
}

struct Net : torch::nn::Module {
  explicit Net(const NetworkShape& s) : shape(s), hidden(s.hidden), gates(Gates(s.kind)) {
    const auto uniform = [](torch::IntArrayRef size, double bound) {
      return (torch::rand(size) * 2 - 1) * bound;
    };
    const std::int64_t outputs = static_cast<std::int64_t>(s.head_start.size());
    const double bound = 1.0 / std::sqrt(static_cast<double>(hidden));
    if (s.parts.count > 0) {
      has_part = register_buffer("has_part", torch::tensor(s.parts.has).reshape({s.symbols, s.parts.count}));
      part = register_parameter("part", torch::randn({s.parts.count, kEmbedding}) * 0.25);
    }
    own = register_parameter("own", torch::randn({s.symbols, kEmbedding}) * (s.parts.count > 0 ? 0.0 : 0.5));
    project = register_parameter("project", uniform({gates * hidden, kEmbedding}, bound));
    Tensor first = torch::zeros({gates * hidden});
    if (s.kind == NetworkKind::kLstm) first.narrow(0, hidden, hidden).fill_(1.0);  // remember at first
    bias = register_parameter("bias", first);
    if (s.inputs > 0) input = register_parameter("input", uniform({gates * hidden, s.inputs}, bound));
    if (s.kind != NetworkKind::kMlp) {
      recurrent = register_parameter("recurrent", uniform({gates * hidden, hidden}, bound));
    }
    if (gates == 3) candidate = register_parameter("candidate", torch::zeros({hidden}));
    std::int64_t readout = hidden;
    if (s.kind == NetworkKind::kBinary) {
      const std::int64_t bits = s.bits;
      enter = register_module("enter", torch::nn::Linear(bits, hidden));
      leave = register_module("leave", torch::nn::Linear(hidden, bits));
      read = register_module("read", torch::nn::Linear(bits, kBinaryReadout));
      readout = kBinaryReadout;
    }
    head = register_module("head", torch::nn::Linear(readout, outputs));
    torch::NoGradGuard no_gradient;
    head->weight.mul_(0.1);
    head->bias.copy_(torch::tensor(s.head_start));
  }

  // The symbols' coordinates: [symbols, kEmbedding].
  Tensor Embedding(bool learns) const {
    if (shape.parts.count == 0) return own;
    const Tensor common = torch::mm(has_part, part);
    if (!learns) return common + own;
    return common + own * (torch::rand({own.size(0), 1}, own.device()) >= kPartsAlone);
  }

  // What a step's symbol and inputs add to the gates: [..., gates * hidden].
  Tensor Drive(const Tensor& symbol, const Tensor& inputs, bool learns) const {
    Tensor sum = torch::nn::functional::linear(torch::embedding(Embedding(learns), symbol), project, bias);
    if (shape.inputs > 0) sum = sum + torch::matmul(inputs, input.t());
    return sum;
  }

  Tensor GruStep(const Tensor& drive, const Tensor& h) const {
    const Tensor product = torch::mm(h, recurrent.t());
    const Tensor rz = torch::sigmoid(drive.narrow(1, 0, 2 * hidden) + product.narrow(1, 0, 2 * hidden));
    const Tensor n =
        torch::tanh(drive.narrow(1, 2 * hidden, hidden) +
                    rz.narrow(1, 0, hidden) * (product.narrow(1, 2 * hidden, hidden) + candidate));
    return torch::lerp(n, h, rz.narrow(1, hidden, hidden));
  }

  std::pair<Tensor, Tensor> LstmStep(const Tensor& drive, const Tensor& h, const Tensor& c) const {
    const std::vector<Tensor> gate = (drive + torch::mm(h, recurrent.t())).chunk(4, 1);
    const Tensor cell = torch::sigmoid(gate[1]) * c + torch::sigmoid(gate[0]) * torch::tanh(gate[2]);
    return {torch::sigmoid(gate[3]) * torch::tanh(cell), cell};
  }

  // Signs; the gradient is that of tanh (straight through, Hubara et al. 2016).
  static Tensor Signs(const Tensor& x) {
    const Tensor smooth = torch::tanh(x);
    const Tensor sign = torch::where(x > 0, torch::ones_like(x), -torch::ones_like(x));
    return smooth + (sign - smooth).detach();
  }

  Tensor BinaryStep(const Tensor& drive, const Tensor& state) {
    return Signs(leave->forward(GruStep(drive, torch::tanh(enter->forward(state)))));
  }

  // The state before a sequence.
  std::pair<Tensor, Tensor> Cleared(std::int64_t lanes) const {
    if (shape.kind == NetworkKind::kBinary) return {-torch::ones({lanes, shape.bits}), Tensor()};
    return {torch::zeros({lanes, hidden}), torch::zeros({lanes, hidden})};
  }

  // [steps, lanes, hidden or bits]; h and c are taken before the first step and left after the last.
  Tensor Run(const Tensor& symbol, const Tensor& inputs, const Tensor& keep, bool learns, Tensor& h,
             Tensor& c) {
    const Tensor drive = Drive(symbol, inputs, learns);
    if (shape.kind == NetworkKind::kMlp) return torch::relu(drive);
    std::vector<Tensor> states;
    const std::vector<Tensor> drives = drive.unbind(0);
    const std::vector<Tensor> keeps = keep.unbind(0);
    for (std::size_t t = 0; t < drives.size(); ++t) {
      h = h * keeps[t];
      if (shape.kind == NetworkKind::kGru) {
        h = GruStep(drives[t], h);
      } else if (shape.kind == NetworkKind::kLstm) {
        std::tie(h, c) = LstmStep(drives[t], h, c * keeps[t]);
      } else {
        h = BinaryStep(drives[t], h + keeps[t] - 1);
      }
      states.push_back(h);
    }
    return torch::stack(states);
  }

  // [..., outputs]
  Tensor Heads(const Tensor& states, double dropout) {
    const Tensor seen = shape.kind == NetworkKind::kBinary ? torch::relu(read->forward(states)) : states;
    return head->forward(dropout > 0 ? torch::dropout(seen, dropout, /*train=*/true) : seen);
  }

  NetworkShape shape;
  std::int64_t hidden;
  std::int64_t gates;
  Tensor own, has_part, part, project, bias, input, recurrent, candidate;
  torch::nn::Linear enter{nullptr}, leave{nullptr}, read{nullptr}, head{nullptr};
};

}  // namespace

struct Network::State {
  State(const NetworkShape& shape, const Tuning& t)
      : tuning(t), device(t.on_cuda ? torch::kCUDA : torch::kCPU), net(shape) {
    net.to(device);
    optimiser = std::make_unique<torch::optim::AdamW>(
        net.parameters(), torch::optim::AdamWOptions(1e-3).weight_decay(tuning.weight_decay));
    if (shape.inputs > 0) {
      mean = torch::tensor(shape.input_mean).to(device);
      scale = torch::tensor(shape.input_scale).to(device);
    }
  }

  Tensor OnDevice(const std::vector<float>& values, torch::IntArrayRef sizes) const {
    return torch::from_blob(const_cast<float*>(values.data()), sizes, torch::kFloat32).clone().to(device);
  }
  Tensor OnDevice(const std::vector<std::int64_t>& values, torch::IntArrayRef sizes) const {
    return torch::from_blob(const_cast<std::int64_t*>(values.data()), sizes, torch::kInt64)
        .clone()
        .to(device);
  }

  Tensor Run(const Chunk& chunk, bool learns) {
    const std::int64_t steps = chunk.steps, lanes = chunk.lanes;
    if (!h.defined() || h.size(0) != lanes) {
      std::tie(h, c) = net.Cleared(lanes);
      h = h.to(device);
      if (c.defined()) c = c.to(device);
    }
    Tensor inputs;
    if (net.shape.inputs > 0) {
      inputs = (OnDevice(chunk.inputs, {steps, lanes, net.shape.inputs}) - mean) * scale;
    }
    const Tensor states = net.Run(OnDevice(chunk.symbol, {steps, lanes}), inputs,
                                  OnDevice(chunk.keep, {steps, lanes, 1}), learns, h, c);
    h = h.detach();
    if (c.defined()) c = c.detach();
    return states;
  }

  // A head's summed loss.
  std::vector<Tensor> Losses(const Chunk& chunk, const Tensor& outputs) const {
    const Tensor flat = outputs.reshape({-1, outputs.size(2)});
    const std::int64_t size = flat.size(0);
    std::vector<Tensor> losses;
    std::int64_t first = 0;
    for (std::size_t i = 0; i < net.shape.heads.size(); ++i) {
      const predict::Head& head = net.shape.heads[i];
      const auto count = static_cast<std::int64_t>(head.outputs());
      const Tensor own = flat.narrow(1, first, count);
      first += count;
      if (head.IsClass()) {
        losses.push_back(torch::nn::functional::cross_entropy(own, OnDevice(chunk.labels[i], {size}),
                                                              torch::nn::functional::CrossEntropyFuncOptions()
                                                                  .ignore_index(Chunk::kNoLabel)
                                                                  .reduction(torch::kSum)));
      } else {
        const Tensor value = OnDevice(chunk.values[i], {size, 1});
        const Tensor level = torch::tensor(head.levels).to(device);
        const Tensor error = torch::nan_to_num(value) - own;
        const Tensor pinball = torch::maximum(level * error, (level - 1) * error).mean(1, /*keepdim=*/true);
        losses.push_back(torch::where(torch::isnan(value), torch::zeros_like(pinball), pinball).sum());
      }
    }
    return losses;
  }

  Tensor StatesOnDevice(const std::vector<float>& states) const {
    const std::int64_t width = net.shape.kind == NetworkKind::kBinary ? net.shape.bits : net.shape.hidden;
    return OnDevice(states, {static_cast<std::int64_t>(states.size()) / width, width});
  }

  Tuning tuning;
  torch::Device device;
  Net net;
  std::unique_ptr<torch::optim::AdamW> optimiser;
  Tensor mean, scale;
  Tensor h, c;  // carried from chunk to chunk
};

bool Network::HasCuda() { return torch::cuda::is_available(); }

Network::Network(const NetworkShape& shape, const Tuning& tuning) {
  if (tuning.on_cuda && !HasCuda()) {
    throw Refusal("command line: --device is cuda, but this libtorch finds no CUDA device; use --device cpu");
  }
  torch::set_num_threads(1);
  at::globalContext().setDeterministicAlgorithms(true, false);
  torch::manual_seed(tuning.seed);
  state_ = std::make_unique<State>(shape, tuning);
}

Network::~Network() = default;

void Network::ClearState() {
  state_->h = Tensor();
  state_->c = Tensor();
}

std::vector<double> Network::Learn(const Chunk& chunk, const std::vector<double>& known, double rate,
                                   std::uint64_t step) {
  torch::manual_seed(state_->tuning.seed ^ (step + 1) * 0x9e3779b97f4a7c15u);
  static_cast<torch::optim::AdamWOptions&>(state_->optimiser->param_groups()[0].options()).lr(rate);
  const std::vector<Tensor> losses =
      state_->Losses(chunk, state_->net.Heads(state_->Run(chunk, true), state_->tuning.dropout));
  Tensor total = torch::zeros({}, state_->device);
  std::vector<double> sums;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    total = total + losses[i] * (state_->net.shape.head_weight[i] / std::max(known[i], 1.0));
    sums.push_back(losses[i].item<double>());
  }
  state_->optimiser->zero_grad();
  total.backward();
  torch::nn::utils::clip_grad_norm_(state_->net.parameters(), kGradientNorm);
  state_->optimiser->step();
  return sums;
}

std::vector<double> Network::Loss(const Chunk& chunk) {
  const torch::NoGradGuard no_gradient;
  std::vector<double> sums;
  for (const Tensor& loss : state_->Losses(chunk, state_->net.Heads(state_->Run(chunk, false), 0))) {
    sums.push_back(loss.item<double>());
  }
  return sums;
}

std::vector<float> Network::Forward(const Chunk& chunk) {
  const torch::NoGradGuard no_gradient;
  return Exported("", state_->net.Heads(state_->Run(chunk, false), 0)).value;
}

std::uint32_t Network::width() const {
  const NetworkShape& shape = state_->net.shape;
  return shape.kind == NetworkKind::kBinary ? shape.bits : shape.hidden;
}

std::vector<float> Network::States(const Chunk& chunk) {
  const torch::NoGradGuard no_gradient;
  return Exported("", state_->Run(chunk, false)).value;
}

std::vector<float> Network::FirstState() const { return Exported("", state_->net.Cleared(1).first).value; }

std::vector<float> Network::Next(const std::vector<float>& states, const std::vector<std::int64_t>& symbols) {
  const torch::NoGradGuard no_gradient;
  const Tensor symbol = state_->OnDevice(symbols, {static_cast<std::int64_t>(symbols.size())});
  const Tensor drive = state_->net.Drive(symbol, Tensor(), false);
  const Tensor before = state_->StatesOnDevice(states);
  const bool is_binary = state_->net.shape.kind == NetworkKind::kBinary;
  return Exported("", is_binary ? state_->net.BinaryStep(drive, before) : state_->net.GruStep(drive, before))
      .value;
}

std::vector<float> Network::Outputs(const std::vector<float>& states) {
  const torch::NoGradGuard no_gradient;
  return Exported("", state_->net.Heads(state_->StatesOnDevice(states), 0)).value;
}

std::vector<std::uint32_t> Nearest(const std::vector<float>& points, const std::vector<float>& centres,
                                   std::size_t width) {
  const torch::NoGradGuard no_gradient;
  const auto columns = static_cast<std::int64_t>(width);
  const auto tensor = [&](const float* data, std::size_t rows) {
    return torch::from_blob(const_cast<float*>(data), {static_cast<std::int64_t>(rows), columns},
                            torch::kFloat32);
  };
  const Tensor to = tensor(centres.data(), centres.size() / width);
  const Tensor squares = (to * to).sum(1);
  const std::size_t rows = points.size() / width;
  std::vector<std::uint32_t> nearest;
  nearest.reserve(rows);
  for (std::size_t begin = 0; begin < rows; begin += kNearestRows) {
    const Tensor some = tensor(points.data() + begin * width, std::min(kNearestRows, rows - begin));
    const Tensor best = torch::argmin(squares - 2 * torch::mm(some, to.t()), 1);
    const std::int64_t* at = best.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < best.size(0); ++i) nearest.push_back(static_cast<std::uint32_t>(at[i]));
  }
  return nearest;
}

std::vector<predict::Tensor> Network::Export() const {
  const Net& net = state_->net;
  // Products that the file holds ready are made in double.
  const Tensor embedding =
      torch::matmul(net.Embedding(false).to(torch::kFloat64), net.project.to(torch::kFloat64).t()) +
      net.bias.to(torch::kFloat64);
  std::vector<predict::Tensor> tensors{Exported("embedding", embedding)};
  const bool is_mlp = net.shape.kind == NetworkKind::kMlp;
  if (net.shape.inputs > 0) tensors.push_back(Exported(is_mlp ? "weight_1" : "weight_ih", net.input));
  if (!is_mlp) tensors.push_back(Exported("weight_hh", net.recurrent));
  if (net.shape.kind == NetworkKind::kGru) tensors.push_back(Exported("bias_hn", net.candidate));
  tensors.push_back(Exported("head_weight", net.head->weight));
  tensors.push_back(Exported("head_bias", net.head->bias));
  return tensors;
}

std::string Network::Save() const {
  torch::serialize::OutputArchive archive, net, optimiser;
  state_->net.save(net);
  state_->optimiser->save(optimiser);
  archive.write("net", net);
  archive.write("optimiser", optimiser);
  archive.write("h", state_->h.defined() ? state_->h : torch::zeros({0}));
  archive.write("c", state_->c.defined() ? state_->c : torch::zeros({0}));
  std::ostringstream stream;
  archive.save_to(stream);
  return stream.str();
}

void Network::Load(const std::string& saved) {
  torch::serialize::InputArchive archive, net, optimiser;
  std::istringstream stream(saved);
  archive.load_from(stream, state_->device);
  archive.read("net", net);
  archive.read("optimiser", optimiser);
  state_->net.load(net);
  state_->optimiser->load(optimiser);
  archive.read("h", state_->h);
  archive.read("c", state_->c);
  if (state_->h.numel() == 0) state_->h = Tensor();
  if (state_->c.numel() == 0) state_->c = Tensor();
}

}  // namespace foreflow::train
