// SPDX-License-Identifier: BSD-3-Clause
#ifndef FOREFLOW_MODELS_PREDICT_MODEL_FILE_H_
#define FOREFLOW_MODELS_PREDICT_MODEL_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/base/bytes.h"

namespace foreflow::predict {

// A trained model as plain data, and its file. A model reads a sequence of steps, each one symbol
// 0..symbols-1 and `inputs` floats, and says after each step what it expects: a head a target.
//
// What each kind holds (H = hidden[0], G = 3 gates of a GRU in PyTorch's order r, z, n, or 4 of an LSTM in
// the order i, f, g, o; O = outputs of all heads, one head after the other):
//
//   kind      | array         | shape                    | what
//   gru, lstm | embedding     | [symbols, G * H]         | a symbol's share of the gates, biases included
//             | weight_ih     | [G * H, inputs]          | only where inputs > 0
//             | weight_hh     | [G * H, H]               |
//             | bias_hn       | [H]                      | gru only, and not in embedding: reset scales it
//             | head_weight   | [O, H]                   | logits (class head) or values (quantile head)
//             | head_bias     | [O]                      |
//   mlp       | embedding     | [symbols, H]             | bias included; ReLU follows
//             | weight_1      | [H, inputs]              | only where inputs > 0
//             | weight_2      | [hidden[1], H]           | only with two hidden layers; ReLU follows
//             | bias_2        | [hidden[1]]              |
//             | head_weight   |                          | and head_bias: as above, from the last layer
//   automaton | next_state    | [hidden[0], symbols] u16 | a sequence begins in state 0
//             | output        | [hidden[0], O]           | a state's calibrated probabilities or quantiles
//             | step_code     | [symbols, cells] u16     | only where inputs > 0, see below
//             | edge          | [all edges]              | only where inputs > 0: rising, input by input
//   trees     | tree_output   | [hidden[0]] u16          | which of the O outputs each of the trees adds to
//             | feature       | [trees, 2^depth - 1] u16 | an input's number, or `inputs` for the symbol's
//             | threshold     | [trees, 2^depth - 1]     | a value <= threshold goes left: to node 2 i + 1
//             | leaf          | [trees, 2^depth]         | depth = hidden[1]; nodes in breadth-first order
//             | base          | [O]                      | added to the sums of leaves
//
// An automaton that reads inputs has hidden = {states, codes, edges of input 0, 1, ...}. An input's bin is
// how many of its edges are <= the input, which is not scaled; a step's cell has a digit for each input's
// bin, the last input's the lowest, so that cells = product of (edges + 1). The step's code by symbol and
// cell is the second index of next_state.
//
// Every input x is first scaled: (x - input_mean) * input_scale. A class head's probabilities are
// softmax(logits / temperature); automata hold them ready. A quantile head's values are made monotone by a
// running maximum, first level first.
enum class ModelKind : std::uint8_t { kGru, kLstm, kMlp, kAutomaton, kTrees };

// gru, lstm, mlp, automaton, trees; nullptr out of range.
const char* Name(ModelKind kind);

// An array of the table above; `value` has the product of `shape`.
template <typename T>
struct Array {
  std::string name;
  std::vector<std::uint32_t> shape;
  std::vector<T> value;  // row-major
};
using Tensor = Array<float>;
using Table = Array<std::uint16_t>;

// One target's outputs: classes of a distribution, or levels of quantiles; the other list is empty.
struct Head {
  std::string target;
  std::vector<std::string> classes;
  std::vector<float> levels;  // increasing, within 0..1
  float temperature = 1;      // class heads: logits are divided by it

  bool IsClass() const { return levels.empty(); }
  std::size_t outputs() const { return IsClass() ? classes.size() : levels.size(); }
};

// A sequence and what the trainer's own library answered after each of its steps.
struct GoldenSequence {
  std::vector<std::uint8_t> symbol;  // [steps]
  std::vector<float> input;          // [steps, inputs], not scaled yet
  std::vector<float> expected;       // [steps, O]: probabilities and quantiles
};

// Ranges are those that ParseModel and SerialiseModel allow.
struct Model {
  std::string task;  // one of kTasks
  ModelKind kind = ModelKind::kGru;
  std::uint32_t feature_set = 0;      // of what makes symbols and inputs; 0: no packet's, a generator's
  std::uint32_t symbols = 0;          // 1..256
  std::uint32_t inputs = 0;           // 0..64
  std::vector<std::uint32_t> hidden;  // by kind, see above
  std::vector<Head> heads;
  std::vector<float> input_mean;   // [inputs]
  std::vector<float> input_scale;  // [inputs]
  std::vector<Tensor> tensors;     // in the order of the table above
  std::vector<Table> tables;       // in the order of the table above

  std::array<std::uint8_t, 32> data_sha256{};  // of the dataset that it was trained on
  std::uint64_t seed = 0;
  std::string command;  // that made it
  std::vector<GoldenSequence> goldens;

  std::size_t outputs() const;  // of all heads
  // The array of this name, which the kind must have.
  const std::vector<float>& tensor(const char* name) const;
  const std::vector<std::uint16_t>& table(const char* name) const;
};

constexpr std::array<const char*, 5> kTasks = {"next-type", "next-destination", "flow-size", "fragment-fate",
                                               "next-packet"};
// Bounds of what a file may hold, which bound what serving it takes.
constexpr std::size_t kMaxStates = 4096;
constexpr std::size_t kMaxTransitionBytes = 512 * 1024;
constexpr std::size_t kMaxCells = 512;
constexpr std::size_t kMaxHeads = 16;
constexpr std::size_t kMaxHeadOutputs = 128;
constexpr std::size_t kMaxOutputs = 512;
constexpr std::size_t kMaxInputs = 64;

// The file: all numbers little-endian; a string is u16 length and bytes; Array is string name, u8 rank,
// u32 shape[rank], values.
//
//   8 B "ffmodel\n" | u32 format version, 1 | u64 bytes of the body | body | 32 B SHA-256 of all before it
//   body: string task | u8 kind | u32 feature_set | u32 symbols | u32 inputs | u8 count, u32 hidden[count]
//       | u8 heads, each: string target | u8 0 class, 1 quantile | f32 temperature | u16 outputs
//                         | strings of classes, or f32 levels
//       | f32 input_mean[inputs] | f32 input_scale[inputs]
//       | u8 count, f32 Arrays | u8 count, u16 Arrays
//       | 32 B data_sha256 | u64 seed | string command
//       | u16 goldens, each: u16 steps | u8 symbol[steps] | f32 input[steps, inputs] | f32 expected[steps, O]
//
// Parses a file's bytes. `where` names the file in sentences. Throws Refusal, with one sentence, where the
// bytes are no model file, of another version, cut short, changed, or hold what this table does not allow: a
// task, kind, shape, index or number out of range. Takes no more memory than a small multiple of the bytes
// given.
Model ParseModel(BytesView bytes, const std::string& where);

// The inverse: equal models give equal bytes. Throws Refusal where ParseModel would refuse the bytes.
std::vector<std::uint8_t> SerialiseModel(const Model& model);

// Throws Refusal unless the model is for this task and reads what this version of the features makes.
void RequireUse(const Model& model, const std::string& where, const std::string& task,
                std::uint32_t feature_set);

}  // namespace foreflow::predict

#endif  // FOREFLOW_MODELS_PREDICT_MODEL_FILE_H_
