// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_TRAIN_NETWORK_H_
#define FOREFLOW_MODELS_TRAIN_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/predict/model_file.h"
#include "models/train/lanes.h"
#include "models/train/symbol_parts.h"

namespace foreflow::train {

enum class NetworkKind {
  kGru,
  kLstm,
  kMlp,     // one hidden layer and no state: a row says all
  kBinary,  // a GRU whose state passes through `bits` signs at every step: what becomes an automaton
};

// What a network is made of, and where it begins.
struct NetworkShape {
  static constexpr std::uint32_t kMostBits = 20;

  NetworkKind kind = NetworkKind::kGru;
  std::uint32_t symbols = 0;
  std::uint32_t inputs = 0;  // F; kBinary: 0
  std::uint32_t hidden = 32;
  std::uint32_t bits = 0;  // kBinary: 1 to kMostBits
  SymbolParts parts;
  std::vector<predict::Head> heads;
  std::vector<float> input_mean;    // F, as in the model file
  std::vector<float> input_scale;   // F
  std::vector<float> head_start;    // first bias of every output, all heads: log frequencies, quantiles
  std::vector<double> head_weight;  // of every head's mean loss in what is minimised
};

// How a network learns, besides the rate.
struct Tuning {
  std::uint64_t seed = 1;
  double weight_decay = 0.03;  // decoupled: AdamW, Loshchilov and Hutter 2019
  double dropout = 0.2;        // share of what the heads see
  bool on_cuda = false;
};

// A network that learns, by libtorch. The same seed, shape and chunks in the same order on the same machine
// give the same weights to the bit: one thread, deterministic algorithms.
class Network {
 public:
  // Throws Refusal where CUDA is wanted and is not there.
  Network(const NetworkShape& shape, const Tuning& tuning);
  ~Network();

  // Whether this libtorch finds a CUDA device.
  static bool HasCuda();

  // The next chunk begins with cleared state.
  void ClearState();
  // One step of the optimiser. The state is carried over from the chunk before, the gradient is not
  // (truncated back-propagation through time). `known`: labels a head in a chunk, on average. `step` numbers
  // the steps of the training: it seeds the dropout. Returns a head's loss summed over its known labels:
  // nats, or pinball (the mean over the levels).
  std::vector<double> Learn(const Chunk& chunk, const std::vector<double>& known, double rate,
                            std::uint64_t step);
  // The same sums without learning.
  std::vector<double> Loss(const Chunk& chunk);
  // Logits and values of all heads, side by side: chunk.size() x outputs.
  std::vector<float> Forward(const Chunk& chunk);

  // kGru and kBinary without inputs: what an automaton is made of. A state is `width` floats: hidden ones, or
  // signs.
  std::uint32_t width() const;
  // The state after every step and lane; the state before a sequence; what follows states[i] on symbols[i];
  // the logits and values of states.
  std::vector<float> States(const Chunk& chunk);
  std::vector<float> FirstState() const;
  std::vector<float> Next(const std::vector<float>& states, const std::vector<std::int64_t>& symbols);
  std::vector<float> Outputs(const std::vector<float>& states);

  // kGru, kLstm, kMlp: the tensors of the model file.
  std::vector<predict::Tensor> Export() const;

  // All that Learn changes.
  std::string Save() const;
  void Load(const std::string& saved);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// For each of `points` the nearest of `centres` (both rows of `width` floats), by Euclid's distance.
std::vector<std::uint32_t> Nearest(const std::vector<float>& points, const std::vector<float>& centres,
                                   std::size_t width);

}  // namespace foreflow::train

#endif  // FOREFLOW_MODELS_TRAIN_NETWORK_H_
