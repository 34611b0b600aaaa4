// SPDX-License-Identifier: BSD-3-Clause
#include "models/train/dataset.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "models/base/refusal.h"
#include "models/crypto/digest.h"
#include "models/train/hdf5_id.h"

namespace foreflow::train {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::uint32_t kMostSymbols = 256;
constexpr hsize_t kMostRows = hsize_t{1} << 28;

template <typename T>
hid_t TypeOf();
template <>
hid_t TypeOf<std::int8_t>() {
  return H5T_NATIVE_INT8;
}
template <>
hid_t TypeOf<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}
template <>
hid_t TypeOf<std::uint32_t>() {
  return H5T_NATIVE_UINT32;
}
template <>
hid_t TypeOf<float>() {
  return H5T_NATIVE_FLOAT;
}

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path), file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose) {
    if (!file_.is_open()) throw Refusal(path + ": no HDF5 file; make a dataset with foreflow-dataset");
  }

  hid_t file() const { return file_.get(); }

  [[noreturn]] void Refuse(const std::string& sentence) const { throw Refusal(path_ + ": " + sentence); }

  std::int64_t Number(const char* name) const {
    const Id attribute(H5Aopen(file_.get(), name, H5P_DEFAULT), H5Aclose);
    std::int64_t value = 0;
    if (!attribute.is_open() || H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0) {
      Refuse(std::string("attribute ") + name + " is missing; make the file again with foreflow-dataset");
    }
    return value;
  }

  // A string, or a list of strings, of fixed or variable length.
  std::vector<std::string> Texts(hid_t object, const char* name) const {
    const Id attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
    if (!attribute.is_open()) Refuse(std::string("attribute ") + name + " is missing");
    const Id space(H5Aget_space(attribute.get()), H5Sclose);
    const hssize_t count = H5Sget_simple_extent_npoints(space.get());
    std::vector<std::string> texts;
    if (count <= 0) return texts;
    const Id stored(H5Aget_type(attribute.get()), H5Tclose);
    if (H5Tget_class(stored.get()) != H5T_STRING) Refuse(std::string("attribute ") + name + " is no text");
    const Id memory(H5Tcopy(stored.get()), H5Tclose);
    if (H5Tis_variable_str(stored.get()) > 0) {
      std::vector<char*> pointers(static_cast<std::size_t>(count), nullptr);
      if (H5Aread(attribute.get(), memory.get(), pointers.data()) < 0) {
        Refuse(std::string("attribute ") + name + " cannot be read");
      }
      for (const char* text : pointers) texts.emplace_back(text == nullptr ? "" : text);
      H5Dvlen_reclaim(memory.get(), space.get(), H5P_DEFAULT, pointers.data());
    } else {
      const std::size_t size = H5Tget_size(stored.get());
      std::vector<char> bytes(size * static_cast<std::size_t>(count));
      if (H5Aread(attribute.get(), memory.get(), bytes.data()) < 0) {
        Refuse(std::string("attribute ") + name + " cannot be read");
      }
      for (std::size_t at = 0; at < bytes.size(); at += size) {
        texts.emplace_back(&bytes[at], strnlen(&bytes[at], size));
      }
    }
    return texts;
  }

  // The whole of a table column: `rows` x `columns`; rows = 0 takes as many as there are.
  template <typename T>
  std::vector<T> Column(const std::string& name, hsize_t rows, hsize_t columns) const {
    const Id dataset(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
    if (!dataset.is_open()) Refuse("table " + name + " is missing");
    const Id space(H5Dget_space(dataset.get()), H5Sclose);
    hsize_t size[2] = {0, 1};
    const int rank = H5Sget_simple_extent_ndims(space.get());
    if (rank < 1 || rank > 2)
      Refuse("table " + name + " has " + std::to_string(rank) + " axes, allowed: 1 to 2");
    H5Sget_simple_extent_dims(space.get(), size, nullptr);
    if (size[0] > kMostRows) {
      Refuse("table " + name + " has " + std::to_string(size[0]) + " rows, allowed: 1 to 2^28");
    }
    if ((rows != 0 && size[0] != rows) || size[1] != columns) {
      Refuse("table " + name + " has " + std::to_string(size[0]) + " x " + std::to_string(size[1]) +
             " values, expected " + std::to_string(rows) + " x " + std::to_string(columns));
    }
    std::vector<T> values(size[0] * columns);
    if (!values.empty() &&
        H5Dread(dataset.get(), TypeOf<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
      Refuse("table " + name + " cannot be read");
    }
    return values;
  }

 private:
  std::string path_;
  Id file_;
};

template <typename T>
void Hash(crypto::Sha256& hash, const std::vector<T>& values) {
  hash.Update({reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)});
}

void Hash(crypto::Sha256& hash, const std::string& text) {
  hash.Update({reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size() + 1});
}

