// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/evaluate/dataset.h"

#include <algorithm>
#include <unordered_map>

#include "bindings/hdf5/definitions.h"
#include "models/base/refusal.h"
#include "models/predict/packet_type.h"

namespace foreflow::evaluate {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kVmSymbols = 3;

// HDF5 prints a stack of errors of its own; ours is one sentence.
class QuietErrors {
 public:
  QuietErrors() {
    H5Eget_auto2(H5E_DEFAULT, &handler_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~QuietErrors() { H5Eset_auto2(H5E_DEFAULT, handler_, data_); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;

 private:
  H5E_auto2_t handler_ = nullptr;
  void* data_ = nullptr;
};

using hdf5::Id;

bool IsOfNext(const std::string& target) { return target.rfind("next_", 0) == 0; }

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path),
        file_(Opened(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose,
                     "is no HDF5 file that can be read")) {}

  [[noreturn]] void Refuse(const std::string& what) const { throw Refusal(path_ + ": " + what); }

  std::int64_t Number(const std::string& name) const {
    const Id attribute = Opened(H5Aopen(file_.get(), name.c_str(), H5P_DEFAULT), H5Aclose,
                                "lacks the number '" + name + "' among its attributes");
    std::int64_t value = 0;
    if (H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0)
      Refuse("attribute '" + name + "' is no number");
    return value;
  }

  // Texts of an attribute of `object` ("/" or a dataset), of any string type; one element for a scalar.
  std::vector<std::string> Texts(const std::string& object, const std::string& name) const {
    const Id attribute =
        Opened(H5Aopen_by_name(file_.get(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
               "lacks the attribute '" + name + "' of " + object);
    const Id space(H5Aget_space(attribute.get()), H5Sclose);
    const hssize_t points = H5Sget_simple_extent_npoints(space.get());
    if (points <= 0) return {};
    const auto count = static_cast<std::size_t>(points);
    const Id type(H5Aget_type(attribute.get()), H5Tclose);
    std::vector<std::string> texts;
    if (H5Tget_class(type.get()) != H5T_STRING) {
      Refuse(object + ": the attribute '" + name + "' holds no text");
    }
    if (H5Tis_variable_str(type.get()) > 0) {
      std::vector<char*> pointers(count, nullptr);
      const Id memory(H5Tget_native_type(type.get(), H5T_DIR_ASCEND), H5Tclose);
      if (H5Aread(attribute.get(), memory.get(), pointers.data()) < 0) {
        Refuse(object + ": the attribute '" + name + "' cannot be read");
      }
      for (const char* text : pointers) texts.emplace_back(text == nullptr ? "" : text);
      H5Dvlen_reclaim(memory.get(), space.get(), H5P_DEFAULT, pointers.data());
    } else {
      const std::size_t size = H5Tget_size(type.get());
      std::vector<char> bytes(size * count);
      if (H5Aread(attribute.get(), type.get(), bytes.data()) < 0) {
        Refuse(object + ": the attribute '" + name + "' cannot be read");
      }
      for (std::size_t i = 0; i < count; ++i) {
        std::string text(&bytes[i * size], size);
        texts.push_back(text.substr(0, text.find('\0')));
      }
    }
    return texts;
  }

  bool Has(const std::string& name) const { return H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT) > 0; }

  // A column of `rows` rows (any number when SIZE_MAX) and `width` columns, converted to T.
  template <typename T>
  std::vector<T> Column(const std::string& name, hid_t memory_type, std::size_t rows,
                        std::size_t width = 1) const {
    const Id dataset =
        Opened(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose, "lacks the dataset " + name);
    const Id space(H5Dget_space(dataset.get()), H5Sclose);
    hsize_t dimension[2] = {0, 1};
    const int dimensions = H5Sget_simple_extent_ndims(space.get());
    if (dimensions < 1 || dimensions > 2)
      Refuse(name + " has " + std::to_string(dimensions) + " dimensions, allowed: 1 or 2");
    H5Sget_simple_extent_dims(space.get(), dimension, nullptr);
    if ((rows != SIZE_MAX && dimension[0] != rows) || dimension[1] != width) {
      Refuse(name + " has " + std::to_string(dimension[0]) + " x " + std::to_string(dimension[1]) +
             " values, allowed: as many rows as /rows/time_ns, each of " + std::to_string(width));
    }
    std::vector<T> values(dimension[0] * width);
    if (!values.empty() &&
        H5Dread(dataset.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
      Refuse(name + " cannot be read: the file is cut or damaged");
    }
    return values;
  }

 private:
  Id Opened(hid_t id, Id::Closer closer, const std::string& otherwise) const {
    if (id < 0) Refuse(otherwise + "; make it again with foreflow-dataset");
    return Id(id, closer);
  }

  std::string path_;
  Id file_;
};

void CheckRows(const Reader& reader, const Dataset& data) {
  std::vector<std::int64_t> last(data.sources.size(), INT64_MIN);
  for (std::size_t row = 0; row < data.rows(); ++row) {
    const auto at = [&](const char* column, std::int64_t value, const std::string& allowed) {
      reader.Refuse("/rows/" + std::string(column) + "[" + std::to_string(row) + "] is " +
                    std::to_string(value) + ", allowed: " + allowed);
    };
    if (data.source[row] >= data.sources.size()) {
      at("source", data.source[row], "below " + std::to_string(data.sources.size()));
    }
    if (data.sequence[row] >= data.rows()) {
      at("sequence", data.sequence[row], "below the number of rows");
    }
    if (data.symbol[row] >= data.symbols) {
      at("symbol", data.symbol[row], "below " + std::to_string(data.symbols));
    }
    if (data.time_ns[row] < last[data.source[row]]) {
      at("time_ns", data.time_ns[row], "not before the row before of the same source");
    }
    last[data.source[row]] = data.time_ns[row];
    for (const Target& target : data.targets) {
      if (!target.classes.empty() && target.label[row] >= static_cast<int>(target.classes.size())) {
        reader.Refuse("/targets/" + target.name + "[" + std::to_string(row) + "] is " +
                      std::to_string(target.label[row]) + ", allowed: -1, or below " +
                      std::to_string(target.classes.size()));
      }
    }
  }
}

void AddHistories(const Reader& reader, const std::vector<std::uint8_t>& context, Dataset& data) {
  constexpr std::size_t kWidth = kVmSymbols + 1;
  data.vm_history.resize(data.rows());
  data.flow_history.resize(data.rows());
  std::unordered_map<std::uint32_t, History> flows;  // looked up only
  for (std::size_t row = 0; row < data.rows(); ++row) {
    const std::uint8_t* symbols = &context[row * kWidth];
    History& vm = data.vm_history[row];
    vm.length = symbols[kVmSymbols];
    if (vm.length > kVmSymbols) {
      reader.Refuse("/rows/context[" + std::to_string(row) + "] has the length " + std::to_string(vm.length) +
                    ", allowed: 0 to 3");
    }
    std::copy(symbols, symbols + vm.length, vm.symbol.begin());
    History& flow = flows[data.sequence[row]];
    flow.Push(data.symbol[row]);
    data.flow_history[row] = flow;
  }
}

}  // namespace

bool Target::ArePacketTypes() const {
  if (classes.size() != predict::kPacketTypes) return false;
  for (std::size_t i = 0; i < predict::kPacketTypes; ++i) {
    if (classes[i] != predict::Name(static_cast<predict::PacketType>(i))) return false;
  }
  return true;
}

bool Dataset::HasLabel(std::size_t row) const {
  return std::any_of(targets.begin(), targets.end(), [&](const Target& each) { return each.IsKnown(row); });
}

Dataset LoadDataset(const std::string& path, const std::vector<std::string>& targets) {
  const QuietErrors quiet;
  const Reader reader(path);
  if (const std::int64_t format = reader.Number("format"); format != kFormat) {
    reader.Refuse("format is " + std::to_string(format) + ", allowed: " + std::to_string(kFormat) +
                  "; make it again with foreflow-dataset");
  }
  Dataset data;
  data.path = path;
  const std::vector<std::string> task = reader.Texts("/", "task");
  if (task.size() != 1) reader.Refuse("the attribute 'task' is no text");
  data.task = task[0];
  data.feature_set = static_cast<std::uint32_t>(reader.Number("feature_set"));
  data.symbols = static_cast<std::uint32_t>(reader.Number("symbols"));
  data.sources = reader.Texts("/", "sources");
  data.input_names = reader.Texts("/", "input_names");
  data.inputs_per_row = data.input_names.size();

  data.time_ns = reader.Column<std::int64_t>("/rows/time_ns", H5T_NATIVE_INT64, SIZE_MAX);
  const std::size_t rows = data.rows();
  const auto resolved_ns = reader.Column<std::int64_t>("/rows/resolved_ns", H5T_NATIVE_INT64, rows);
  const auto next_time_ns = reader.Column<std::int64_t>("/rows/next_time_ns", H5T_NATIVE_INT64, rows);
  data.sequence = reader.Column<std::uint32_t>("/rows/sequence", H5T_NATIVE_UINT32, rows);
  data.source = reader.Column<std::uint16_t>("/rows/source", H5T_NATIVE_UINT16, rows);
  data.vm = reader.Column<std::uint16_t>("/rows/vm", H5T_NATIVE_UINT16, rows);
  data.split = reader.Column<std::uint8_t>("/rows/split", H5T_NATIVE_UINT8, rows);
  data.symbol = reader.Column<std::uint8_t>("/rows/symbol", H5T_NATIVE_UINT8, rows);
  data.known_packets.resize(rows);
  if (reader.Has("/rows/known_packets")) {
    data.known_packets = reader.Column<std::uint8_t>("/rows/known_packets", H5T_NATIVE_UINT8, rows);
  }
  if (data.inputs_per_row > 0) {
    data.inputs = reader.Column<float>("/rows/inputs", H5T_NATIVE_FLOAT, rows, data.inputs_per_row);
  }
  const auto context = reader.Column<std::uint8_t>("/rows/context", H5T_NATIVE_UINT8, rows, kVmSymbols + 1);

  const std::vector<std::string> known = reader.Texts("/", "targets");
  for (const std::string& name : targets.empty() ? known : targets) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::string names;
      for (const std::string& each : known) names += (names.empty() ? "" : ", ") + each;
      throw Refusal("command line", "--target", name, names + " (those of " + path + ")");
    }
    Target target;
    target.name = name;
    const std::string where = "/targets/" + name;
    if (!reader.Has(where)) reader.Refuse("lacks the dataset " + where);
    target.classes = reader.Texts(where, "classes");
    if (target.classes.empty()) {
      target.value = reader.Column<float>(where, H5T_NATIVE_FLOAT, rows);
    } else {
      target.label = reader.Column<std::int8_t>(where, H5T_NATIVE_INT8, rows);
    }
    target.resolved_ns = resolved_ns;
    if (IsOfNext(name) && !IsOfNext(known.front())) {
      // The column is the first target's. What is of the next packet is known as much later as that comes.
      for (std::size_t row = 0; row < rows; ++row) {
        if (resolved_ns[row] < 0 || next_time_ns[row] < 0) continue;
        const std::int64_t delay = resolved_ns[row] - data.time_ns[row];
        target.resolved_ns[row] = std::max(resolved_ns[row], next_time_ns[row] + delay);
      }
    }
    data.targets.push_back(std::move(target));
  }
  CheckRows(reader, data);
  AddHistories(reader, context, data);
  for (const std::uint32_t each : data.sequence) data.sequences = std::max(data.sequences, each + 1);
  return data;
}

void RequireAlike(const Dataset& data, const Dataset& training) {
  const auto require = [&](bool alike, const std::string& what, const std::string& has,
                           const std::string& wanted) {
    if (!alike) throw Refusal(training.path, what, has, wanted + " (as in " + data.path + ")");
  };
  require(data.task == training.task, "task", training.task, data.task);
  require(data.feature_set == training.feature_set && data.symbols == training.symbols, "feature_set",
          std::to_string(training.feature_set), std::to_string(data.feature_set));
  for (std::size_t t = 0; t < data.targets.size(); ++t) {
    const Target& target = data.targets[t];
    const bool has_it = t < training.targets.size() && training.targets[t].name == target.name &&
                        training.targets[t].classes == target.classes;
    require(has_it, "target " + std::to_string(t), "another", target.name + " with the same classes");
  }
}

}  // namespace foreflow::evaluate
