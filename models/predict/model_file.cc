// SPDX-License-Identifier: BSD-3-Clause
#include "models/predict/model_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"

namespace foreflow::predict {
namespace {

constexpr char kMagic[] = "ffmodel\n";
constexpr std::size_t kMagicBytes = sizeof(kMagic) - 1;
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = kMagicBytes + 4 + 8;
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kMaxWidth = 256;  // of an mlp's layer
constexpr std::size_t kMaxTrees = 1024;
constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxSteps = 65535;

constexpr std::array<const char*, 5> kKinds = {"gru", "lstm", "mlp", "automaton", "trees"};

[[noreturn]] void Refuse(const std::string& where, const std::string& what) {
  throw Refusal(where + ": " + what);
}
[[noreturn]] void RefuseRange(const std::string& where, const std::string& key, std::uint64_t value,
                              const std::string& allowed) {
  throw Refusal(where, key, std::to_string(value), allowed);
}
void RequireRange(const std::string& where, const std::string& key, std::uint64_t value, std::uint64_t low,
                  std::uint64_t high) {
  if (value < low || value > high)
    RefuseRange(where, key, value, std::to_string(low) + ".." + std::to_string(high));
}

std::string ShapeText(const std::vector<std::uint32_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::size_t CountOf(const std::vector<std::uint32_t>& shape) {
  std::size_t count = 1;
  for (const std::uint32_t extent : shape) count *= extent;
  return count;
}

// An array that a kind must have.
struct Expected {
  const char* name;
  std::vector<std::uint32_t> shape;
};
struct ExpectedArrays {
  std::vector<Expected> tensors;
  std::vector<Expected> tables;
};

// What a model of these sizes must hold. The sizes are within their ranges.
ExpectedArrays ArraysOf(const Model& model) {
  const auto outputs = static_cast<std::uint32_t>(model.outputs());
  const std::uint32_t width = model.hidden[0];
  ExpectedArrays arrays;
  auto& tensors = arrays.tensors;
  switch (model.kind) {
    case ModelKind::kGru:
    case ModelKind::kLstm: {
      const std::uint32_t gates = (model.kind == ModelKind::kGru ? 3 : 4) * width;
      tensors.push_back({"embedding", {model.symbols, gates}});
      if (model.inputs > 0) tensors.push_back({"weight_ih", {gates, model.inputs}});
      tensors.push_back({"weight_hh", {gates, width}});
      if (model.kind == ModelKind::kGru) tensors.push_back({"bias_hn", {width}});
      tensors.push_back({"head_weight", {outputs, width}});
      tensors.push_back({"head_bias", {outputs}});
      break;
    }
    case ModelKind::kMlp:
      tensors.push_back({"embedding", {model.symbols, width}});
      if (model.inputs > 0) tensors.push_back({"weight_1", {width, model.inputs}});
      if (model.hidden.size() > 1) {
        tensors.push_back({"weight_2", {model.hidden[1], width}});
        tensors.push_back({"bias_2", {model.hidden[1]}});
      }
      tensors.push_back({"head_weight", {outputs, model.hidden.back()}});
      tensors.push_back({"head_bias", {outputs}});
      break;
    case ModelKind::kAutomaton: {
      arrays.tables.push_back({"next_state", {width, model.inputs > 0 ? model.hidden[1] : model.symbols}});
      tensors.push_back({"output", {width, outputs}});
      if (model.inputs == 0) break;
      std::uint32_t edges = 0, cells = 1;
      for (std::size_t i = 2; i < model.hidden.size(); ++i) {
        edges += model.hidden[i];
        cells *= model.hidden[i] + 1;
      }
      arrays.tables.push_back({"step_code", {model.symbols, cells}});
      tensors.push_back({"edge", {edges}});
      break;
    }
    case ModelKind::kTrees: {
      const std::uint32_t leaves = 1u << model.hidden[1];
      arrays.tables.push_back({"tree_output", {width}});
      arrays.tables.push_back({"feature", {width, leaves - 1}});
      tensors.push_back({"threshold", {width, leaves - 1}});
      tensors.push_back({"leaf", {width, leaves}});
      tensors.push_back({"base", {outputs}});
      break;
    }
  }
  return arrays;
}

void CheckAutomatonSizes(const Model& model, const std::string& where) {
  const std::size_t layers = model.inputs > 0 ? std::size_t{2} + model.inputs : 1;
  RequireRange(where, "count of hidden sizes", model.hidden.size(), layers, layers);
  RequireRange(where, "states", model.hidden[0], 1, kMaxStates);
  std::uint64_t read = model.symbols;
  if (model.inputs > 0) {
    read = model.hidden[1];
    RequireRange(where, "codes", read, 1, kMaxStates);
    std::uint64_t cells = 1;
    for (std::size_t i = 2; i < layers; ++i) {
      RequireRange(where, "edges of input " + std::to_string(i - 2), model.hidden[i], 0, kMaxCells - 1);
      cells *= std::uint64_t{model.hidden[i]} + 1;
      RequireRange(where, "cells of all inputs", cells, 1, kMaxCells);
    }
  }
  RequireRange(where, "bytes of the transition table", 2 * model.hidden[0] * read, 1, kMaxTransitionBytes);
}

// Whether the sizes and names that all else depends on are allowed.
void CheckSizes(const Model& model, const std::string& where) {
  if (std::none_of(kTasks.begin(), kTasks.end(), [&](const char* task) { return model.task == task; })) {
    std::string known;
    for (const char* task : kTasks) known += (known.empty() ? "" : ", ") + std::string(task);
    throw Refusal(where, "task", "'" + model.task + "'", known);
  }
  if (Name(model.kind) == nullptr)
    RefuseRange(where, "kind", static_cast<std::uint64_t>(model.kind), "0 gru to 4 trees");
  RequireRange(where, "symbols", model.symbols, 1, 256);
  RequireRange(where, "inputs", model.inputs, 0, kMaxInputs);

  const std::size_t layers = model.hidden.size();
  switch (model.kind) {
    case ModelKind::kGru:
    case ModelKind::kLstm:
      RequireRange(where, "count of hidden sizes", layers, 1, 1);
      if (model.hidden[0] != 16 && model.hidden[0] != 32 && model.hidden[0] != 64)
        RefuseRange(where, "hidden size", model.hidden[0], "16, 32, 64");
      break;
    case ModelKind::kMlp:
      RequireRange(where, "count of hidden sizes", layers, 1, 2);
      for (const std::uint32_t width : model.hidden) {
        if (width == 0 || width > kMaxWidth || width % 16 != 0)
          RefuseRange(where, "hidden size", width, "multiples of 16 up to " + std::to_string(kMaxWidth));
      }
      break;
    case ModelKind::kAutomaton:
      CheckAutomatonSizes(model, where);
      break;
    case ModelKind::kTrees:
      RequireRange(where, "count of hidden sizes", layers, 2, 2);
      RequireRange(where, "trees", model.hidden[0], 1, kMaxTrees);
      RequireRange(where, "depth of the trees", model.hidden[1], 1, kMaxDepth);
      break;
  }

  RequireRange(where, "heads", model.heads.size(), 1, kMaxHeads);
  for (const Head& head : model.heads) {
    RequireRange(where, "outputs of head '" + head.target + "'", head.outputs(), 1, kMaxHeadOutputs);
    if (!head.classes.empty() && !head.levels.empty())
      Refuse(where, "head '" + head.target + "' has both classes and levels, allowed: one of them");
    if (!(head.temperature > 0) || !std::isfinite(head.temperature)) {
      throw Refusal(where, "temperature of head '" + head.target + "'", std::to_string(head.temperature),
                    "above 0");
    }
    float below = 0;
    for (const float level : head.levels) {
      if (!(level > below && level < 1)) {
        throw Refusal(where, "level of head '" + head.target + "'", std::to_string(level),
                      "increasing, between 0 and 1");
      }
      below = level;
    }
  }
  RequireRange(where, "outputs", model.outputs(), 1, kMaxOutputs);
}

void CheckFinite(const std::vector<float>& values, const std::string& name, const std::string& where) {
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  throw Refusal(where, name + "[" + std::to_string(bad - values.begin()) + "]", std::to_string(*bad),
                "finite numbers");
}

template <typename T>
void CheckArrays(const std::vector<Array<T>>& arrays, const std::vector<Expected>& expected,
                 const std::string& where) {
  RequireRange(where, "count of arrays", arrays.size(), expected.size(), expected.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (arrays[i].name != expected[i].name)
      throw Refusal(where, "name of an array", "'" + arrays[i].name + "'", expected[i].name);
    if (arrays[i].shape != expected[i].shape || arrays[i].value.size() != CountOf(expected[i].shape)) {
      throw Refusal(where, "shape of " + arrays[i].name, ShapeText(arrays[i].shape),
                    ShapeText(expected[i].shape));
    }
  }
}

void CheckIndices(const Model& model, const char* name, std::uint64_t limit, const std::string& where) {
  const std::vector<std::uint16_t>& table = model.table(name);
  const auto bad =
      std::find_if(table.begin(), table.end(), [&](std::uint16_t index) { return index >= limit; });
  if (bad != table.end())
    RequireRange(where, std::string(name) + "[" + std::to_string(bad - table.begin()) + "]", *bad, 0,
                 limit - 1);
}

void CheckAutomaton(const Model& model, const std::string& where) {
  CheckIndices(model, "next_state", model.hidden[0], where);
  const std::vector<float>& output = model.tensor("output");
  std::size_t at = 0;
  for (std::size_t state = 0; state < model.hidden[0]; ++state) {
    for (const Head& head : model.heads) {
      for (std::size_t i = 0; i < head.outputs(); ++i, ++at) {
        if (head.IsClass() && !(output[at] >= 0 && output[at] <= 1)) {
          throw Refusal(where, "output[" + std::to_string(at) + "]", std::to_string(output[at]),
                        "0..1: a probability");
        }
      }
    }
  }
  if (model.inputs == 0) return;
  CheckIndices(model, "step_code", model.hidden[1], where);
  const std::vector<float>& edge = model.tensor("edge");
  at = 0;
  for (std::size_t input = 0; input < model.inputs; ++input) {
    for (std::uint32_t i = 0; i < model.hidden[input + 2]; ++i, ++at) {
      if (i > 0 && !(edge[at] > edge[at - 1])) {
        throw Refusal(where, "edge[" + std::to_string(at) + "]", std::to_string(edge[at]),
                      "above " + std::to_string(edge[at - 1]) + ", the one before");
      }
    }
  }
}

// Whether what the sizes promise is there, and means something.
void CheckContent(const Model& model, const std::string& where) {
  const ExpectedArrays expected = ArraysOf(model);
  CheckArrays(model.tensors, expected.tensors, where);
  CheckArrays(model.tables, expected.tables, where);
  RequireRange(where, "count of input_mean", model.input_mean.size(), model.inputs, model.inputs);
  RequireRange(where, "count of input_scale", model.input_scale.size(), model.inputs, model.inputs);
  CheckFinite(model.input_mean, "input_mean", where);
  CheckFinite(model.input_scale, "input_scale", where);
  for (const Tensor& tensor : model.tensors) CheckFinite(tensor.value, tensor.name, where);
  if (model.kind == ModelKind::kAutomaton) {
    CheckAutomaton(model, where);
  } else if (model.kind == ModelKind::kTrees) {
    CheckIndices(model, "tree_output", model.outputs(), where);
    CheckIndices(model, "feature", std::uint64_t{model.inputs} + 1, where);
  }
  for (const GoldenSequence& golden : model.goldens) {
    const std::size_t steps = golden.symbol.size();
    RequireRange(where, "steps of a golden sequence", steps, 1, kMaxSteps);
    RequireRange(where, "inputs of a golden sequence", golden.input.size(), steps * model.inputs,
                 steps * model.inputs);
    RequireRange(where, "expected outputs of a golden sequence", golden.expected.size(),
                 steps * model.outputs(), steps * model.outputs());
    for (const std::uint8_t symbol : golden.symbol)
      RequireRange(where, "symbol of a golden sequence", symbol, 0, model.symbols - 1);
    CheckFinite(golden.input, "input of a golden sequence", where);
    CheckFinite(golden.expected, "expected output of a golden sequence", where);
  }
}

// Takes numbers from the front of bytes; what is not there is refused before room for it is made.
class Reader {
 public:
  Reader(BytesView bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::size_t left() const { return bytes_.size; }

  const std::uint8_t* Take(std::uint64_t count, const char* what) {
    if (count > bytes_.size) {
      Refuse(where_, std::string("ends within ") + what + ": " + std::to_string(count) +
                         " B are announced, " + std::to_string(bytes_.size) + " B are left");
    }
    const std::uint8_t* taken = bytes_.data;
    bytes_ = bytes_.From(static_cast<std::size_t>(count));
    return taken;
  }

  template <typename T>
  T Number(const char* what) {
    const std::uint8_t* taken = Take(sizeof(T), what);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value |= std::uint64_t{taken[i]} << (8 * i);
    return static_cast<T>(value);
  }

  float Float(const char* what) {
    const auto bits = Number<std::uint32_t>(what);
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  std::string String(const char* what) {
    const auto size = Number<std::uint16_t>(what);
    const std::uint8_t* taken = Take(size, what);
    return {taken, taken + size};
  }

  void Read(std::vector<float>& values, std::uint64_t count, const char* what) {
    Reader part({Take(4 * count, what), static_cast<std::size_t>(4 * count)}, where_);
    values.resize(static_cast<std::size_t>(count));
    for (float& value : values) value = part.Float(what);
  }

  void Read(std::vector<std::uint16_t>& values, std::uint64_t count, const char* what) {
    Reader part({Take(2 * count, what), static_cast<std::size_t>(2 * count)}, where_);
    values.resize(static_cast<std::size_t>(count));
    for (std::uint16_t& value : values) value = part.Number<std::uint16_t>(what);
  }

  // The arrays that are expected, and no others.
  template <typename T>
  void Read(std::vector<Array<T>>& arrays, const std::vector<Expected>& expected) {
    const auto count = Number<std::uint8_t>("the arrays");
    RequireRange(where_, "count of arrays", count, expected.size(), expected.size());
    for (const Expected& wanted : expected) {
      Array<T> array;
      array.name = String("an array's name");
      if (array.name != wanted.name)
        throw Refusal(where_, "name of an array", "'" + array.name + "'", wanted.name);
      array.shape.resize(Number<std::uint8_t>(wanted.name));
      for (std::uint32_t& extent : array.shape) extent = Number<std::uint32_t>(wanted.name);
      if (array.shape != wanted.shape)
        throw Refusal(where_, "shape of " + array.name, ShapeText(array.shape), ShapeText(wanted.shape));
      Read(array.value, CountOf(wanted.shape), wanted.name);
      arrays.push_back(std::move(array));
    }
  }

 private:
  BytesView bytes_;
  const std::string& where_;
};

Head ReadHead(Reader& reader, const std::string& where) {
  Head head;
  head.target = reader.String("a head");
  const auto kind = reader.Number<std::uint8_t>("a head");
  RequireRange(where, "kind of head '" + head.target + "'", kind, 0, 1);
  head.temperature = reader.Float("a head");
  const auto outputs = reader.Number<std::uint16_t>("a head");
  if (kind == 0) {
    for (std::size_t i = 0; i < outputs; ++i) head.classes.push_back(reader.String("a head's classes"));
  } else {
    reader.Read(head.levels, outputs, "a head's levels");
  }
  return head;
}

class Writer {
 public:
  template <typename T>
  void Number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bytes_.push_back(static_cast<std::uint8_t>(std::uint64_t{value} >> (8 * i)));
  }
  void Float(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    Number(bits);
  }
  void Write(const std::vector<float>& values) {
    for (const float value : values) Float(value);
  }
  void Write(const std::vector<std::uint16_t>& values) {
    for (const std::uint16_t value : values) Number(value);
  }
  void String(const std::string& text) {
    Number(static_cast<std::uint16_t>(text.size()));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  template <typename T>
  void Write(const std::vector<Array<T>>& arrays) {
    Number(static_cast<std::uint8_t>(arrays.size()));
    for (const Array<T>& array : arrays) {
      String(array.name);
      Number(static_cast<std::uint8_t>(array.shape.size()));
      for (const std::uint32_t extent : array.shape) Number(extent);
      Write(array.value);
    }
  }
  template <typename Container>
  void Bytes(const Container& bytes) {
    bytes_.insert(bytes_.end(), std::begin(bytes), std::end(bytes));
  }

  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

std::array<std::uint8_t, kDigestBytes> DigestOf(BytesView bytes) {
  crypto::Sha256 sha;
  sha.Update(bytes);
  return sha.Finish();
}

template <typename T>
const std::vector<T>& Find(const std::vector<Array<T>>& arrays, const char* name) {
  for (const Array<T>& array : arrays) {
    if (array.name == name) return array.value;
  }
  Refuse("model", std::string("has no array '") + name + "'");
}

// The body between its length and the digest.
BytesView BodyOf(BytesView bytes, const std::string& where) {
  if (bytes.size < kMagicBytes || std::memcmp(bytes.data, kMagic, kMagicBytes) != 0)
    Refuse(where, "is no model file: it does not begin with 'ffmodel'; './foreflow train' writes one");
  Reader reader(bytes.From(kMagicBytes), where);
  const auto version = reader.Number<std::uint32_t>("the version");
  if (version != kVersion) {
    Refuse(where, "format version is " + std::to_string(version) + ", allowed: " + std::to_string(kVersion) +
                      "; train the model again with this release");
  }
  const auto size = reader.Number<std::uint64_t>("the length");
  if (reader.left() < kDigestBytes || size != reader.left() - kDigestBytes) {
    Refuse(where, "is cut short or has grown: it announces " + std::to_string(size) + " B of body and has " +
                      std::to_string(reader.left()) + " B with the digest; copy it again");
  }
  const BytesView sealed = bytes.First(bytes.size - kDigestBytes);
  if (std::memcmp(DigestOf(sealed).data(), sealed.end(), kDigestBytes) != 0)
    Refuse(where, "was changed or damaged: its SHA-256 does not match its content; copy it again");
  return sealed.From(kHeadBytes);
}

}  // namespace

const char* Name(ModelKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kKinds.size() ? kKinds[index] : nullptr;
}

std::size_t Model::outputs() const {
  std::size_t sum = 0;
  for (const Head& head : heads) sum += head.outputs();
  return sum;
}

const std::vector<float>& Model::tensor(const char* name) const { return Find(tensors, name); }
const std::vector<std::uint16_t>& Model::table(const char* name) const { return Find(tables, name); }

Model ParseModel(BytesView bytes, const std::string& where) {
  Reader reader(BodyOf(bytes, where), where);
  Model model;
  model.task = reader.String("the task");
  model.kind = static_cast<ModelKind>(reader.Number<std::uint8_t>("the kind"));
  model.feature_set = reader.Number<std::uint32_t>("the feature set");
  model.symbols = reader.Number<std::uint32_t>("the symbols");
  model.inputs = reader.Number<std::uint32_t>("the inputs");
  model.hidden.resize(reader.Number<std::uint8_t>("the hidden sizes"));
  for (std::uint32_t& width : model.hidden) width = reader.Number<std::uint32_t>("the hidden sizes");
  const auto heads = reader.Number<std::uint8_t>("the heads");
  for (std::size_t i = 0; i < heads; ++i) model.heads.push_back(ReadHead(reader, where));
  CheckSizes(model, where);

  reader.Read(model.input_mean, model.inputs, "input_mean");
  reader.Read(model.input_scale, model.inputs, "input_scale");
  const ExpectedArrays expected = ArraysOf(model);
  reader.Read(model.tensors, expected.tensors);
  reader.Read(model.tables, expected.tables);
  const std::uint8_t* digest = reader.Take(model.data_sha256.size(), "the digest of the data");
  std::copy_n(digest, model.data_sha256.size(), model.data_sha256.begin());
  model.seed = reader.Number<std::uint64_t>("the seed");
  model.command = reader.String("the command");
  const auto goldens = reader.Number<std::uint16_t>("the golden sequences");
  for (std::size_t i = 0; i < goldens; ++i) {
    GoldenSequence golden;
    const auto steps = reader.Number<std::uint16_t>("a golden sequence");
    const std::uint8_t* symbols = reader.Take(steps, "a golden sequence");
    golden.symbol.assign(symbols, symbols + steps);
    reader.Read(golden.input, std::uint64_t{steps} * model.inputs, "a golden sequence");
    reader.Read(golden.expected, std::uint64_t{steps} * model.outputs(), "a golden sequence");
    model.goldens.push_back(std::move(golden));
  }
  if (reader.left() > 0) Refuse(where, "has " + std::to_string(reader.left()) + " B after its last field");
  CheckContent(model, where);
  return model;
}

std::vector<std::uint8_t> SerialiseModel(const Model& model) {
  const std::string where = "model to be written";
  CheckSizes(model, where);
  CheckContent(model, where);
  RequireRange(where, "count of golden sequences", model.goldens.size(), 0, UINT16_MAX);
  RequireRange(where, "length of the command", model.command.size(), 0, UINT16_MAX);
  Writer body;
  body.String(model.task);
  body.Number(static_cast<std::uint8_t>(model.kind));
  body.Number(model.feature_set);
  body.Number(model.symbols);
  body.Number(model.inputs);
  body.Number(static_cast<std::uint8_t>(model.hidden.size()));
  for (const std::uint32_t width : model.hidden) body.Number(width);
  body.Number(static_cast<std::uint8_t>(model.heads.size()));
  for (const Head& head : model.heads) {
    RequireRange(where, "length of a head's name", head.target.size(), 0, UINT16_MAX);
    body.String(head.target);
    body.Number(static_cast<std::uint8_t>(head.IsClass() ? 0 : 1));
    body.Float(head.temperature);
    body.Number(static_cast<std::uint16_t>(head.outputs()));
    for (const std::string& name : head.classes) {
      RequireRange(where, "length of a class's name", name.size(), 0, UINT16_MAX);
      body.String(name);
    }
    body.Write(head.levels);
  }
  body.Write(model.input_mean);
  body.Write(model.input_scale);
  body.Write(model.tensors);
  body.Write(model.tables);
  body.Bytes(model.data_sha256);
  body.Number(model.seed);
  body.String(model.command);
  body.Number(static_cast<std::uint16_t>(model.goldens.size()));
  for (const GoldenSequence& golden : model.goldens) {
    body.Number(static_cast<std::uint16_t>(golden.symbol.size()));
    body.Bytes(golden.symbol);
    body.Write(golden.input);
    body.Write(golden.expected);
  }

  Writer file;
  file.Bytes(std::string(kMagic, kMagicBytes));
  file.Number(kVersion);
  file.Number(std::uint64_t{body.bytes().size()});
  file.Bytes(body.bytes());
  file.Bytes(DigestOf({file.bytes().data(), file.bytes().size()}));
  return std::move(file.bytes());
}

void RequireUse(const Model& model, const std::string& where, const std::string& task,
                std::uint32_t feature_set) {
  if (model.task != task) throw Refusal(where, "task", model.task, task);
  if (model.feature_set != feature_set) {
    Refuse(where, "feature set is " + std::to_string(model.feature_set) + ", allowed: " +
                      std::to_string(feature_set) + "; train the model again with this release");
  }
}

}  // namespace foreflow::predict