std::array<std::uint8_t, 32> DigestOf(const Dataset& dataset) {
  crypto::Sha256 hash;
  Hash(hash, dataset.task);
  Hash(hash, std::vector<std::uint32_t>{dataset.feature_set, dataset.symbols});
  for (const std::string& name : dataset.input_names) Hash(hash, name);
  Hash(hash, dataset.sequence);
  Hash(hash, dataset.source);
  Hash(hash, dataset.split);
  Hash(hash, dataset.symbol);
  Hash(hash, dataset.inputs);
  for (const Target& target : dataset.targets) {
    Hash(hash, target.name);
    for (const std::string& name : target.classes) Hash(hash, name);
    Hash(hash, target.label);
    Hash(hash, target.value);
  }
  return hash.Finish();
}

Target ReadTarget(const Reader& reader, const std::string& name, std::size_t rows) {
  const std::string path = "/targets/" + name;
  Target target;
  target.name = name;
  const Id dataset(H5Dopen2(reader.file(), path.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.is_open()) reader.Refuse("table " + path + " is missing");
  target.classes = reader.Texts(dataset.get(), "classes");
  if (!target.is_class()) {
    target.value = reader.Column<float>(path, rows, 1);
    // One bit pattern for what is unknown: the digest must not depend on who wrote it.
    for (float& value : target.value) {
      if (std::isnan(value)) value = std::nanf("");
    }
    return target;
  }
  if (target.classes.size() < 2 || target.classes.size() > 127) {
    reader.Refuse(path + " has " + std::to_string(target.classes.size()) + " classes, allowed: 2 to 127");
  }
  target.label = reader.Column<std::int8_t>(path, rows, 1);
  for (std::size_t row = 0; row < rows; ++row) {
    if (target.label[row] < -1 || target.label[row] >= static_cast<int>(target.classes.size())) {
      reader.Refuse(path + " is " + std::to_string(target.label[row]) + " in row " + std::to_string(row) +
                    ", allowed: -1 to " + std::to_string(target.classes.size() - 1));
    }
  }
  return target;
}

}  // namespace

bool Target::is_known(std::size_t row) const {
  return is_class() ? label[row] >= 0 : !std::isnan(value[row]);
}

Dataset ReadDataset(const std::string& path) {
  // Errors are reported as refusals, not by HDF5's own trace on standard error.
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Reader reader(path);
  if (const std::int64_t format = reader.Number("format"); format != kFormat) {
    reader.Refuse("format is " + std::to_string(format) + ", allowed: " + std::to_string(kFormat));
  }
  Dataset dataset;
  const std::vector<std::string> task = reader.Texts(reader.file(), "task");
  if (task.size() != 1) reader.Refuse("attribute task is no single name");
  dataset.task = task.front();
  dataset.feature_set = static_cast<std::uint32_t>(reader.Number("feature_set"));
  const std::int64_t symbols = reader.Number("symbols");
  if (symbols < 1 || symbols > kMostSymbols) {
    reader.Refuse("symbols is " + std::to_string(symbols) + ", allowed: 1 to 256");
  }
  dataset.symbols = static_cast<std::uint32_t>(symbols);
  dataset.input_names = reader.Texts(reader.file(), "input_names");
  dataset.sequence = reader.Column<std::uint32_t>("/rows/sequence", 0, 1);
  const std::size_t rows = dataset.rows();
  if (rows == 0) reader.Refuse("there are no rows");
  dataset.source = reader.Column<std::uint32_t>("/rows/source", rows, 1);
  dataset.split = reader.Column<std::uint8_t>("/rows/split", rows, 1);
  dataset.symbol = reader.Column<std::uint8_t>("/rows/symbol", rows, 1);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto refuse = [&](const char* name, std::uint32_t value, const std::string& allowed) {
      reader.Refuse(std::string(name) + " is " + std::to_string(value) + " in row " + std::to_string(row) +
                    ", allowed: " + allowed);
    };
    if (dataset.symbol[row] >= dataset.symbols) {
      refuse("symbol", dataset.symbol[row], "0 to " + std::to_string(symbols - 1));
    }
    if (dataset.sequence[row] >= rows) {
      refuse("sequence", dataset.sequence[row], "0 to " + std::to_string(rows - 1));
    }
    const std::uint8_t split = dataset.split[row];
    if (split > kTestSplit && split != kDroppedSplit) refuse("split", split, "0 to 2, 255");
  }
  if (!dataset.input_names.empty()) {
    dataset.inputs = reader.Column<float>("/rows/inputs", rows, dataset.input_names.size());
    for (const float input : dataset.inputs) {
      if (!std::isfinite(input)) reader.Refuse("an input is infinite or no number");
    }
  }
  const std::vector<std::string> targets = reader.Texts(reader.file(), "targets");
  if (targets.empty()) reader.Refuse("there are no targets");
  for (const std::string& name : targets) dataset.targets.push_back(ReadTarget(reader, name, rows));
  dataset.digest = DigestOf(dataset);
  return dataset;
}

}  // namespace foreflow::train
